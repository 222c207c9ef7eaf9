"""``ldr2hdr profile``: what a profile says, the page, and the curve as other programs read it."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from profiles.test_verification import make, save
from report.devtools import CHROMIUM, Browser

from ldr2hdr import cli
from ldr2hdr.inference.profiles.files import read_profile, write_profile
from ldr2hdr.inference.profiles.fitting import Check


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return save(Path("a.ldr2hdr"), make())


def test_what_it_says(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_profile(stored, read_profile(stored)._replace(check=Check("each scene", 0.2, (0.1,))))
    assert cli.main(["profile", "a.ldr2hdr"]) == 0
    out = capsys.readouterr().out
    assert "camera: Acme Nova 7; adapted to 4 photographs" in out
    assert "scene 1: 2 exposures; f/8, ISO 100" in out
    assert "left out: c.jpg: black" in out
    assert "error on each scene: 0.200 stops single-shot, 0.100 with the profile" in out


def test_the_page_shows_all_and_runs_nothing(stored: Path) -> None:
    odd = make()._replace(scenes=tuple(scene._replace(name="<script>alert(1)</script>") for scene in make().scenes))
    write_profile(stored, read_profile(stored)._replace(verification=odd, camera="<b>Acme"))
    assert cli.main(["profile", "a.ldr2hdr", "--report", "a.html"]) == 0
    page = Path("a.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<b>Acme" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("<svg") >= 8
    assert "f/8, ISO 100" in page
    assert "c.jpg: black" in page
    assert "nan" not in page.lower()


def test_the_page_of_a_profile_that_is_not_checked(stored: Path) -> None:
    nothing = make(1)._replace(
        kept_out="nothing",
        **dict.fromkeys(("error", "error_before", "cast", "cast_before"), math.nan),
        by_level=torch.full((16, 3), math.nan),
        by_gap=torch.full((4, 2), math.nan),
    )
    write_profile(stored, read_profile(stored)._replace(verification=nothing))
    assert cli.main(["profile", "a.ldr2hdr", "--report", "a.html"]) == 0
    assert "the profile is not checked" in Path("a.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
@pytest.mark.parametrize("width", [1160, 390])
def test_nothing_on_the_page_touches_what_is_above(stored: Path, chromium: Browser, width: int) -> None:
    assert cli.main(["profile", "a.ldr2hdr", "--report", "a.html"]) == 0
    chromium.open(Path("a.html").resolve(), width=width)
    gaps = chromium.evaluate(
        "[...document.querySelectorAll('.card, .charts, .tiles')].filter((one) => one.previousElementSibling).map("
        "(one) => [one.getBoundingClientRect(), one.previousElementSibling.getBoundingClientRect()]).map("
        "([one, other]) => Math.max(one.top - other.bottom, one.left - other.right))"
    )
    assert len(gaps) >= 8
    assert min(gaps) >= 8


def test_the_table(stored: Path) -> None:
    assert cli.main(["profile", "a.ldr2hdr", "--csv", "a.csv"]) == 0
    table = np.genfromtxt("a.csv", delimiter=",", names=True)
    assert table.dtype.names == ("level", *(f"{c}_{part}" for part in ("log2", "deviation") for c in "rgb"))
    np.testing.assert_allclose(table["g_log2"], make().curve[:, 1], atol=1e-4)
    np.testing.assert_allclose(table["b_deviation"], 0.1)


def test_the_lut(stored: Path) -> None:
    assert cli.main(["profile", "a.ldr2hdr", "--cube", "a.cube"]) == 0
    lines = [line for line in Path("a.cube").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "LUT_1D_SIZE 256"
    values = np.array([list(map(float, line.split())) for line in lines[1:]])
    np.testing.assert_allclose(values, make().curve.exp2(), rtol=1e-3, atol=1e-7)


def test_opencv_merges_by_the_array(stored: Path) -> None:
    """Two levels of one camera in two exposures: their light has the ratio that the curve says."""
    assert cli.main(["profile", "a.ldr2hdr", "--npy", "a.npy"]) == 0
    response = np.load("a.npy", allow_pickle=False)
    assert (response.shape, response.dtype) == ((256, 1, 3), np.float32)
    picture = np.tile(np.array([100, 180], np.uint8)[None, :, None], (4, 1, 3))
    times = np.array([1.0, 1.0], np.float32)
    merged = cv2.createMergeDebevec().process([picture, picture], times, response[..., ::-1].copy())
    expected = float((make().curve[180, 1] - make().curve[100, 1]).exp2())
    np.testing.assert_allclose(merged[0, 1, 1] / merged[0, 0, 1], expected, rtol=1e-3)


def test_a_profile_without_a_curve(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(stored, None)
    assert cli.main(["profile", "a.ldr2hdr"]) == 0
    for option in ("--report", "--csv"):
        assert cli.main(["profile", "a.ldr2hdr", option, "out"]) == 1
        assert "no verified curve: it was made by an earlier ldr2hdr" in capsys.readouterr().err
    assert not Path("out").exists()


def test_nothing_is_overwritten_without_force(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.csv").write_text("mine")
    assert cli.main(["profile", "a.ldr2hdr", "--csv", "a.csv"]) == 2
    assert "refusing to overwrite a.csv" in capsys.readouterr().err
    assert cli.main(["profile", "a.ldr2hdr", "--csv", "a.csv", "--force"]) == 0
    assert cli.main(["profile", "missing.ldr2hdr"]) == 1
    assert "no camera profile at missing.ldr2hdr" in capsys.readouterr().err
