"""Whether a file may be written is found out before the work: one answer for all commands."""

import os
import re
from pathlib import Path

import pytest

from ldr2hdr import cli
from ldr2hdr.cli.outputs import require_writable

COMMANDS = {
    "-o": (["adapt", "bracket", "-o"], "a camera profile"),
    "--onnx": (["export", "--onnx"], "an ONNX file"),
}
REFUSALS = {
    "old": "refusing to overwrite old; use --force, or another name",
    "dangling": "refusing to overwrite dangling; use --force, or another name",
    "folder": "expected {option} to be the name of {what}, got a folder: folder",
    "missing/a": "the folder missing to write a to does not exist; create it first",
    "locked/a": "the folder locked to write a to is read-only; choose another",
}


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old").write_bytes(b"old")
    Path("dangling").symlink_to("nowhere")
    Path("folder").mkdir()
    Path("locked").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != Path("locked"))


@pytest.mark.parametrize("option", COMMANDS)
@pytest.mark.parametrize("out", REFUSALS)
def test_every_command_refuses_in_the_same_words(capsys: pytest.CaptureFixture[str], option: str, out: str) -> None:
    words, what = COMMANDS[option]
    assert cli.main([*words, out]) == 2
    assert capsys.readouterr().err == f"ldr2hdr: error: {REFUSALS[out].format(option=option, what=what)}\n"
    assert Path("old").read_bytes() == b"old"


@pytest.mark.parametrize("out", ["folder", "missing/a", "locked/a"])
def test_force_overwrites_files_alone(out: str) -> None:
    require_writable(Path("old"), option="-o", what="a file", is_forced=True)
    require_writable(Path("new"), option="-o", what="a file", is_forced=False)
    with pytest.raises(OSError, match=re.escape(REFUSALS[out].format(option="-o", what="a file"))):
        require_writable(Path(out), option="-o", what="a file", is_forced=True)
