"""EXIF: the eight orientations against Pillow, what cameras call themselves, and blocks that are damaged."""

import struct

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from ldr2hdr.io.directories import Entry
from ldr2hdr.io.exif import Place, Shot, parse_exif, turn_stored, turn_upright
from ldr2hdr.io.exif_block import ExifBlock, encode_block

Base = ExifTags.Base


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


@pytest.mark.parametrize("kind", [2, 129])
@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ("Zoë Größe 写真".encode(), "Zoë Größe 写真"),
        ("Zoë Größe".encode("latin-1"), "Zoë Größe"),
        (b"X100\0of another camera", "X100"),
        (b"\0X100", None),
        (b" X100 \0", "X100"),
    ],
)
def test_text_is_that_of_the_camera(stored, told, kind):
    """ASCII by the standard and UTF-8 by the use, or UTF-8 by EXIF 3.0; it ends with a zero."""
    entries = [Entry(tag, kind, len(stored), stored) for tag in (Base.Make, Base.Model, Base.Artist)]
    lens = Entry(Base.LensModel, kind, len(stored), stored)
    shot = parse_exif(encode_block(ExifBlock(tuple(entries), (lens,))))
    assert (shot.make, shot.model, shot.owner, shot.lens_model) == (told,) * 4


@pytest.mark.parametrize(
    ("stored", "owner"),
    [
        (b"Ann\0", "Ann"),
        (b"Ann\0Bob\0", "Ann, Bob"),
        (b" \0Bob\0", "Bob"),
        (b"Ann\0Bob\0left over", "Ann, Bob"),
        (b" \0", "Eve"),
    ],
)
def test_a_copyright_is_of_two_parts(stored, owner):
    """By CIPA DC-008 of the photographer and the editor; a blank stands for no photographer."""
    entries = (Entry(Base.Copyright, 2, len(stored), stored), Entry(Base.Artist, 2, 4, b"Eve\0"))
    assert parse_exif(encode_block(ExifBlock(entries))).owner == owner


@pytest.mark.parametrize(
    ("original", "changed", "taken"),
    [
        ("2024:05:06 07:08:09", "2025:01:01 00:00:00", "2024:05:06 07:08:09"),
        ("0000:00:00 00:00:00", "2025:01:01 00:00:00", "2025:01:01 00:00:00"),
        ("    :  :     :  :  ", "0000:00:00 00:00:00", None),
        ("2024:02:30 00:00:00", "yesterday", None),
    ],
)
def test_an_unknown_date_is_not_told(original, changed, taken):
    exif = Image.Exif()
    exif[Base.DateTime] = changed
    exif.get_ifd(ExifTags.IFD.Exif)[Base.DateTimeOriginal] = original
    assert parse_exif(exif.tobytes()).taken == taken


@pytest.mark.parametrize("north", ["N", "n"])
@pytest.mark.parametrize(
    ("unknown", "latitude"),
    [(["degrees"], None), (["minutes"], 33.005), (["minutes", "seconds"], 33.0), (["seconds"], 33.5), ([], 33.505)],
)
def test_unknown_minutes_and_seconds_lose_no_place(north, unknown, latitude):
    """0/0 is unknown."""
    parts = {"degrees": (33, 1), "minutes": (30, 1), "seconds": (18, 1)} | dict.fromkeys(unknown, (0, 0))
    stored = struct.pack("<6I", *(number for part in parts.values() for number in part))
    zero = struct.pack("<6I", 0, 1, 0, 1, 0, 1)
    gps = (Entry(1, 2, 2, north.encode() + b"\0"), Entry(2, 5, 3, stored), Entry(3, 2, 2, b"e\0"), Entry(4, 5, 3, zero))
    place = parse_exif(encode_block(ExifBlock(place=gps))).place
    assert (place is None) if latitude is None else place[:2] == pytest.approx((latitude, 0.0))


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        (3, b"\x02\0"),
        (4, b"\2\0\0\0"),
        (5, b"\4\0\0\0\2\0\0\0"),
        (11, struct.pack("<f", 2)),
        (12, struct.pack("<d", 2)),
    ],
)
def test_numbers_are_told_in_any_type(kind, stored):
    settings = (Entry(Base.FNumber, kind, 1, stored),)
    assert parse_exif(encode_block(ExifBlock(settings=settings))).f_number == 2.0
    not_finite = (Entry(Base.FNumber, 12, 1, struct.pack("<d", np.inf)), Entry(Base.ISOSpeedRatings, 2, 4, b"200\0"))
    assert parse_exif(encode_block(ExifBlock(settings=not_finite))) == Shot()


def test_random_damage_tells_less_and_never_fails(rng):
    whole = block(Make="Canon", Model="R5", Orientation=6, DateTime="2024:01:01 00:00:00")
    for _ in range(300):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = rng.integers(256)
        assert parse_exif(bytes(damaged)).orientation in range(1, 9)
