"""A set to write look-alikes in, and the command run on it."""

import json
import sys
from pathlib import Path

import pytest

from ldr2hdr import cli

sys.path.append(str(Path(__file__).parents[1] / "datasets"))


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    return folder


@pytest.fixture
def doctor(root, tmp_path):
    """Run the command on the set; the exit code and doctor.json."""

    def run(*words, of=root):
        code = cli.main(["doctor", str(of), "-o", str(tmp_path / "out"), *words])
        return code, json.loads((tmp_path / "out" / "doctor.json").read_text())

    return run
