"""Two processes are one: the meta-gradient, the weights and the tasks of a really distributed run; and its survival."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch

from ldr2hdr.build import build_training

# What the one process and the two have in common: 4 tasks a step, 3 steps an epoch, no clipping, all shown to the
# recorder.
OVERRIDES = (
    "data.tasks_per_batch=4",
    "data.num_train_tasks=12",
    "trainer.max_steps=5",
    "callbacks.last.every_n_steps=1",
    "data.num_val_tasks=2",
    "module.gradient_clip=1e9",
    "+callbacks.record._target_=test_ddp.RecordRun",
    "~callbacks.progress",
)

pytestmark = pytest.mark.slow


class RecordRun(L.Callback):
    """Save what each process saw and did: its tasks, the gradient of each step, and its weights in the end."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.gradients = []
        self.cameras = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        parameters = pl_module.learner.trainable()
        self.gradients.append(torch.cat([parameter.grad.flatten() for parameter in parameters]).clone())
        self.cameras.append(batch.cameras)

    def on_fit_end(self, trainer, pl_module):
        record = {
            "gradients": self.gradients,
            "cameras": self.cameras,
            "weights": pl_module.learner.state_dict(),
            "metrics": dict(trainer.callback_metrics),
        }
        torch.save(record, self.folder / f"rank{trainer.global_rank}of{trainer.world_size}.pt")


# In the third step or the fourth, a process of the two
KILLED_AFTER, KILLED_RANK = random.Random(0).randint(2, 3), random.Random(0).randrange(2)


def launch(*typed):
    """Train in processes of their own, which meet on the loopback interface alone."""
    tests = Path(__file__).parent
    here = {"PYTHONPATH": f"{tests}{os.pathsep}{tests / 'survival'}", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "ldr2hdr.train", *typed],
        env=os.environ | here | {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def on_two(tiny, cache_dir):
    """What to type for two processes whose record goes to a folder, and their run to one in it."""

    def typed(folder):
        common = (*tiny, *OVERRIDES, f"+callbacks.record.folder={folder}", f"paths.cache_dir={cache_dir}")
        hardware = ("hardware=multi_gpu", "trainer.accelerator=cpu", "trainer.devices=2")
        return (*common, *hardware, f"hydra.run.dir={folder / 'two'}")

    return typed


@pytest.fixture(scope="module")
def records(compose_train, tiny, on_two, tmp_path_factory):
    """The record of one process, and those of two."""
    folder = tmp_path_factory.mktemp("ddp")
    one = build_training(compose_train(folder / "one", *tiny, *OVERRIDES, f"+callbacks.record.folder={folder}"))
    one.trainer.fit(one.module, one.datamodule)
    done = launch(*on_two(folder))
    assert done.returncode == 0, done.stderr
    return folder, [_load(folder, name) for name in ("rank0of1", "rank0of2", "rank1of2")]


@pytest.fixture(scope="module")
def survived(on_two, tmp_path_factory):
    """The records of two processes that went on after one of them was killed."""
    folder = tmp_path_factory.mktemp("killed")
    kill = ("name=SIGKILL", f"step={KILLED_AFTER}", f"rank={KILLED_RANK}", "_target_=happenings.Signal")
    killed = launch(*on_two(folder), *(f"+callbacks.kill.{key}" for key in kill))
    assert killed.returncode != 0
    assert not list(folder.glob("rank*.pt"))
    done = launch(f"resume={folder / 'two'}", "+callbacks.kill.step=-1")
    assert done.returncode == 0, done.stderr
    return folder, [_load(folder, name) for name in ("rank0of2", "rank1of2")]


def _load(folder, name):
    return torch.load(folder / f"{name}.pt", weights_only=True)


def test_two_processes_have_the_gradient_of_one(records):
    _, (one, *two) = records
    assert len(one["gradients"]) == 5
    for rank in two:
        # later ones are of weights that rounding has parted, and Adam divides small gradients by small numbers
        for step, expected in enumerate(one["gradients"][:2]):
            error = (rank["gradients"][step] - expected).norm() / expected.norm()
            assert expected.norm() > 0
            assert error < 1e-5, f"step {step}: {error}"


def test_two_processes_share_the_tasks_of_one(records):
    _, (one, first, second) = records
    for whole, *shares in zip(one["cameras"], first["cameras"], second["cameras"], strict=True):
        assert [len(share) for share in shares] == [2, 2]
        assert sorted(whole) == sorted(name for share in shares for name in share)


def test_the_processes_end_with_the_same_weights(records):
    _, (_, first, second) = records
    assert first["weights"].keys() == second["weights"].keys()
    assert all(torch.equal(tensor, second["weights"][name]) for name, tensor in first["weights"].items())


def test_validation_is_averaged_over_the_processes(records):
    _, (one, first, second) = records
    for key in ("val/pu_psnr@1", "val_unseen/pu_psnr@0"):
        assert first["metrics"][key] == second["metrics"][key]
        assert first["metrics"][key].item() == pytest.approx(one["metrics"][key].item(), abs=1e-3)


def test_the_first_process_alone_writes_the_run(records):
    folder, (_, first, _) = records
    written = {path.name for path in (folder / "two").rglob("*") if path.is_file()}
    assert {"last.ckpt", "best.ckpt", "manifest.json", "metrics.csv"} <= written
    checkpoint = torch.load(folder / "two" / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(
        torch.equal(tensor, first["weights"][name.removeprefix("learner.")])
        for name, tensor in checkpoint["state_dict"].items()
    )


def test_two_processes_survive_the_death_of_one(records, survived):
    """They end with the same bits, the same log and the same tasks as if nobody had been killed."""
    (whole, (_, *undisturbed)), (folder, resumed) = records, survived
    first, second = (json.loads((at / "two" / "manifest.json").read_text())["final"] for at in (whole, folder))
    assert first == second
    first, second = ((at / "two" / "csv" / "metrics.csv").read_text() for at in (whole, folder))
    assert first == second
    for before, after in zip(undisturbed, resumed, strict=True):
        assert all(torch.equal(tensor, before["weights"][name]) for name, tensor in after["weights"].items())
        num_again = len(after["cameras"])
        assert 0 < num_again < 5
        assert after["cameras"] == before["cameras"][-num_again:]
        assert all(map(torch.equal, after["gradients"], before["gradients"][-num_again:]))
