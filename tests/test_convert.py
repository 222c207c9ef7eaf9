"""Which file a photograph becomes, and that it holds what the network said."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ldr2hdr.convert import Job, convert_photo, plan_jobs
from ldr2hdr.io import ImageError, read_ldr, read_radiance, write_image


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
        (["a.jpg"], "x.png", None, "ending in .exr or .hdr, got .*x.png"),
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

    def predictor(pictures: Tensor) -> Tensor:
        assert torch.is_inference_mode_enabled()
        return pictures * 8 / ldr.max()

    converted = convert_photo(job, predictor)
    expected = ldr * 8 / ldr.max()
    peak = expected.amax(0).max()
    assert (read_radiance(job.output) - expected).abs().max() <= tolerance * peak
    assert (converted.height, converted.width) == size
    assert converted.stops_above_white == pytest.approx(3.0, abs=1e-6)


def test_a_black_result_has_no_brightest_pixel(tmp_path: Path) -> None:
    job = Job(tmp_path / "a.png", tmp_path / "a.hdr")
    write_image(job.photo, torch.zeros(3, 2, 2))
    assert convert_photo(job, torch.zeros_like).stops_above_white == -math.inf


def test_a_broken_prediction_leaves_no_file(tmp_path: Path) -> None:
    job = Job(tmp_path / "a.png", tmp_path / "a.exr")
    write_image(job.photo, torch.zeros(3, 2, 2))
    with pytest.raises(ImageError, match=r"12 NaN or infinite ones: .*a.exr"):
        convert_photo(job, lambda pictures: pictures + math.nan)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
