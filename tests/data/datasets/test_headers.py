"""Headers: sizes as the decoders see them, EXIF of any quality, and every refusal."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from faults import store_by_columns, store_lying, store_with_data_window
from lookalikes import HEIGHT, WIDTH, light_of, shoot, write_hdr, write_ldr, write_png16
from PIL import ExifTags

from ldr2hdr.data.datasets.headers import read_header
from ldr2hdr.data.datasets.pixels import read_stored
from ldr2hdr.io import ImageError
from ldr2hdr.io.shot import Shot

BASE = ExifTags.Base


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.hdr", "a.exr", "deep.png"])
def test_the_size_is_that_of_the_decoded_picture(tmp_path, name):
    path, light = tmp_path / name, light_of(0)
    if name == "deep.png":
        write_png16(path, light * 100)
    else:
        write_hdr(path, light) if path.suffix in (".hdr", ".exr") else write_ldr(path, shoot(light, 0))
    faults = {".jpg": store_lying, ".hdr": store_by_columns, ".exr": store_with_data_window}
    for fault in (None, faults.get(path.suffix)):
        if fault:
            fault(path)
        assert read_header(path)[:2] == tuple(read_stored(path).shape[1:]) == (HEIGHT, WIDTH)


def jpeg(tmp_path, exif):
    return read_header(write_ldr(tmp_path / "a.jpg", shoot(light_of(0), 0), exif=exif))


def test_exif_tells_camera_and_setting(tmp_path):
    header = jpeg(
        tmp_path,
        {
            BASE.Make: "Acme ",
            BASE.Model: "X1",
            BASE.ExposureTime: 1 / 50,
            BASE.FNumber: 28 / 10,
            BASE.ISOSpeedRatings: 400,
        },
    )
    assert header.camera == "Acme X1"
    assert header.shot.exposure_time_s == pytest.approx(0.02)
    assert header.shot.ev == pytest.approx(np.log2(0.02 / 2.8**2 * 4))


@pytest.mark.parametrize("exif", [{}, {BASE.FNumber: 8.0}, {BASE.ExposureTime: 0.0}, {BASE.ExposureTime: "fast"}])
def test_without_a_time_there_is_no_setting(tmp_path, exif):
    header = jpeg(tmp_path, exif)
    assert header.shot.ev is None
    assert header.camera is None


def test_damaged_exif_tells_nothing(tmp_path):
    path = write_ldr(tmp_path / "a.jpg", shoot(light_of(0), 0), exif={BASE.ExposureTime: 0.5, BASE.Model: "X1"})
    data = path.read_bytes()
    start = data.index(b"Exif\0\0") + 6
    path.write_bytes(data[: start + 8] + b"\xff" * 20 + data[start + 28 :])
    assert read_header(path) == (HEIGHT, WIDTH, Shot())


def exr_of(*attributes):
    entries = b"".join(name + b"\0" + kind + b"\0" + struct.pack("<i", len(v)) + v for name, kind, v in attributes)
    return struct.pack("<II", 20000630, 2) + entries + b"\0"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.hdr", b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n", "expected a Radiance header"),
        ("a.hdr", b"#?RADIANCE\n\n-Y 400000 +X 400000\n", "expected a picture of 1 to"),
        ("a.exr", exr_of((b"compression", b"compression", b"\0")), "truncated or damaged"),
        ("a.exr", exr_of((b"dataWindow", b"box2i", struct.pack("<4i", 5, 5, 1, 1))), "truncated or damaged"),
        ("a.exr", exr_of((b"dataWindow", b"box2i", struct.pack("<4i", 0, 0, 7, 3)))[:30], "truncated|expected a"),
        ("a.jpg", b"\xff\xd8\xff\xe0 and nothing else", "header is truncated or damaged"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "header is truncated or damaged"),
        ("a.tif", b"II*\0\x08\0\0\0", "header is truncated or damaged"),
        ("a.txt", b"words", "expected an LDR picture .*, got an unknown format"),
    ],
)
def test_what_is_no_header_is_refused_by_name(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ImageError, match=rf"(?s)({message}).*{name}"):
        read_header(path)


def test_a_large_header_is_refused_without_a_warning(tmp_path):
    """Pillow warns of, and then refuses, pictures of more pixels than it likes."""
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros((2, 2, 3), np.uint8))
    data = bytearray(path.read_bytes())
    for side in (11_000, 20_000):
        data[16:24] = struct.pack(">II", side, side)
        data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
        path.write_bytes(data)
        if side == 11_000:
            assert read_header(path)[:2] == (side, side)
        else:
            with pytest.raises(ImageError, match=r"a\.png"):
                read_header(path)
