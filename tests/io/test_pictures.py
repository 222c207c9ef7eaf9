"""Reading and writing by content and extension; nothing half-written remains."""

import os

import numpy as np
import OpenEXR
import pytest
import torch
from PIL import ExifTags, Image

from ldr2hdr.io import HDR_FORMATS, ImageError, read_ldr, read_photo, read_radiance, write_image
from ldr2hdr.io.exr import write_exr
from ldr2hdr.io.files import kind_of


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
        ("a.webp", 1, "expected a name ending in .*, .exr, .avif or .jxl, got '.webp'"),
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


LAYERS = {"mask.clipped": torch.zeros(6, 9)}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.hdr", {"layers": LAYERS}, "expected .exr for layers and attributes, got '.hdr'"),
        ("a.png", {"attributes": {"comments": "x"}}, "expected .exr for layers and attributes, got '.png'"),
        ("a.hdr", {"format": "exr"}, r"one of exr \(.exr\), hdr .*, got 'exr': .*a\.hdr"),
        ("a.exr", {"format": "psd"}, "expected a format and its extension, .*, got 'psd'"),
        ("a.exr", {"layers": {"R": torch.zeros(6, 9)}}, "expected a layer named otherwise than a colour, got 'R'"),
        ("a.exr", {"layers": {"": torch.zeros(6, 9)}}, "expected a layer named otherwise than a colour, got ''"),
        ("a.exr", {"layers": {"sigma": torch.zeros(6, 8)}}, r"expected layer 'sigma' to be \(6, 9\), got \(6, 8\)"),
    ],
)
def test_options_that_do_not_fit_are_refused_and_leave_nothing(tmp_path, picture, name, options, message):
    with pytest.raises(ImageError, match=message):
        write_image(tmp_path / name, picture, **options)
    assert list(tmp_path.iterdir()) == []


def test_exr_holds_layers_camera_and_notes(tmp_path, picture):
    Image.fromarray((picture.movedim(0, -1).numpy() * 255).astype(np.uint8)).save(tmp_path / "a.jpg", exif=shot_exif())
    photo = read_photo(tmp_path / "a.jpg")
    layers = {"mask.clipped": picture[0].gt(0.5).float(), "mask.invented": picture[1], "sigma": picture[2] * 1e6}
    write_image(tmp_path / "a.exr", picture, photo=photo, layers=layers, attributes={"comments": "single-shot"})
    stored = OpenEXR.File(str(tmp_path / "a.exr"))
    header, channels = stored.header(), stored.channels()
    assert (header["cameraMake"], header["cameraModel"], header["comments"]) == ("Nikon", "D750", "single-shot")
    assert header["capDate"] == "2024:05:06 07:08:09"
    assert (header["expTime"], header["aperture"], header["isoSpeed"]) == pytest.approx((0.004, 2.8, 200))
    assert header["chromaticities"][:2] == pytest.approx((0.64, 0.33))
    for name, layer in layers.items():
        assert channels[name].pixels.dtype == (np.float32 if name == "sigma" else np.float16)
        np.testing.assert_allclose(channels[name].pixels, layer, rtol=2**-11, atol=1e-7)
    assert torch.equal(read_radiance(tmp_path / "a.exr"), picture)


def shot_exif():
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Nikon", "D750"
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.ExposureTime: 0.004,
            ExifTags.Base.FNumber: 2.8,
            ExifTags.Base.ISOSpeedRatings: 200,
            ExifTags.Base.DateTimeOriginal: "2024:05:06 07:08:09",
        }
    )
    return exif


KINDS = {"exr": "OpenEXR", "hdr": "Radiance HDR", "ultrahdr": "JPEG", "avif": "AVIF", "jxl": "JPEG XL", "tiff": "TIFF"}


@pytest.mark.parametrize("name", HDR_FORMATS)
@pytest.mark.parametrize(("size", "light"), [((1, 1), 3.0), ((1, 1), 0.0), ((3, 17), 0.0)])
def test_every_format_takes_a_single_pixel_and_the_dark(tmp_path, name, size, light):
    for module in {"avif": ["imagecodecs"], "jxl": ["imagecodecs"], "tiff": ["tifffile"]}.get(name, []):
        pytest.importorskip(module, reason="extra formats")
    Image.new("RGB", size[::-1], "white" if light else "black").save(tmp_path / "photo.png")
    photo = read_photo(tmp_path / "photo.png")
    path = tmp_path / f"a{HDR_FORMATS[name][0]}"
    write_image(path, torch.full((3, *size), light), format=name, photo=photo)
    assert kind_of(path) == KINDS[name]


def test_half_floats_are_stored_as_they_are(tmp_path, picture):
    write_image(tmp_path / "a.exr", picture.half())
    write_image(tmp_path / "b.hdr", picture.half())
    assert torch.equal(read_radiance(tmp_path / "a.exr"), picture)
    torch.testing.assert_close(read_radiance(tmp_path / "b.hdr"), picture, rtol=0, atol=1 / 256)


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
