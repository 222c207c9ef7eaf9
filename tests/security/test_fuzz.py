"""Readers answer to damaged files with their typed errors, soon, and in little memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FUZZING = Path(__file__).with_name("fuzzing.py")
HANDMADE = Path(__file__).parents[1] / "io"
# `make fuzz` reads 20,000
COUNT = int(os.environ.get("LDR2HDR_FUZZ", "1800"))


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    """Nothing but the reader's own errors; no crash, no second lost, no memory to speak of."""
    command = [sys.executable, str(FUZZING), str(COUNT), str(tmp_path / "told.json")]
    found = {**os.environ, "PYTHONPATH": str(HANDMADE)}
    done = subprocess.run(command, capture_output=True, check=False, env=found)
    assert done.returncode == 0, f"{done.returncode}, by {tmp_path}/told.json.damaged: {done.stderr[-2000:]!r}"
    told = json.loads((tmp_path / "told.json").read_text())
    assert {name: format["untyped"] for name, format in told["formats"].items() if format["untyped"]} == {}
    assert all(format["refused"] > COUNT / 30 for format in told["formats"].values())
    assert max(format["seconds"] for format in told["formats"].values()) < 5
    assert told["grown_mib"] < 300
