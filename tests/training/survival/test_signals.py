"""A run that is killed, pre-empted, and finds its last checkpoint damaged ends as if nothing had happened."""

import json
import logging
import os
import random
import shlex
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from ldr2hdr.training.checkpointing import LastCheckpoint
from ldr2hdr.training.checkpoints import LAST, PREVIOUS

pytestmark = pytest.mark.slow

# Seeded: steps of the kill and of the pre-emption, in the first epoch and in the second
KILLED_AFTER = random.Random(0).randint(3, 5)
STOPPED_AFTER = random.Random(0).randint(6, 9)


def happening(step, name):
    about = (f"+callbacks.happening.step={step}", f"+callbacks.happening.name={name}")
    return ("+callbacks.happening._target_=happenings.Signal", *about)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Its name has a space and an equals sign, as sweeps make them."""
    return tmp_path_factory.mktemp("a run") / "algo=maml"


@pytest.fixture(scope="module")
def killed(train_there, overrides, folder):
    folder.mkdir()
    quoted = (override.replace(str(folder), f"'{folder}'") for override in overrides(folder))
    return train_there(*quoted, f"hydra.run.dir='{folder}'", *happening(KILLED_AFTER, "SIGKILL"))


@pytest.fixture(scope="module")
def stopped(killed, train_there, folder):
    changed = ("+callbacks.happening.name=SIGTERM", f"+callbacks.happening.step={STOPPED_AFTER}")
    return train_there(f"resume='{folder}'", *changed)


@pytest.fixture(scope="module")
def finished(stopped, train_here, folder, caplog_of_module, tmp_path_factory):
    """Resumed in this process, after half of the last checkpoint was lost."""
    path = folder / "checkpoints" / LAST
    os.truncate(path, path.stat().st_size // 2)
    train_here(tmp_path_factory.mktemp("new"), f"resume='{folder}'", "+callbacks.happening.step=-1")
    return caplog_of_module


@pytest.fixture(scope="module")
def caplog_of_module():
    """The messages of a module's fixture: caplog is of one test."""
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logging.getLogger("ldr2hdr").addHandler(handler)
    yield records
    logging.getLogger("ldr2hdr").removeHandler(handler)


def test_a_killed_run_has_its_last_steps_but_few(killed, folder):
    assert killed.returncode == -9
    saved = torch.load(folder / "checkpoints" / LAST, weights_only=True)
    assert KILLED_AFTER - 2 <= saved["global_step"] <= KILLED_AFTER


def test_a_pre_empted_run_stops_after_its_step_and_says_how_to_go_on(stopped, folder):
    assert stopped.returncode == 128 + 15, stopped.stderr
    (line,) = (line for line in stopped.stdout.splitlines() if "SIGTERM" in line)
    assert f"the last checkpoint is of step {STOPPED_AFTER + 1}" in line
    assert shlex.quote(f"resume={folder}") in line
    assert "Traceback" not in stopped.stderr


def test_a_damaged_checkpoint_is_named_and_the_one_before_taken(finished, folder):
    (message,) = (message for message in finished if "damaged" in message)
    assert message.startswith(f"{folder / 'checkpoints' / LAST} is damaged: ")
    assert message.endswith(f"going on from {folder / 'checkpoints' / PREVIOUS}")


def test_it_ends_as_if_nothing_had_happened(finished, folder, undisturbed, outcome, recorded_tasks):
    assert outcome(folder) == outcome(undisturbed)
    assert recorded_tasks(folder) == recorded_tasks(undisturbed)
    first, second = (torch.load(run / "checkpoints" / LAST, weights_only=True) for run in (folder, undisturbed))
    for name, tensor in second["state_dict"].items():
        assert torch.equal(first["state_dict"][name], tensor), name
    for index, slots in second["optimizer_states"][0]["state"].items():
        for name, value in slots.items():
            assert torch.equal(first["optimizer_states"][0]["state"][index][name], value)
    assert first["lr_schedulers"] == second["lr_schedulers"]
    assert (first["epoch"], first["global_step"]) == (second["epoch"], second["global_step"])


def test_the_manifest_tells_where_it_was_resumed(finished, folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    first, second = manifest["resumed"]
    assert first["step"] <= KILLED_AFTER < second["step"] <= STOPPED_AFTER + 1
    assert second["versions"] == manifest["versions"]


def test_only_checkpoints_and_logs_are_there(finished, folder):
    assert not [path for path in (folder / "checkpoints").iterdir() if path.name.startswith(".")]
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {LAST, PREVIOUS, "best.ckpt"}


def test_a_second_interrupt_does_not_wait(tmp_path, capfd):
    callback, before = LastCheckpoint(str(tmp_path)), signal.getsignal(signal.SIGINT)
    with callback.listening():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert "Ctrl-C again stops at once" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) == before


def test_a_thread_listens_to_nothing(tmp_path):
    before = signal.getsignal(signal.SIGTERM)

    def listen():
        with LastCheckpoint(str(tmp_path)).listening():
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(listen).result() == before
