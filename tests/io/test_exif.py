"""EXIF blocks written anew: what is true of a turned picture is kept value by value, whatever the damage around it."""

import struct
import time

import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from ldr2hdr.io.exif import Entry, ExifBlock, encode_exif, exif_of_tiff, fit_exif, parse_exif, upright_exif
from ldr2hdr.io.shot import describe_shot

Base, IFD = ExifTags.Base, ExifTags.IFD


def block(*, endian="<", settings=None, place=None, **main):
    exif = Image.Exif()
    exif.endian = endian
    exif.update({Base[name]: value for name, value in main.items()})
    exif.get_ifd(IFD.Exif).update({Base[name]: value for name, value in (settings or {}).items()})
    exif.get_ifd(IFD.GPSInfo).update(place or {})
    return exif.tobytes().removeprefix(b"Exif\0\0")


def read(encoded):
    """The main directory, that of the settings, that of the place, as `Image.Exif` reads them."""
    exif = Image.Exif()
    exif.load(encoded)
    main = {tag: value for tag, value in exif.items() if tag not in (IFD.Exif, IFD.GPSInfo)}
    return main, dict(exif.get_ifd(IFD.Exif)), dict(exif.get_ifd(IFD.GPSInfo))


SETTINGS = {
    "ExposureTime": IFDRational(1, 125),
    "ISOSpeedRatings": 200,
    "LensSpecification": (24.0, 70.0, 2.8, 2.8),
    "ExposureBiasValue": -1.0,
    "UserComment": b"ASCII\0\0\0odd",
    "LensModel": "24-70mm",
}
PLACE = {1: "N", 2: (51.0, 30.0, 36.0), 3: "W", 4: (0.0, 7.0, 30.0)}


@pytest.mark.parametrize("endian", ["<", ">"])
def test_values_are_those_of_the_photograph_to_another_reader(endian):
    stored = block(endian=endian, settings=SETTINGS, place=PLACE, Make="Nikon", Model="D5", Artist="Ann", Orientation=6)
    kept = upright_exif(stored, height=40, width=24)
    assert kept.damage is None
    encoded = encode_exif(kept)
    assert encoded[:2] == stored[:2]
    (main, settings, place), (_, original, original_place) = read(encoded), read(stored)
    assert main == {Base.Make: "Nikon", Base.Model: "D5", Base.Artist: "Ann", Base.Software: "ldr2hdr", 274: 1}
    assert settings == {**original, Base.ExifImageWidth: 24, Base.ExifImageHeight: 40}
    assert (settings[Base.ExposureTime].numerator, settings[Base.ExposureTime].denominator) == (1, 125)
    assert place == original_place
    again = parse_exif(encoded)
    assert (again.settings, again.place) == (kept.settings, kept.place)


@pytest.mark.parametrize(
    "entry",
    [
        Entry(5, IFDRational(0, 0)),
        Entry(5, IFDRational(1, 0)),
        Entry(10, IFDRational(0, 1)),
        Entry(10, IFDRational(-1, 3)),
        Entry(5, IFDRational(2**32 - 1, 1)),
        Entry(7, b"\0\2\0\2\0\1\1\2"),
        Entry(1, b"\3"),
        Entry(2, "Zo\u00c3\u00ab"),
        Entry(4, (1, 2, 3)),
        Entry(12, 0.1),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_value_and_its_type_are_written_as_they_were_read(order, entry):
    """Pillow alone would turn bytes into numbers, signed fractions into unsigned ones, and letters into ``?``."""
    (again,) = parse_exif(encode_exif(ExifBlock(settings={0xA435: entry}, order=order))).settings.values()
    assert again.kind == entry.kind
    if isinstance(entry.value, IFDRational):
        parts = [(value.numerator, value.denominator) for value in (again.value, entry.value)]
        assert parts[0] == parts[1]
    else:
        assert again.value == entry.value


def test_what_describes_the_old_file_is_left_out():
    """Its size, its colours, its thumbnail, its second directory, and notes that point into the old block."""
    before = {"ColorSpace": 1, "MakerNote": b"notes" * 9, "ExifImageWidth": 24, "ExifImageHeight": 40, "FNumber": 2.8}
    stored = block(settings=before, Model="One", ImageWidth=4000, YCbCrPositioning=1, XResolution=72.0, Orientation=6)
    stored += b"\0" * (len(stored) % 2)
    (num_entries,) = struct.unpack_from("<H", stored, 8)
    thumbnail = struct.pack("<HHHIIHHIII", 2, 513, 4, 1, 8, 514, 4, 1, 4, 0)
    behind = 10 + 12 * num_entries
    stored = stored[:behind] + struct.pack("<I", len(stored)) + stored[behind + 4 :] + thumbnail
    exif = Image.Exif()
    exif.load(stored)
    assert exif.get_ifd(IFD.IFD1) == {513: 8, 514: 4}
    encoded = encode_exif(upright_exif(stored, height=40, width=24))
    main, settings, _ = read(encoded)
    assert set(main) == {Base.Model, Base.Orientation, Base.Software}
    assert settings == {Base.FNumber: 2.8, Base.ExifImageWidth: 24, Base.ExifImageHeight: 40}
    assert b"notes" not in encoded
    exif.load(encoded)
    assert exif.get_ifd(IFD.IFD1) == {}


def test_of_nothing_nothing_is_made():
    for stored in (None, b"", b"II*\0", b"II*\0\x08\0\0\0\0\0\0\0\0\0", block(ImageWidth=3)):
        assert upright_exif(stored, height=1, width=1) is None
    assert parse_exif(None).damage is parse_exif(block()).damage is None


def test_a_tiff_file_tells_camera_and_settings_and_nothing_of_its_pixels():
    stored = block(Model="One", Orientation=3, ImageWidth=4000, settings={"FNumber": 4.0}, place={1: "N"})
    kept = exif_of_tiff(parse_exif(stored))
    shot = describe_shot(parse_exif(kept))
    assert (shot.model, shot.orientation, shot.f_number) == ("One", 3, 4.0)
    assert Base.ImageWidth not in read(kept)[0]
    assert read(kept)[2] == {1: "N"}
    assert exif_of_tiff(parse_exif(b"II*\0")) is None


def record_of(stored, tag):
    return next(at for at in range(len(stored)) if stored[at : at + 2] == struct.pack("<H", tag))


@pytest.mark.parametrize(
    ("tag", "patch"),
    [
        (Base.FNumber, struct.pack("<HHI", Base.FNumber, 5, 0xFFFFFFFF)),
        (Base.FNumber, struct.pack("<HHII", Base.FNumber, 5, 1, 0xFFFFFFF0)),
        (Base.Model, struct.pack("<HHI", Base.Model, 2, 2**20)),
        (IFD.GPSInfo, struct.pack("<HHII", IFD.GPSInfo, 4, 1, 0)),
        (IFD.GPSInfo, struct.pack("<HHII", IFD.GPSInfo, 4, 1, 2**31)),
        (IFD.GPSInfo, struct.pack("<HHI4s", IFD.GPSInfo, 2, 3, b"ab\0")),
        (IFD.Exif, struct.pack("<HHII", IFD.Exif, 4, 1, 2**31)),
    ],
)
def test_damage_is_reported_and_what_can_be_read_is_kept(tag, patch):
    stored = bytearray(block(Make="Nikon", Model="D5 and more", settings={"FNumber": 2.8}, place=PLACE))
    at = record_of(stored, tag)
    stored[at : at + len(patch)] = patch
    assert parse_exif(bytes(stored)).damage == "its EXIF is damaged, part of it cannot be read"
    main, settings, place = read(encode_exif(upright_exif(bytes(stored), height=1, width=1)))
    assert main[Base.Make] == "Nikon"
    assert (Base.FNumber in settings) == (tag not in (Base.FNumber, IFD.Exif))
    assert (place == {}) == (tag == IFD.GPSInfo)


@pytest.mark.parametrize("stored", [b"no TIFF at all", b"II*\0\x08\0\0\0\x05\0", b"II", b""])
def test_what_is_no_block_is_damage(stored):
    assert parse_exif(stored).damage is not None


@pytest.mark.parametrize("tags", [range(60_000), [Base.FNumber] * 60_000])
def test_values_beyond_reason_are_not_read(tags):
    """Tens of thousands of entries, each the whole file, of different tags or of one."""
    start = 10 + 12 * len(tags)
    entries = b"".join(struct.pack("<HHII", tag, 7, 2**20, start) for tag in tags)
    stored = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(2**20 + 4)
    begin = time.monotonic()
    read = parse_exif(stored)
    assert time.monotonic() - begin < 5
    assert sum(len(entry.value) for entry in read.main.values()) <= len(stored)


def test_the_largest_values_are_left_out_until_a_block_fits():
    stored = block(
        Make="Nikon", Artist="a" * 3000, settings={"UserComment": b"ASCII" + bytes(9000), "FNumber": 2.8}, place=PLACE
    )
    whole = parse_exif(stored)
    num_bytes = len(encode_exif(whole))
    assert fit_exif(whole, max_bytes=num_bytes) == (whole, None)
    fitted = fit_exif(whole, max_bytes=num_bytes - 1)
    assert fitted.damage == "its EXIF is too large for the file: UserComment left out"
    main, settings, place = read(encode_exif(fitted.block))
    assert (main[Base.Artist], settings, len(place)) == ("a" * 3000, {Base.FNumber: 2.8}, 4)
    fitted = fit_exif(whole, max_bytes=1000)
    assert fitted.damage == "its EXIF is too large for the file: UserComment, Artist left out"
    assert len(encode_exif(fitted.block)) <= 1000


def test_a_block_after_its_name_is_read():
    """As some writers of PNG store it."""
    stored = block(Model="One")
    assert parse_exif(b"Exif\0\0" + stored) == parse_exif(stored)


def test_random_damage_tells_less_and_never_fails(rng):
    whole = block(Make="Canon", Model="R5", Orientation=6, settings=SETTINGS, place=PLACE)
    num_damaged = 0
    for _ in range(300):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = rng.integers(256)
        kept = upright_exif(bytes(damaged), height=3, width=4)
        num_damaged += parse_exif(bytes(damaged)).damage is not None
        assert describe_shot(parse_exif(bytes(damaged))).orientation in range(1, 9)
        if kept is not None:
            again = parse_exif(encode_exif(kept))
            assert again.damage is None
            assert set(kept.main) <= set(again.main)
            assert describe_shot(again).orientation == 1
    assert num_damaged > 50
