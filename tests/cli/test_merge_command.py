"""``ldr2hdr merge`` from end to end: formats, several brackets, previews, and every wrong use."""

import numpy as np
import OpenEXR
import pytest
import torch
from merging.brackets import light_of, save, shoot, write_bracket
from PIL import Image

from ldr2hdr import cli, merge
from ldr2hdr.inference.merging import api
from ldr2hdr.inference.profiles.model import AdaptedCamera
from ldr2hdr.io import read_photo, read_radiance
from ldr2hdr.reconstructor import BoundReconstructor

EVS = (-2.0, 0.0, 2.0)


@pytest.fixture
def light():
    return light_of(np.random.default_rng(0))


@pytest.fixture
def folder(tmp_path, light, monkeypatch):
    """The working folder: a bracket with times in EXIF, and an empty folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bracket").mkdir()
    (tmp_path / "out").mkdir()
    for number, ev in enumerate(EVS):
        taken = f"2026:01:01 10:00:0{number}"
        save(tmp_path / f"bracket/{number}.jpg", shoot(light, ev), time_s=0.02 * 2.0**ev, taken=taken)
    return tmp_path


def run(*words):
    return cli.main(["merge", *words])


@pytest.mark.parametrize("name", ["a.exr", "a.hdr", "a.tiff", "a.avif", "a.jpg", "a.jxl"])
def test_all_formats_are_written(folder, name, capsys):
    if name == "a.jxl":
        pytest.importorskip("imagecodecs", reason="extra formats")
    assert run("bracket", "-o", name, "--preview") == 0
    assert (folder / name).stat().st_size > 1000
    with Image.open(folder / "a_preview.jpg") as preview:
        assert preview.size == (128, 96)
    told = capsys.readouterr().out
    assert f"wrote {name}: 3 photographs 4.0 stops apart by EXIF, 128 x 96 pixels" in told


def test_the_light_exif_and_uncertainty_are_in_the_file(folder, light):
    assert run("bracket", "-o", "a.exr", "--reference", "2") == 0
    error = np.log2(read_radiance("a.exr").movedim(0, -1).numpy() / light)
    assert np.std(error) < 0.2
    file = OpenEXR.File("a.exr", separate_channels=True)
    assert {"R", "G", "B", "mask.clipped", "mask.invented", "sigma"} <= set(file.channels())
    assert file.header()["expTime"] == pytest.approx(0.02)


def test_the_reference_is_the_base_of_ultra_hdr(folder):
    assert run("bracket", "-o", "a.jpg", "--reference", "3") == 0
    written, reference = read_photo("a.jpg"), read_photo("bracket/2.jpg")
    assert torch.equal(written.ldr, reference.ldr)
    assert written.source.shot.exposure_time_s == pytest.approx(0.08)


def test_the_anchor_scales(folder):
    assert run("bracket", "-o", "a.exr", "--reference", "2") == 0
    assert run("bracket", "-o", "b.exr", "--reference", "2", "--anchor", str(np.log2(0.02) + 1)) == 0
    torch.testing.assert_close(read_radiance("b.exr") * 0.5, read_radiance("a.exr"), rtol=2e-3, atol=1e-5)


def test_many_brackets_go_to_a_folder(folder, light):
    for number, ev in enumerate((*EVS, -1, 1)):
        taken = f"2026:01:01 11:00:0{number}"
        save(folder / f"bracket/{3 + number}.jpg", shoot(light, ev), time_s=0.02 * 2.0**ev, taken=taken)
    save(folder / "bracket/9.jpg", shoot(light, 0), time_s=0.02, taken="2026:01:01 12:00:00")
    assert run("bracket", "-o", "out", "--format", "hdr") == 0
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["0.hdr", "3.hdr"]
    assert run("bracket", "-o", "a.exr") == 2


def test_one_bad_bracket_leaves_the_others(folder, light, capsys):
    write_bracket(folder / "bad", {0.0: shoot(light, 0), 1.0: shoot(light[:40], 1)}, suffix=".jpg")
    for path in (folder / "bad").glob("*.jpg"):
        path.rename(path.with_name(f"x{path.name}"))
    csv = folder / "bad/exposures.csv"
    csv.write_text(csv.read_text().replace("0.jpg", "x0.jpg").replace("1.jpg", "x1.jpg"))
    assert run("bad", "bracket", "-o", "out") == 1
    captured = capsys.readouterr()
    assert "must have one size" in captured.err
    assert "1 of 2 brackets merged" in captured.out
    assert [path.name for path in (folder / "out").iterdir()] == ["0.exr"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bracket", "-o", "missing/a.exr"], "missing to write a.exr to does not exist"),
        (["bracket", "-o", "a.png"], "ending in one of .exr"),
        (["bracket", "bracket/0.jpg", "-o", "a.exr"], "got both"),
        (["bracket/0.jpg", "-o", "a.exr"], "two different photographs or more, got 0.jpg"),
        (["bracket", "-o", "a.exr", "--ev", "0,1"], "one finite exposure in stops for each of the 3"),
        (["out", "-o", "a.exr"], "two different photographs or more, got none"),
        (["bracket", "-o", "bracket/1.jpg", "--force"], "is one of the photographs"),
        (["nothing.jpg", "bracket/0.jpg", "-o", "a.exr"], "nothing.jpg"),
    ],
)
def test_wrong_use_writes_nothing(folder, words, message, capsys):
    before = sorted(folder.rglob("*"))
    assert run(*words) == 2
    assert message in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("words", [["--reference", "0"], ["--anchor", "nan"], ["--ev", "a,b"], ["--ev", "nan,0,1"]])
def test_numbers_that_are_none_are_refused(folder, words):
    with pytest.raises(SystemExit, match="2"):
        run("bracket", "-o", "a.exr", *words)


@pytest.mark.parametrize("words", [["--reference", "4"], ["--camera", "missing.ldr2hdr"]])
def test_what_cannot_be_used_fails(folder, words, capsys):
    assert run("bracket", "-o", "a.exr", *words) == 1
    assert "reference of 1 to 3, got 4" in (error := capsys.readouterr().err) or "missing.ldr2hdr" in error
    assert not (folder / "a.exr").exists()


def test_nothing_is_overwritten_unasked(folder):
    (folder / "a.exr").write_bytes(b"old")
    assert run("bracket", "-o", "a.exr") == 2
    assert run("bracket", "-o", "a.exr", "--force") == 0


def test_a_camera_gives_the_response(folder, light):
    from plain import plain

    camera = object.__new__(AdaptedCamera)  # whatever else a profile holds
    object.__setattr__(camera, "network", plain(lambda ldr: ldr))
    merged = merge("bracket", camera=camera, reference=2)
    assert np.std(np.log2(merged.exposure.movedim(0, -1).numpy() / light)) < 0.1
    # of inverse gamma 2.2
    curve = api.curve_of(camera.network).exp()
    torch.testing.assert_close(
        curve[[125, 250]], torch.tensor([[0.5**2.2], [1.0]]).double().expand(-1, 3), rtol=1e-4, atol=0
    )


def test_a_folder_of_several_is_no_single_bracket(folder, light):
    for number, ev in enumerate(EVS):
        save(folder / f"bracket/{3 + number}.jpg", shoot(light, ev), time_s=0.02 * 2.0**ev, taken="2026:01:01 11:00:00")
    with pytest.raises(ValueError, match="expected one bracket, the folder holds 2"):
        merge("bracket")
    assert merge(*sorted(folder.glob("bracket/[012].jpg")), evs=EVS).bracket.evs == EVS


def test_the_model_that_ships_fills(folder, light, capsys):
    bright = light.copy()
    bright[30:60, 30:60] = 1e4
    write_bracket(folder / "lamp", {ev: shoot(bright, ev) for ev in EVS})
    assert isinstance(api.filler(None, None)(), BoundReconstructor)
    assert run("lamp", "-o", "a.exr") == 0
    assert "white in every photograph: 7.3" in (told := capsys.readouterr().out)
    assert "filled by the network" in told
    invented = OpenEXR.File("a.exr", separate_channels=True).channels()["mask.invented"].pixels
    assert invented[:25].max() == 0
