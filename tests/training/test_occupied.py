"""A second run in the folder of one loses nothing unasked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ldr2hdr.build import build_training
from ldr2hdr.train import fit
from ldr2hdr.training.occupied import RunGuard, require_free_folder


@pytest.fixture
def occupied(tmp_path: Path) -> Path:
    folder = tmp_path / "lr=1, a run"
    for name in ("checkpoints/last.ckpt", "checkpoints/previous.ckpt", "csv/metrics.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("earlier")
    return folder


def test_a_second_run_says_what_to_type(occupied: Path) -> None:
    with pytest.raises(ValueError, match=r"last\.ckpt") as caught:
        require_free_folder(occupied, ckpt=None, overwrite=False)
    for word in (f"'resume={occupied}'", "hydra.run.dir", "hydra.sweep.dir", "overwrite=true"):
        assert word in str(caught.value)
    with pytest.raises(ValueError, match="holds a run already"):
        require_free_folder(occupied, ckpt="elsewhere/last.ckpt", overwrite=False)


def test_what_goes_on_or_is_asked_for_is_free(occupied: Path, tmp_path: Path) -> None:
    require_free_folder(occupied, ckpt="last", overwrite=False)
    require_free_folder(occupied, ckpt=str(occupied / "checkpoints" / "last.ckpt"), overwrite=False)
    require_free_folder(occupied, ckpt=None, overwrite=True)
    require_free_folder(tmp_path / "new", ckpt=None, overwrite=False)


def test_the_guard_stops_before_anything_is_written(occupied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = {"hydra": {"run": {"dir": str(occupied)}}, "ckpt": None, "overwrite": False, "resume": None}
    with pytest.raises(SystemExit):
        RunGuard().on_run_start(OmegaConf.create(node))
    assert "holds a run already" in capsys.readouterr().err
    RunGuard().on_run_start(OmegaConf.create(node | {"resume": str(occupied)}))


def test_what_is_overwritten_leaves_no_checkpoint(compose_train, tiny, occupied) -> None:
    (occupied / "checkpoints" / "best.ckpt").write_text("earlier")
    fit(build_training(compose_train(f"'{occupied}'", *tiny, "~callbacks.progress", "logger=csv", "overwrite=true")))
    files = {path.name: path.read_bytes() for path in (occupied / "checkpoints").iterdir()}
    assert "last.ckpt" in files
    assert b"earlier" not in files.values()


@pytest.mark.slow
def test_the_command_refuses_and_leaves_the_folder_as_it_was(occupied: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in occupied.rglob("*")}
    command = [sys.executable, "-m", "ldr2hdr.train", "experiment=smoke", f"hydra.run.dir='{occupied}'"]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout) == (1, "")
    assert "holds a run already" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert {path: path.stat().st_mtime_ns for path in occupied.rglob("*")} == before
