"""EXIF: the eight orientations against Pillow, what cameras call themselves, and blocks that are damaged."""

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from ldr2hdr.io.exif import Place, Shot, parse_exif, turn_stored, turn_upright


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


def place_block(latitude, north, longitude, east, **more):
    exif = Image.Exif()
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps.update({ExifTags.GPS.GPSLatitude: latitude, ExifTags.GPS.GPSLatitudeRef: north})
    gps.update({ExifTags.GPS.GPSLongitude: longitude, ExifTags.GPS.GPSLongitudeRef: east})
    gps.update({ExifTags.GPS[name]: value for name, value in more.items()})
    return exif.tobytes()


def test_a_place_is_told_in_degrees():
    """Sydney's opera house, and the shore of the Dead Sea."""
    south = parse_exif(place_block((33.0, 51.0, 24.48), "S", (151.0, 12.0, 54.72), "E"))
    assert south.place is not None
    assert south.place == pytest.approx(Place(-33.8568, 151.2152), nan_ok=False)
    below = parse_exif(place_block((31.0, 30.0, 0.0), "N", (35.0, 30.0, 0.0), "W", GPSAltitude=430.0, GPSAltitudeRef=1))
    assert below.place == (31.5, -35.5, -430.0)


@pytest.mark.parametrize(
    "gps",
    [
        ((91.0, 0.0, 0.0), "N", (0.0, 0.0, 0.0), "E"),
        ((1.0, 0.0), "N", (0.0, 0.0, 0.0), "E"),
        ((1.0, 0.0, 0.0), "X", (0.0, 0.0, 0.0), "E"),
        ((1.0, 0.0, 0.0), "N", (181.0, 0.0, 0.0), "W"),
        ((1.0, 0.0, 0.0), 7, (0.0, 0.0, 0.0), "E"),
    ],
)
def test_what_is_no_place_on_earth_is_not_told(gps):
    assert parse_exif(place_block(*gps)).place is None


def test_a_text_is_one_line():
    assert parse_exif(block(Model="X100\n\nEXPOSURE=2\0")).model == "X100  EXPOSURE=2"


def test_random_damage_tells_less_and_never_fails(rng):
    whole = block(Make="Canon", Model="R5", Orientation=6, DateTime="2024:01:01 00:00:00")
    for _ in range(300):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = rng.integers(256)
        assert parse_exif(bytes(damaged)).orientation in range(1, 9)
