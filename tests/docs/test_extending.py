"""The diffs of docs/extending.md, put into a copy of the tree, do what the page says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ldr2hdr.build import CONF_DIR
from ldr2hdr.io.exr import write_exr

pytestmark = pytest.mark.slow

ROOT = Path(CONF_DIR).parent
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
DIFFS = re.findall(r"```diff\n(.*?)```", PAGE, re.DOTALL)
# One run with all four parts: Python starts once
TRAIN = [
    *("-m", "ldr2hdr.train", "experiment=smoke", "backbone=pixelwise", "algo=every_step", "camera=slide_film"),
    *("dataset=lightprobes", "dataset.root=set", "logger=csv", "hydra.run.dir=run"),
]
LAWS = ["-m", "pytest", "-q", "tests/backbones/test_backbones.py", "tests/meta/test_engines.py"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code with the diffs of the page, and a small set of light probes."""
    tree = tmp_path_factory.mktemp("copy")
    shutil.copytree(
        ROOT / "ldr2hdr", tree / "ldr2hdr", ignore=shutil.ignore_patterns("*.exr", "*.safetensors", "__pycache__")
    )
    for folder in ("conf", "tests"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    for diff in DIFFS:
        subprocess.run(["git", "apply", "-"], input=diff, cwd=tree, check=True, text=True)
    rng = np.random.default_rng(0)
    for number in range(12):
        path = tree / "set" / "probes" / f"place{number}_probe.exr"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_exr(path, rng.gamma(1.0, 2.0, (64, 64, 3)).astype(np.float32))
    return tree


def run(tree: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(tree)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_part_takes_three_files_at_most() -> None:
    assert len(DIFFS) == 4
    assert [diff.count("\n+++ ") <= 3 for diff in DIFFS] == [True] * 4


def test_the_parts_train_together(tree: Path) -> None:
    run(tree, *TRAIN)
    config = (tree / "run" / ".hydra" / "config.yaml").read_text()
    for part in ("Pixelwise", "EveryStepLearner", "Lightprobes", "slide_film"):
        assert part in config
    assert (tree / "run" / "checkpoints" / "last.ckpt").is_file()


def test_the_new_lines_pass_the_laws_of_their_family(tree: Path) -> None:
    told = run(tree, *LAWS, "-k", "pixelwise or every_step")
    assert int(re.findall(r"(\d+) passed", told)[0]) >= 10
