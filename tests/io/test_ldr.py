"""LDR pictures against Pillow, and every way a file can be wrong."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from ldr2hdr.io import ImageError, read_ldr

FORMATS = ["png", "jpg", "tiff"]


@pytest.fixture
def levels(rng):
    """A smooth picture without symmetry, which JPEG keeps to a few levels."""
    y, x = np.mgrid[0:24, 0:40]
    return np.stack([x * 6, y * 10, (x + y) * 4], axis=-1).clip(0, 255).astype(np.uint8)


def save(path, picture, **options):
    picture.save(path, **({"quality": 98, "subsampling": 0} if path.suffix == ".jpg" else {}) | options)
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_agrees_with_pillow(tmp_path, levels, suffix):
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(levels))
    picture = read_ldr(path)
    expected = np.asarray(Image.open(path), np.float32).transpose(2, 0, 1) / 255
    assert picture.shape == (3, 24, 40)
    np.testing.assert_allclose(picture.numpy(), expected, atol=1.5 / 255 if suffix == "jpg" else 1e-7)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_exif_orientation_is_applied(tmp_path, levels, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"tiffinfo": {0x0112: orientation}} if suffix == "tiff" else {"exif": exif}
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(levels), **options)
    turned = {2: levels[:, ::-1], 3: levels[::-1, ::-1], 6: np.rot90(levels, -1), 8: np.rot90(levels)}[orientation]
    np.testing.assert_allclose(read_ldr(path).numpy(), turned.transpose(2, 0, 1) / 255, atol=6 / 255)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_kept(tmp_path, rng, suffix):
    bgr = rng.integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), bgr)
    expected = bgr[..., ::-1].transpose(2, 0, 1).astype(np.float32) / 65535
    np.testing.assert_array_equal(read_ldr(tmp_path / f"a.{suffix}").numpy(), expected)


@pytest.mark.parametrize("suffix", FORMATS)
def test_grey_becomes_three_equal_channels(tmp_path, levels, suffix):
    picture = read_ldr(save(tmp_path / f"a.{suffix}", Image.fromarray(levels[..., 0])))
    np.testing.assert_array_equal(picture[0], picture[1])
    np.testing.assert_array_equal(picture[0], picture[2])
    np.testing.assert_allclose(picture[0].numpy(), levels[..., 0] / 255, atol=3 / 255)


def test_opaque_alpha_is_dropped_and_transparency_refused(tmp_path, levels):
    alpha = np.full(levels.shape[:2], 255, np.uint8)
    path = save(tmp_path / "a.png", Image.fromarray(np.dstack([levels, alpha])))
    np.testing.assert_allclose(read_ldr(path).numpy(), levels.transpose(2, 0, 1) / 255, atol=1e-7)
    alpha[3, 4] = 254
    save(path, Image.fromarray(np.dstack([levels, alpha])))
    with pytest.raises(ImageError, match=r"expected an opaque picture.*a\.png"):
        read_ldr(path)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kept", [0.01, 0.05, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, rng, suffix, kept):
    noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(noise))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageError, match=rf"(truncated|damaged).*a\.{suffix}"):
        read_ldr(path)


def test_a_truncated_jpeg_with_an_intact_thumbnail_is_refused(tmp_path, levels):
    thumbnail = io.BytesIO()
    Image.fromarray(levels).save(thumbnail, "jpeg")
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "jpeg")
    whole, inner = buffer.getvalue(), thumbnail.getvalue()
    segment = b"\xff\xe2" + struct.pack(">H", len(inner) + 2) + inner
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[:2] + segment + whole[2:-20])
    with pytest.raises(ImageError, match="the JPEG file is truncated, its end marker is missing"):
        read_ldr(path)
    path.write_bytes(whole[:2] + segment + whole[2:] + b"maker trailer")
    assert read_ldr(path).shape == (3, 24, 40)


def huge_png():
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 100000, 100000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_an_absurd_size_is_refused_before_decoding(tmp_path):
    (tmp_path / "a.png").write_bytes(huge_png())
    with pytest.raises(ImageError, match=r"the header says 100000 x 100000: .*a\.png"):
        read_ldr(tmp_path / "a.png")


def test_floating_point_tiff_is_refused(tmp_path, rng):
    cv2.imwrite(str(tmp_path / "a.tiff"), rng.random((4, 4, 3)).astype(np.float32))
    with pytest.raises(ImageError, match=r"expected 8 or 16 bits a channel, got floating point, which is HDR already"):
        read_ldr(tmp_path / "a.tiff")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "found no such file"),
        (b"", "the file is empty"),
        (b"GIF89a", "expected an LDR picture .* got GIF"),
        (b"#?RADIANCE\n", "expected an LDR picture .* got Radiance HDR"),
        (b"\x76\x2f\x31\x01\x02", "expected an LDR picture .* got OpenEXR"),
        (b"\xff\xd8\xff", "the JPEG header is truncated or damaged"),
    ],
)
def test_what_is_no_ldr_picture_is_refused_whatever_its_name(tmp_path, content, message):
    path = tmp_path / "photo.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError, match=message + r".*photo\.jpg"):
        read_ldr(path)


def test_damage_inside_is_refused(tmp_path, levels):
    path = save(tmp_path / "a.png", Image.fromarray(levels))
    data = bytearray(path.read_bytes())
    start = data.index(b"IDAT") + 4
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"cannot be decoded|damaged"):
        read_ldr(path)
