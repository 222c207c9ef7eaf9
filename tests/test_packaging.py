"""A built wheel is a working program far from the clone, and the clone can be imported from everywhere."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ldr2hdr.build import CONF_DIR
from ldr2hdr.io import write_image

pytestmark = pytest.mark.slow

ROOT = Path(CONF_DIR).parent
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
OFFLINE = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index")
Run = Callable[..., str]


def call(*command: str | Path, cwd: Path) -> str:
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    env |= {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files_of(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def make_environment(folder: Path) -> Path:
    """A fresh environment that sees what the tests' one has installed, but not the clone, which `.pth` files name."""
    call(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    own = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(folder)}))
    (own / "libraries.pth").write_text("\n".join(libraries))
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is built, in a folder named as clones are."""
    pytest.importorskip("setuptools", minversion="77")  # earlier ones do not know the licence field
    clone = tmp_path_factory.mktemp("projects") / "ldr2hdr"
    for name in ("ldr2hdr", "conf"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, clone)
    return clone


@pytest.fixture(scope="module")
def installed(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python with the wheel installed; building it leaves a folder ``build`` in the clone."""
    folder = tmp_path_factory.mktemp("installed")
    call(*PIP, "wheel", *OFFLINE, "--wheel-dir", folder, clone, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    python = make_environment(folder / "env")
    call(*PIP, "--python", python, "install", *OFFLINE, wheel, cwd=folder)
    return python


def test_every_file_of_the_package_is_there_and_so_is_conf(installed: Path, clone: Path) -> None:
    (package,) = installed.parent.parent.glob("lib/python*/site-packages/ldr2hdr")
    assert files_of(package) == files_of(clone / "ldr2hdr") | {f"conf/{name}" for name in files_of(clone / "conf")}
    assert (package / "inference" / "weights" / "prior_highlights.safetensors").is_file()


def test_the_wheel_converts_trains_and_evaluates(installed: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", torch.linspace(0, 1, 3 * 32 * 32).view(3, 32, 32))
    call(installed.with_name("ldr2hdr"), "convert", "photo.png", "-o", "photo.exr", cwd=tmp_path)
    assert (tmp_path / "photo.exr").is_file()
    small = ("task.crop_px=16", "num_threads=1")
    train = ("-m", "ldr2hdr.train", "experiment=smoke", "backbone.widths=[4,8]", "hydra.run.dir=run", *small)
    call(installed, *train, cwd=tmp_path)
    judge = ("-m", "ldr2hdr.evaluate", "ckpt=run/checkpoints/last.ckpt", "hydra.run.dir=judged", *small)
    told = call(installed, *judge, "num_tasks=1", "steps=[0,1]", "num_resamples=20", "panel=null", cwd=tmp_path)
    assert "results.json" in told
    assert (tmp_path / "judged" / "results.json").is_file()


@pytest.mark.parametrize("way", ["wheel", "in place"])
def test_a_clone_beside_is_not_taken_for_the_package(installed: Path, clone: Path, tmp_path: Path, way: str) -> None:
    """From the clone's parent, the clone is a package without a content, and its ``build`` a module of it."""
    assert (clone / "build").is_dir()
    python = installed
    if way == "in place":
        python = make_environment(tmp_path / "env")
        call(*PIP, "--python", python, "install", *OFFLINE, "--editable", clone, cwd=tmp_path)
    program = "import ldr2hdr; print(ldr2hdr.__file__, ldr2hdr.load)"
    assert "__init__.py" in call(python, "-c", program, cwd=clone.parent)
    assert "backbone: " in call(python, "-m", "ldr2hdr.train", "--help", cwd=clone.parent)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "passive 1000"),
        ({"GOMP_SPINCOUNT": "7"}, "passive 7"),
        ({"OMP_WAIT_POLICY": "active"}, "active None"),
    ],
)
def test_threads_do_not_spin_for_long_unless_asked_to(before: dict[str, str], after: str) -> None:
    """Torch reads it as it is loaded: beside other programs, spinning took ten times the CPU time."""
    names = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"
    env = {key: value for key, value in os.environ.items() if key not in names} | before
    program = f"import os, ldr2hdr; print(*map(os.environ.get, {names}))"
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == after
