"""What an installed ldr2hdr needs besides its modules is in the package that setuptools builds."""

import subprocess
import sys
from pathlib import Path

import pytest

from ldr2hdr.build import CONF_DIR

pytestmark = pytest.mark.slow

ROOT = Path(CONF_DIR).parent


def files_of(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as a wheel holds it."""
    pytest.importorskip("setuptools", minversion="77")  # earlier ones do not know the licence field
    folder = tmp_path_factory.mktemp("built")
    words = ["--quiet", "egg_info", "--egg-base", str(folder), "build_py", "--build-lib", str(folder / "lib")]
    subprocess.run([sys.executable, "setup.py", *words], cwd=ROOT, check=True, capture_output=True)
    return folder / "lib" / "ldr2hdr"


def test_every_file_of_the_package_is_there_and_so_is_conf(built: Path) -> None:
    package, conf = files_of(ROOT / "ldr2hdr"), {f"conf/{name}" for name in files_of(ROOT / "conf")}
    assert files_of(built) == package | conf
    assert "weights/prior_highlights.safetensors" in package


def test_the_conf_inside_is_the_one_that_is_used(built: Path) -> None:
    program = "from ldr2hdr.build import CONF_DIR; print(CONF_DIR)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=built.parent, check=True, capture_output=True, text=True, timeout=300
    )
    assert Path(done.stdout.strip()) == built / "conf"
