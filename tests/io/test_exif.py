"""EXIF: the eight orientations against Pillow, what cameras call themselves, and blocks that are damaged."""

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from ldr2hdr.io.exif import Shot, exif_of_tiff, parse_exif, turn_stored, turn_upright, upright_exif


def block(**options):
    exif = Image.Exif()
    exif.endian = options.pop("endian", "<")
    for name, value in options.items():
        exif[ExifTags.Base[name]] = value
    return exif.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_agrees_with_pillow_and_can_be_undone(orientation):
    stored = torch.arange(2 * 3 * 4, dtype=torch.uint8).reshape(2, 3, 4)
    for plane in stored:
        picture = Image.fromarray(plane.numpy())
        picture.getexif()[ExifTags.Base.Orientation] = orientation
        expected = np.asarray(ImageOps.exif_transpose(picture))
        np.testing.assert_array_equal(turn_upright(plane, orientation), expected)
    assert torch.equal(turn_stored(turn_upright(stored, orientation), orientation), stored)


@pytest.mark.parametrize("endian", ["<", ">"])
def test_an_upright_block_differs_in_the_orientation_alone(endian):
    before = block(Make="Nikon", Orientation=6, endian=endian)
    after = upright_exif(before)
    assert (parse_exif(before).orientation, parse_exif(after).orientation) == (6, 1)
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    assert upright_exif(b"II*\0 and then nothing") == b"II*\0 and then nothing"
    assert upright_exif(b"") == b""


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS R5", "Canon EOS R5"),
        ("NIKON CORPORATION", "NIKON D750", "NIKON D750"),
        ("SONY", "ILCE-7M3", "SONY ILCE-7M3"),
        ("Apple", None, "Apple"),
        (None, "X100V", "X100V"),
        (None, None, None),
    ],
)
def test_a_camera_is_named_without_repetition(make, model, camera):
    assert Shot(make=make, model=model).camera == camera


def test_what_is_not_told_is_none():
    assert parse_exif(None) == parse_exif(b"") == parse_exif(block()) == Shot()
    assert parse_exif(block(Orientation=9)).orientation == 1


def test_a_tiff_file_tells_camera_and_settings_and_nothing_of_its_pixels():
    exif = Image.Exif()
    exif[ExifTags.Base.Model], exif[ExifTags.Base.Orientation], exif[ExifTags.Base.ImageWidth] = "One", 3, 4000
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FNumber] = 4.0
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    kept = exif_of_tiff(exif.tobytes().removeprefix(b"Exif\0\0"))
    assert kept is not None
    shot = parse_exif(kept)
    assert (shot.model, shot.orientation, shot.f_number) == ("One", 3, 4.0)
    read = Image.Exif()
    read.load(kept)
    assert ExifTags.Base.ImageWidth not in read
    assert read.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
    assert exif_of_tiff(b"II*\0") is None


def test_random_damage_tells_less_and_never_fails(rng):
    whole = block(Make="Canon", Model="R5", Orientation=6, DateTime="2024:01:01 00:00:00")
    for _ in range(300):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = rng.integers(256)
        assert parse_exif(bytes(damaged)).orientation in range(1, 9)
        assert len(upright_exif(bytes(damaged))) == len(damaged)
        assert exif_of_tiff(bytes(damaged)) is None or isinstance(exif_of_tiff(bytes(damaged)), bytes)
