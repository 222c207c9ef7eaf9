"""The files that a run is resumed from: which one is whole, and a log with each step once."""

import csv
import resource

import pytest
import torch

from ldr2hdr.training.checkpointing import LastCheckpoint, WholeFiles
from ldr2hdr.training.checkpoints import LAST, PREVIOUS, find_checkpoint
from ldr2hdr.training.loggers.metrics_table import MetricsTable

pytestmark = pytest.mark.slow

CONTENT = {"config": "algo: maml\n", "state_dict": {"learner.w": torch.arange(1000.0)}, "global_step": 1}


@pytest.fixture
def folder(tmp_path):
    """A run with a last checkpoint, and the one before."""
    files = WholeFiles()
    for step in (1, 2):
        files.save_checkpoint({**CONTENT, "global_step": step}, tmp_path / "checkpoints" / LAST)
    return tmp_path


def step_of(path):
    return torch.load(path, weights_only=True)["global_step"]


def test_the_last_checkpoint_and_the_one_before_are_kept(folder):
    checkpoints = folder / "checkpoints"
    assert (step_of(checkpoints / LAST), step_of(checkpoints / PREVIOUS)) == (2, 1)
    assert {path.name for path in checkpoints.iterdir()} == {LAST, PREVIOUS}


def test_a_file_system_without_second_names_keeps_both_as_well(tmp_path, monkeypatch):
    def refuse(*names):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("ldr2hdr.training.checkpointing.os.link", refuse)
    files, last = WholeFiles(), tmp_path / LAST
    for step in (1, 2, 3):
        files.save_checkpoint({**CONTENT, "global_step": step}, last)
    assert (step_of(last), step_of(tmp_path / PREVIOUS)) == (3, 2)
    assert files.unwritten == {}


def flip(content):
    """One bit of the weights, which torch reads without complaint."""
    at = content.index(torch.arange(1000.0).numpy().tobytes()) + 400
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    "damage", [flip, lambda content: content[: len(content) // 2], lambda content: b"", lambda content: b"\0" * 5000]
)
def test_a_damaged_checkpoint_is_passed_over(folder, caplog, damage):
    last = folder / "checkpoints" / LAST
    damaged = damage(last.read_bytes())
    last.unlink()  # its bytes are those of no other file
    last.write_bytes(damaged)
    found = find_checkpoint("last", folder)
    assert found == last.with_name(PREVIOUS)
    assert step_of(found) == 1
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{last} is damaged: ")
    assert record.getMessage().endswith(f"; going on from {found}")


def test_all_damaged_is_an_error_that_names_them(folder):
    for name in (LAST, PREVIOUS):
        (folder / "checkpoints" / name).unlink()
        (folder / "checkpoints" / name).write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged.*previous\.ckpt is damaged.*ckpt=null starts anew"):
        find_checkpoint("last", folder)


def test_a_run_without_checkpoints_starts_anew(tmp_path):
    assert find_checkpoint("last", tmp_path) is None
    assert find_checkpoint(None, tmp_path) is None
    assert str(find_checkpoint("a/b.ckpt", tmp_path)) == "a/b.ckpt"


def test_a_checkpoint_that_is_never_due_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"every_n_steps must be positive, got 0"):
        LastCheckpoint(str(tmp_path), every_n_steps=0)


def rows(path):
    with path.open(newline="") as file:
        return [(row["step"], row["loss"]) for row in csv.DictReader(file)]


@pytest.fixture
def log():
    """Log steps, loss ``10 * step``, as Lightning does."""

    def write(table, *steps, **more):
        for step in steps:
            table.log_metrics({"loss": 10 * step, **more}, step)
            table.save()

    return write


def test_steps_that_are_taken_again_are_in_the_table_once(tmp_path, log):
    path = tmp_path / "csv" / "metrics.csv"
    log(MetricsTable(path), 1, 3, 5)
    with path.open("a") as file:
        file.write("70,")  # cut off
    log(MetricsTable(path), 3, 5, 7)
    assert rows(path) == [("1", "10"), ("3", "30"), ("5", "50"), ("7", "70")]


def test_a_resumed_table_is_byte_for_byte_that_of_an_undisturbed_run(tmp_path, log):
    table = MetricsTable(tmp_path / "whole.csv")
    log(table, 1, 2)
    log(table, 2, psnr=0.1 + 0.2)
    log(table, 3, 4)
    log(MetricsTable(tmp_path / "resumed.csv"), 1, 2)
    resumed = MetricsTable(tmp_path / "resumed.csv")
    log(resumed, 2)
    log(resumed, 2, psnr=0.1 + 0.2)
    log(resumed, 3, 4)
    assert (tmp_path / "resumed.csv").read_text() == (tmp_path / "whole.csv").read_text()


def test_another_run_of_the_folder_begins_its_table_anew(tmp_path, log):
    log(MetricsTable(tmp_path / "metrics.csv"), 1, 2)
    table = MetricsTable(tmp_path / "metrics.csv")
    table.clear()
    log(table, 9)
    assert rows(tmp_path / "metrics.csv") == [("9", "90")]


@pytest.mark.parametrize("more", [{}, {"psnr": 1.5}])
def test_rows_wait_for_room_on_the_disk(tmp_path, log, caplog, more):
    table = MetricsTable(tmp_path / "metrics.csv")
    log(table, 1)
    before = (tmp_path / "metrics.csv").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 1, limits[1]))
    try:
        log(table, 2, **more)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "metrics.csv").read_bytes() == before
    assert "1 rows of" in caplog.text
    assert "not written yet" in caplog.text
    table.finalize("success")
    assert rows(tmp_path / "metrics.csv") == [("1", "10"), ("2", "20")]
