"""``ldr2hdr adapt`` and what ``ldr2hdr convert`` makes of a camera, from the command line."""

import os
import re
from pathlib import Path

import OpenEXR
import pytest
import torch
from torch import Tensor

import ldr2hdr
from ldr2hdr import cli
from ldr2hdr.data.cameras.camera import Camera
from ldr2hdr.inference.profiles.files import read_profile
from ldr2hdr.io import read_radiance
from profiles.photographs import save_checkpoint, write_bracket, write_photo

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenes: dict[str, Tensor], camera: Camera) -> Path:
    """The working folder: a bracket, and a photograph of another place by the same camera."""
    monkeypatch.chdir(tmp_path)
    write_bracket(Path("bracket"), scenes["blender_city"], camera)
    write_photo(Path("photo.jpg"), scenes["venice_sunset"], camera)
    return tmp_path


@pytest.fixture(scope="module")
def adapted(
    tmp_path_factory: pytest.TempPathFactory, ckpt: Path, scenes: dict[str, Tensor], camera: Camera
) -> tuple[Path, str]:
    """A profile that the command made, and what it printed."""
    place = tmp_path_factory.mktemp("adapted")
    bracket = write_bracket(place / "bracket", scenes["blender_city"], camera)
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("rich.console.Console.print", lambda console, line: lines.append(line))
        assert run("adapt", str(bracket), "-o", str(place / "a.ldr2hdr"), "--steps", "2", ckpt=ckpt) == 0
    return place / "a.ldr2hdr", "\n".join(lines)


def run(*words: str, ckpt: Path) -> int:
    return cli.main([*words, "--ckpt", str(ckpt)])


def test_a_profile_and_the_error_before_and_after_each_step(adapted: tuple[Path, str]) -> None:
    path, out = adapted
    profile = read_profile(path)
    check = profile.check
    assert check is not None
    assert profile.camera == "Acme Nova 7"
    assert check.held_out == "0.jpg"
    assert len(check.stops) == 3
    for step, after in zip(("0 steps", "1 step", "2 steps"), check.stops, strict=True):
        assert re.search(rf" {step}: error .* {check.single_shot_stops:.3f} stops before, {after:.3f} after", out)
    assert "camera: Acme Nova 7; adapted to 3 photographs" in out
    assert f"wrote {path}: {path.stat().st_size / 1e3:.0f} kB" in out


def test_a_profile_converts_as_the_python_api_does(
    folder: Path, ckpt: Path, adapted: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("convert", "photo.jpg", "--camera", str(adapted[0]), ckpt=ckpt) == 0
    out = capsys.readouterr().out
    assert f"camera: Acme Nova 7, from {adapted[0]}; error on what was kept out" in out
    assert "single-shot:" not in out
    expected = ldr2hdr.load(ckpt).camera(adapted[0])("photo.jpg")
    torch.testing.assert_close(read_radiance("photo.exr"), expected, atol=1e-5, rtol=1e-3)


def test_a_bracket_is_adapted_to_first(folder: Path, ckpt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("convert", "photo.jpg", "--bracket", "bracket", ckpt=ckpt) == 0
    assert "camera: Acme Nova 7, from bracket; error on what was kept out" in capsys.readouterr().out
    expected = ldr2hdr.load(ckpt).adapt("bracket")("photo.jpg")
    torch.testing.assert_close(read_radiance("photo.exr"), expected, atol=1e-5, rtol=1e-3)
    with pytest.raises(SystemExit, match="2"):
        run("convert", "photo.jpg", "--bracket", "bracket", "--camera", "a.ldr2hdr", ckpt=ckpt)


def test_a_photograph_by_another_camera_is_noted(
    folder: Path,
    ckpt: Path,
    adapted: tuple[Path, str],
    scenes: dict[str, Tensor],
    camera: Camera,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_photo(Path("other.jpg"), scenes["venice_sunset"], camera, model="Comet 1")
    assert run("convert", "other.jpg", "--camera", str(adapted[0]), ckpt=ckpt) == 0
    assert "note: other.jpg is by Acme Comet 1, and the profile by Acme Nova 7" in capsys.readouterr().out


@pytest.mark.parametrize("is_adapted", [True, False])
def test_the_channels_of_trust(folder: Path, ckpt: Path, adapted: tuple[Path, str], is_adapted: bool) -> None:
    camera = ["--camera", str(adapted[0])] if is_adapted else []
    assert run("convert", "photo.jpg", "--trust", *camera, ckpt=ckpt) == 0
    channels = OpenEXR.File("photo.exr", separate_channels=True).channels()
    assert set(channels) == {"R", "G", "B", "mask.clipped", "mask.invented", "sigma"}
    clipped, invented, sigma = (channels[name].pixels for name in ("mask.clipped", "mask.invented", "sigma"))
    assert clipped.min() == 0
    assert clipped.max() == 1
    assert invented.min() == 0 < invented.max() < 1
    assert (invented[clipped == 0] == 0).all()
    check = read_profile(adapted[0]).check
    assert check is not None
    least = check.stops[read_profile(adapted[0]).steps] if is_adapted else 0.8
    assert sigma.min() == pytest.approx(least, rel=0.05)
    assert read_radiance("photo.exr").shape == (3, 128, 128)


def test_trust_is_for_exr_only(folder: Path, ckpt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("convert", "photo.jpg", "--trust", "--format", "hdr", ckpt=ckpt) == 2
    assert "--trust adds channels that only exr has, got photo.hdr" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "evs"),
    [
        (["--ev", "-2,0,2"], [-2, 0, 2]),
        (["--ev=-2,0,2"], [-2, 0, 2]),
        (["--ev", "-2/3,0,+2/3"], [-2 / 3, 0, 2 / 3]),
        (["--ev", "-.5, 0, .5"], [-0.5, 0, 0.5]),
        (["--ev", "\N{MINUS SIGN}1 0 1"], [-1, 0, 1]),
    ],
)
def test_forms_of_stops(words: list[str], evs: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    monkeypatch.setattr("ldr2hdr.cli.adapt._run", lambda args: found.append(args) or 0)
    assert cli.main(["adapt", "bracket", *words, "-o", "a.ldr2hdr"]) == 0
    assert found[0].ev == evs
    assert found[0].folders == [Path("bracket")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ev", "a,b"], "expected stops between commas, such as -2,0,2 .*, got 'a,b'"),
        (["--ev", ""], "expected stops between commas"),
        (["--ev", "1/0"], "expected stops between commas"),
        (["--ev", "nan,0"], "expected stops between commas"),
        (["--steps", "-1"], "expected a number of steps, 0 or more, got '-1'"),
    ],
)
def test_strange_numbers_are_wrong_usage(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["adapt", "bracket", "-o", "a.ldr2hdr", *words])
    assert re.search(message, capsys.readouterr().err)


def test_stops_go_to_the_photographs_in_the_order_of_names(
    folder: Path, ckpt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("-o", "a.ldr2hdr", "--no-check")
    assert run("adapt", "bracket", "--ev", "0,-2,2", *options, ckpt=ckpt) == 1
    assert "wrong exposure times" in capsys.readouterr().err
    assert run("adapt", "bracket", "--ev", "-2,0,2", *options, ckpt=ckpt) == 0
    assert "not checked: nothing was kept out" in capsys.readouterr().out


def test_a_bracket_that_cannot_teach_leaves_no_profile(
    folder: Path, ckpt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bracket/exposures.csv").write_text("file,exposure_time_s\n0.jpg,0.01\n1.jpg,0.02\n2.jpg,0.64\n")
    assert run("adapt", "bracket", "-o", "a.ldr2hdr", ckpt=ckpt) == 1
    error = capsys.readouterr().err
    assert re.fullmatch(r"ldr2hdr: error: wrong exposure times: .* by \+1.0, \+5.0 stops, .*: bracket\n", error)
    assert not Path("a.ldr2hdr").exists()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("old.ldr2hdr", "refusing to overwrite old.ldr2hdr; use --force"),
        ("bracket", "expected -o to be the name of a camera profile, got a folder: bracket"),
        ("missing/a.ldr2hdr", "the folder missing to write a.ldr2hdr to does not exist"),
        ("locked/a.ldr2hdr", "the folder locked to write a.ldr2hdr to is read-only"),
    ],
)
def test_where_no_profile_can_be_written(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, out: str, message: str
) -> None:
    Path("old.ldr2hdr").write_bytes(b"old")
    Path("locked").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != Path("locked"))
    assert cli.main(["adapt", "bracket", "-o", out]) == 2
    assert message in capsys.readouterr().err
    assert Path("old.ldr2hdr").read_bytes() == b"old"


def test_force_overwrites_a_profile(folder: Path, ckpt: Path) -> None:
    Path("a.ldr2hdr").write_bytes(b"old")
    assert run("adapt", "bracket", "-o", "a.ldr2hdr", "--force", "--steps", "0", ckpt=ckpt) == 0
    assert read_profile("a.ldr2hdr").num_frames == 3


def test_a_report_beside_the_profile(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prior = save_checkpoint(tmp_path / "prior.ckpt", "response=prior")
    words = ("adapt", "bracket", "-o", "a.ldr2hdr", "--report", "a.html", "--no-check")
    assert run(*words, ckpt=prior) == 0
    assert "wrote a.html" in capsys.readouterr().out
    assert "f/8, ISO 100, 0.003906 s to 0.0625 s" in Path("a.html").read_text(encoding="utf-8")
    assert run(*words, ckpt=prior) == 2
    assert "refusing to overwrite a.ldr2hdr" in capsys.readouterr().err


def test_no_report_of_a_response_without_a_curve(folder: Path, ckpt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("adapt", "bracket", "-o", "a.ldr2hdr", "--report", "a.html", ckpt=ckpt) == 1
    assert "--report shows a curve, and the response of this checkpoint has none" in capsys.readouterr().err
    assert not Path("a.ldr2hdr").exists()
