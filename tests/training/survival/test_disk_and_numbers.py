"""What else ends runs: a disk that is full, and numbers that are not finite."""

import resource
from contextlib import contextmanager

import pytest

from ldr2hdr.build import RunError, one_screen_errors
from ldr2hdr.training.checkpoints import LAST

pytestmark = pytest.mark.slow


@contextmanager
def full_disk(largest_file):
    """No file grows beyond this many bytes: the system refuses it as it does on a full disk, by an OSError."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def half(train_here, overrides, tmp_path):
    """A run that was trained for an epoch, 5 steps."""
    train_here(tmp_path, *overrides(tmp_path), "trainer.max_epochs=1")
    return tmp_path


def test_a_full_disk_keeps_the_last_good_checkpoint_and_the_training(half, train_here, caplog, undisturbed, outcome):
    last = half / "checkpoints" / LAST
    before = last.read_bytes()
    typed = (f"resume='{half}'", "trainer.max_epochs=-1")
    with full_disk(len(before) - 1), pytest.raises(RunError, match=r"older: .*last\.ckpt"), one_screen_errors():
        train_here(half, *typed, "trainer.max_steps=7")
    assert last.read_bytes() == before
    complaints = [record.getMessage() for record in caplog.records if "was not written" in record.getMessage()]
    assert next(iter(complaints)).startswith("the checkpoint after step 6 was not written: [Errno 27] File too large")
    assert all(message.endswith("stays as it was, training goes on") for message in complaints)
    assert not [path for path in last.parent.iterdir() if path.name.startswith(".")]
    # the disk has room again: what was lost is trained again
    train_here(half, *typed)
    assert outcome(half) == outcome(undisturbed)


def test_a_storm_of_nan_stops_with_its_reason(train_here, tiny, tmp_path):
    wild = (
        "response=none",
        "algo.inner.lr=1e30",
        "algo.inner.steps=3",
        "module.max_bad_steps=3",
        "trainer.max_steps=50",
    )
    stopped = pytest.raises(RunError, match=r"no task stayed finite in 3 outer steps in a row; lower algo\.inner\.lr")
    with stopped, one_screen_errors():
        train_here(tmp_path, *tiny, *wild, "logger=csv", "~callbacks.progress", "~callbacks.panels")
