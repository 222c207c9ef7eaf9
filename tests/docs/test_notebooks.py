"""The notebooks run from top to bottom, as scripts: a kernel and its client would be three more dependencies."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ldr2hdr.configuration.folders import CONF_DIR

pytestmark = pytest.mark.slow

FOLDER = Path(CONF_DIR).parent / "docs" / "notebooks"


def run(name: str, folder: Path, cache_dir: Path) -> str:
    cells = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") for cell in cells), "outputs are not kept: they would grow old"
    (folder / "notebook.py").write_text("\n\n".join(code), encoding="utf-8")
    environment = os.environ | {"LDR2HDR_CACHE": str(cache_dir), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "notebook.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_notebook_is_run() -> None:
    assert {path.stem[0] for path in FOLDER.glob("*.ipynb")} == {"1", "2", "3"}


def test_a_photograph_and_a_profile(tmp_path: Path, cache_dir: Path) -> None:
    said = run("1_photograph_to_hdr", tmp_path, cache_dir)
    single_shot, adapted = map(float, re.findall(r"(\d\.\d+) stops", said))
    assert adapted < single_shot
    assert (tmp_path / "photo.exr").is_file()


def test_a_network_of_ones_own_learns_to_adapt(tmp_path: Path, cache_dir: Path) -> None:
    before, after = map(float, re.findall(r"steps: (\d\.\d+)", run("2_your_own_network", tmp_path, cache_dir)))
    assert after < 0.5 * before


def test_a_sweep_is_read(tmp_path: Path, cache_dir: Path) -> None:
    said = run("3_read_a_sweep", tmp_path, cache_dir)
    assert "maml completed" in said
    assert "fomaml completed" in said
    assert (tmp_path / "curves.png").is_file()
