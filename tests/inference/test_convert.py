"""Which file a photograph becomes, and that it holds what the network said."""

import math
from pathlib import Path

import pytest
import torch
from plain import plain
from torch import Tensor, nn

from ldr2hdr.backbones.unet import UNet
from ldr2hdr.inference import tiling
from ldr2hdr.inference.convert import convert_photo
from ldr2hdr.inference.outputs import Job, plan_jobs
from ldr2hdr.io import ImageError, read_ldr, read_radiance, write_image
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.response.local import LocalRidgeResponse
from ldr2hdr.tasks import Shots


def plan(photos: list[str], out: Path, *, extension: str | None = None, is_forced: bool = False) -> list[Job]:
    return plan_jobs([Path(name) for name in photos], out, extension=extension, is_forced=is_forced)


def test_one_photo_goes_to_the_name_given(tmp_path: Path) -> None:
    out = tmp_path / "x.HDR"
    assert plan(["a.jpg"], out) == plan(["a.jpg"], out, extension="hdr") == [Job(Path("a.jpg"), out)]


def test_a_folder_takes_any_number(tmp_path: Path) -> None:
    assert [job.output.name for job in plan(["a.jpg", "b/c.d.png"], tmp_path)] == ["a.exr", "c.d.exr"]
    assert [job.output.name for job in plan(["a.jpg"], tmp_path, extension="hdr")] == ["a.hdr"]


@pytest.mark.parametrize(
    ("photos", "out", "extension", "message"),
    [
        (["a.jpg", "b.jpg"], "x.exr", None, "several photographs need an existing folder"),
        (["a.jpg"], "x.png", None, "ending in one of .exr, .hdr, .*, got .*x.png"),
        (["a.jpg"], "x.exr", "hdr", "--format hdr contradicts"),
        (["a.jpg"], "missing/x.exr", None, "missing to write x.exr to does not exist"),
        (["a.jpg", "sub/a.png"], ".", None, "a.jpg and sub/a.png would both become"),
    ],
)
def test_names_that_do_not_fit_are_refused(
    tmp_path: Path, photos: list[str], out: str, extension: str | None, message: str
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        plan(photos, tmp_path / out, extension=extension)


def test_nothing_is_overwritten_unasked_and_a_photo_never(tmp_path: Path) -> None:
    names = [f"{name}.exr" for name in "abcde"]
    for name in names:
        (tmp_path / name).write_bytes(b"old")
    with pytest.raises(FileExistsError, match=r"a.exr, .*b.exr, .*c.exr and 2 more; use --force"):
        plan([f"{name}.jpg" for name in "abcde"], tmp_path)
    assert plan(["a.jpg"], tmp_path / "a.exr", is_forced=True)[0].output == tmp_path / "a.exr"
    with pytest.raises(ValueError, match="is one of the photographs"):
        plan([str(tmp_path / "a.exr")], tmp_path / "a.exr", is_forced=True)


@pytest.mark.parametrize(("extension", "tolerance"), [("exr", 5e-4), ("hdr", 4e-3)])
@pytest.mark.parametrize("size", [(5, 7), (1, 1)])
def test_the_file_holds_what_the_network_said(
    tmp_path: Path, generator: torch.Generator, extension: str, tolerance: float, size: tuple[int, int]
) -> None:
    job = Job(tmp_path / "a.png", tmp_path / f"a.{extension}")
    write_image(job.photo, torch.rand((3, *size), generator=generator))
    ldr = read_ldr(job.photo)

    def function(pictures: Tensor) -> Tensor:
        assert torch.is_inference_mode_enabled()
        return pictures * 8 / ldr.max()

    converted = convert_photo(job, plain(function))
    expected = ldr * 8 / ldr.max()
    peak = expected.amax(0).max()
    assert (read_radiance(job.output) - expected).abs().max() <= tolerance * peak
    assert (converted.height, converted.width) == size
    assert converted.stops_above_white == pytest.approx(3.0, abs=1e-6)


def test_a_black_result_has_no_brightest_pixel(tmp_path: Path) -> None:
    job = Job(tmp_path / "a.png", tmp_path / "a.hdr")
    write_image(job.photo, torch.zeros(3, 2, 2))
    assert convert_photo(job, plain(torch.zeros_like)).stops_above_white == -math.inf


def test_a_broken_prediction_leaves_no_file(tmp_path: Path) -> None:
    job = Job(tmp_path / "a.png", tmp_path / "a.exr")
    write_image(job.photo, torch.zeros(3, 2, 2))
    with pytest.raises(ImageError, match=r"12 NaN or infinite ones: .*a.exr"):
        convert_photo(job, plain(lambda pictures: pictures + math.nan))
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def write_photo(path: Path, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    write_image(path, torch.rand((3, *size), generator=generator))
    return read_ldr(path)


def make_model(norm: str = "pixel") -> Reconstructor:
    model = Reconstructor(LocalRidgeResponse(), UNet((4, 8), norm=norm))
    nn.init.constant_(model.backbone.head.conv.weight, 0.3)
    return model


def test_a_large_photo_is_reconstructed_on_tiles_as_the_whole_would_be(
    tmp_path: Path, generator: torch.Generator
) -> None:
    ldr = write_photo(tmp_path / "a.png", (40, 1300), generator)
    model = make_model()
    support = Shots(ldr[None, :, :, :64], ldr[None, :, :, :64].pow(1.5) * 2)
    statistics = model.sufficient_statistics(support)
    for given in (None, statistics):
        converted = convert_photo(Job(tmp_path / "a.png", tmp_path / "a.exr"), model.bind(given))
        with torch.inference_mode():
            expected = model(ldr[None], given)[0]
        torch.testing.assert_close(read_radiance(tmp_path / "a.exr"), expected, atol=1e-5, rtol=6e-4)
        assert converted.stops_above_white == pytest.approx(expected.max().log2().item(), abs=1e-4)
        assert (converted.height, converted.width) == (40, 1300)


def test_the_network_never_sees_more_than_a_tile(tmp_path: Path, generator: torch.Generator) -> None:
    write_photo(tmp_path / "a.png", (30, 1300), generator)
    model, widths = make_model(), []
    model.backbone.register_forward_hook(lambda net, inputs, output: widths.append(output.shape[-1]))
    network, shares = model.bind(), []
    assert network.locality is not None  # for which it is tried on long strips
    widths.clear()
    convert_photo(Job(tmp_path / "a.png", tmp_path / "a.exr"), network, on_share=shares.append)
    assert shares == [0, pytest.approx(1 / 3, abs=0.01), pytest.approx(2 / 3, abs=0.01)]
    assert max(widths) <= 512 + 2 * 64
    assert sum(widths) >= 1300


def test_a_network_of_the_whole_picture_converts_only_small_photos(
    tmp_path: Path, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, job = make_model("group"), Job(tmp_path / "a.png", tmp_path / "a.exr")
    ldr = write_photo(job.photo, (30, 40), generator)
    convert_photo(job, model.bind())
    with torch.inference_mode():
        torch.testing.assert_close(read_radiance(job.output), model(ldr[None])[0], atol=1e-5, rtol=6e-4)
    job.output.unlink()
    monkeypatch.setattr(tiling, "_WHOLE_PX", 1000)
    with pytest.raises(ValueError, match=r"UNet cannot work on tiles.*up to 0\.0 megapixels.*make it smaller"):
        convert_photo(job, model.bind())
    assert not job.output.exists()


@pytest.mark.parametrize("brightest", [6e4, 7e4])
def test_light_beyond_half_floats_is_kept(tmp_path: Path, generator: torch.Generator, brightest: float) -> None:
    ldr = write_photo(tmp_path / "a.png", (8, 9), generator)
    job = Job(tmp_path / "a.png", tmp_path / "a.exr")
    converted = convert_photo(job, plain(lambda pictures: pictures * brightest / ldr.max()))
    assert converted.stops_above_white == pytest.approx(math.log2(brightest), abs=1e-5)
    torch.testing.assert_close(read_radiance(job.output), ldr * brightest / ldr.max(), atol=1e-4, rtol=6e-4)


def test_a_preview_is_written_beside_the_file(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", torch.rand(3, 12, 16))
    job = Job(tmp_path / "a.png", tmp_path / "a.exr")
    convert_photo(job, plain(lambda ldr: ldr * 3))
    assert not (tmp_path / "a_preview.jpg").exists()
    convert_photo(job, plain(lambda ldr: ldr * 3), has_preview=True)
    assert read_ldr(tmp_path / "a_preview.jpg").shape == (3, 12, 16)
