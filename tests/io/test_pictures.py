"""Reading and writing by content and extension; nothing half-written remains."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from ldr2hdr.io import ImageError, read_ldr, read_radiance, write_image
from ldr2hdr.io.exr import write_exr


@pytest.fixture
def picture(rng):
    """Three unequal channels without symmetry, in [0, 1]."""
    return torch.from_numpy(rng.random((3, 6, 9)).astype(np.float16).astype(np.float32))


@pytest.mark.parametrize(("suffix", "tolerance"), [(".exr", 0), (".hdr", 1 / 256)])
def test_hdr_round_trip_keeps_order_range_and_type(tmp_path, picture, suffix, tolerance):
    radiance = picture * 32
    write_image(tmp_path / f"a{suffix}", radiance)
    read = read_radiance(tmp_path / f"a{suffix}")
    assert read.dtype == torch.float32
    assert read.max() > 1  # 8-bit readers clip here
    torch.testing.assert_close(read, radiance, rtol=0, atol=tolerance * 32)


def test_single_precision_exr_is_bit_exact(tmp_path):
    radiance = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0)) * 1e5
    write_image(tmp_path / "a.exr", radiance, is_half=False)
    assert torch.equal(read_radiance(tmp_path / "a.exr"), radiance)


@pytest.mark.parametrize(("name", "tolerance"), [("a.png", 0.5 / 255), ("a.PNG", 0.5 / 255), ("a.jpg", 0.02)])
def test_ldr_round_trip(tmp_path, name, tolerance):
    ramp = torch.linspace(0, 1, 32).expand(3, 16, 32) * torch.tensor([1.0, 0.8, 0.6])[:, None, None]
    write_image(tmp_path / name, ramp)
    torch.testing.assert_close(read_ldr(tmp_path / name), ramp, rtol=0, atol=tolerance + 1e-6)


def test_content_decides_and_not_the_name(tmp_path, picture):
    write_image(tmp_path / "a.exr", picture)
    (tmp_path / "a.exr").rename(tmp_path / "a.hdr")
    assert torch.equal(read_radiance(tmp_path / "a.hdr"), picture)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff"])
def test_an_ldr_file_given_as_hdr_is_refused(tmp_path, suffix):
    saved = tmp_path / f"saved.{suffix}"
    Image.new("RGB", (4, 4)).save(saved)
    saved.rename(tmp_path / "a.hdr")
    with pytest.raises(ImageError, match=r"expected an HDR picture \(.hdr or .exr\), got (PNG|JPEG|TIFF): .*a\.hdr"):
        read_radiance(tmp_path / "a.hdr")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"found no such file: .*none\.exr"):
        read_radiance(tmp_path / "none.exr")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_pixels_are_counted_and_refused(tmp_path, picture, bad):
    spoiled = picture.clone()
    spoiled[1, 2, 3:5] = bad
    write_exr(tmp_path / "a.exr", spoiled.movedim(0, -1).numpy(), is_half=False)
    with pytest.raises(ImageError, match=r"got 2 NaN or infinite ones: .*a\.exr"):
        read_radiance(tmp_path / "a.exr", allow_negative=True)
    with pytest.raises(ImageError, match=r"got 2 NaN or infinite ones"):
        write_image(tmp_path / "b.exr", spoiled)


def test_negative_pixels_are_counted_and_refused_unless_allowed(tmp_path, picture):
    spoiled = picture.clone()
    spoiled[0, 0, :4] = -0.5
    write_exr(tmp_path / "a.exr", spoiled.movedim(0, -1).numpy())
    with pytest.raises(ImageError, match=r"got 4 down to -0.5: .*a\.exr"):
        read_radiance(tmp_path / "a.exr")
    assert torch.equal(read_radiance(tmp_path / "a.exr", allow_negative=True), spoiled)


@pytest.mark.parametrize(
    ("name", "factor", "message"),
    [
        ("a.webp", 1, "expected a name ending in .exr, .hdr, .png or .jpg, got '.webp'"),
        ("a", 1, "got 'none'"),
        ("a.png", 2, r"expected display-referred values in \[0, 1\] for .png"),
        ("a.hdr", 3e38, "for .hdr, got"),
        ("folder/a.exr", 1, "expected an existing folder to write to, got .*folder for a.exr"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(tmp_path, picture, name, factor, message):
    with pytest.raises(ImageError, match=message):
        write_image(tmp_path / name, picture.clamp(min=0.6) * factor)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".exr", ".hdr", ".png", ".jpg"])
def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path, picture, suffix, monkeypatch):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_image(path, picture)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"old"
