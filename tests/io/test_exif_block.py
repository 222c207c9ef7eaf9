"""EXIF blocks written anew: what is true of a turned picture is kept value by value, whatever the damage around it."""

import struct

import pytest
from PIL import ExifTags, Image

from ldr2hdr.io import directories
from ldr2hdr.io.directories import MAX_BYTES, MAX_ENTRIES, Entry, encode_directory, read_directory
from ldr2hdr.io.exif import parse_exif
from ldr2hdr.io.exif_block import (
    ExifBlock,
    describe_damage,
    encode_block,
    exif_of_tiff,
    fit_block,
    parse_block,
    upright_exif,
)

Base, IFD = ExifTags.Base, ExifTags.IFD


def block(*, endian="<", settings=None, place=None, **main):
    exif = Image.Exif()
    exif.endian = endian
    exif.update({Base[name]: value for name, value in main.items()})
    exif.get_ifd(IFD.Exif).update({Base[name]: value for name, value in (settings or {}).items()})
    exif.get_ifd(IFD.GPSInfo).update(place or {})
    return exif.tobytes().removeprefix(b"Exif\0\0")


def read(encoded):
    """By Pillow: the main directory, that of the settings, that of the place."""
    exif = Image.Exif()
    exif.load(encoded)
    main = {tag: value for tag, value in exif.items() if tag not in (IFD.Exif, IFD.GPSInfo)}
    return main, dict(exif.get_ifd(IFD.Exif)), dict(exif.get_ifd(IFD.GPSInfo))


SETTINGS = {
    "ExposureTime": 0.004,
    "ISOSpeedRatings": 200,
    "LensSpecification": (24.0, 70.0, 2.8, 2.8),
    "ExposureBiasValue": -1.0,
    "UserComment": b"ASCII\0\0\0odd",
    "LensModel": "24-70mm",
}
PLACE = {1: "N", 2: (51.0, 30.0, 36.0), 3: "W", 4: (0.0, 7.0, 30.0)}


@pytest.mark.parametrize("endian", ["<", ">"])
def test_values_are_those_of_the_photograph_to_another_reader(endian):
    told = block(endian=endian, settings=SETTINGS, place=PLACE, Make="Nikon", Model="D5", Artist="Ann", Orientation=6)
    kept = upright_exif(told, height=40, width=24)
    assert kept is not None
    assert kept.damaged == ()
    encoded = encode_block(kept)
    assert encoded[:4] == b"II*\0"
    (main, settings, place), (_, original, original_place) = read(encoded), read(told)
    assert main == {Base.Make: "Nikon", Base.Model: "D5", Base.Artist: "Ann", Base.Software: "ldr2hdr", 274: 1}
    assert settings == {**original, Base.ExifImageWidth: 24, Base.ExifImageHeight: 40}
    assert place == original_place
    assert parse_block(encoded) == ExifBlock(*(tuple(sorted(entries)) for entries in parse_block(encoded)[:3]))


@pytest.mark.parametrize(("mark", "order"), [(b"II", "<"), (b"MM", ">")])
def test_letters_of_a_comment_have_the_order_of_the_block(mark, order):
    """By CIPA DC-008, UserComment, one in Unicode is UTF-16 in the order of the block."""

    def comment(order, text):
        letters = text.encode("utf-16-le" if order == "<" else "utf-16-be")
        settings = struct.pack(order + "HHHIII", 1, Base.UserComment, 7, 8 + len(letters), 44, 0)
        main = struct.pack(order + "HHHIII", 1, IFD.Exif, 4, 1, 26, 0)
        return mark + struct.pack(order + "HI", 42, 8) + main + settings + b"UNICODE\0" + letters

    (entry,) = parse_block(comment(order, "Größe")).settings
    assert entry.value == b"UNICODE\0" + "Größe".encode("utf-16-le")


def test_what_describes_the_old_file_is_left_out():
    """Its size, its colours, its thumbnail, its second directory, and notes that point into the old block."""
    before = {"ColorSpace": 1, "MakerNote": b"notes" * 9, "ExifImageWidth": 24, "ExifImageHeight": 40, "FNumber": 2.8}
    told = block(settings=before, Model="One", ImageWidth=4000, YCbCrPositioning=1, XResolution=72.0, Orientation=6)
    told += b"\0" * (len(told) % 2)
    (num_entries,) = struct.unpack_from("<H", told, 8)
    thumbnail = encode_directory([Entry(513, 4, 1, struct.pack("<I", 8)), Entry(514, 4, 1, b"\4\0\0\0")], len(told))
    behind = 10 + 12 * num_entries
    told = told[:behind] + struct.pack("<I", len(told)) + told[behind + 4 :] + thumbnail
    exif = Image.Exif()
    exif.load(told)
    assert exif.get_ifd(IFD.IFD1) == {513: 8, 514: 4}
    encoded = encode_block(upright_exif(told, height=40, width=24))
    main, settings, _ = read(encoded)
    assert set(main) == {Base.Model, Base.Orientation, Base.Software}
    assert settings == {Base.FNumber: 2.8, Base.ExifImageWidth: 24, Base.ExifImageHeight: 40}
    assert b"notes" not in encoded
    exif.load(encoded)
    assert exif.get_ifd(IFD.IFD1) == {}


def test_of_nothing_nothing_is_made():
    for told in (None, b"", b"II*\0", b"II*\0\x08\0\0\0\0\0\0\0\0\0", block(ImageWidth=3)):
        assert upright_exif(told, height=1, width=1) is None
    assert parse_block(None).damaged == parse_block(block()).damaged == ()
    assert describe_damage(parse_block(None)) is None


def test_a_tiff_file_tells_camera_and_settings_and_nothing_of_its_pixels():
    told = block(Model="One", Orientation=3, ImageWidth=4000, settings={"FNumber": 4.0}, place={1: "N"})
    kept = exif_of_tiff(told)
    assert kept is not None
    shot = parse_exif(kept)
    assert (shot.model, shot.orientation, shot.f_number) == ("One", 3, 4.0)
    assert Base.ImageWidth not in read(kept)[0]
    assert read(kept)[2] == {1: "N"}
    assert exif_of_tiff(b"II*\0") is None


def record_of(told, tag):
    return next(at for at in range(len(told)) if told[at : at + 2] == struct.pack("<H", tag))


@pytest.mark.parametrize(
    ("tag", "patch", "named"),
    [
        (Base.FNumber, struct.pack("<HHI", Base.FNumber, 5, 0xFFFFFFFF), "FNumber"),
        (Base.FNumber, struct.pack("<HHII", Base.FNumber, 5, 1, 0xFFFFFFF0), "FNumber"),
        (Base.FNumber, struct.pack("<HHI", Base.FNumber, 99, 1), "FNumber"),
        (Base.Model, struct.pack("<HHI", Base.Model, 2, 2**20), "Model"),
        (IFD.GPSInfo, struct.pack("<HHII", IFD.GPSInfo, 4, 1, 0), "the place"),
        (IFD.GPSInfo, struct.pack("<HHII", IFD.GPSInfo, 4, 1, 2**31), "the place"),
        (IFD.Exif, struct.pack("<HHII", IFD.Exif, 4, 1, 2**31), "the camera's settings"),
    ],
)
def test_a_damaged_value_is_named_and_the_rest_is_kept(tag, patch, named):
    told = bytearray(
        block(Make="Nikon", Model="D5 and more", settings={"FNumber": 2.8, "ISOSpeedRatings": 200}, place=PLACE)
    )
    at = record_of(told, tag)
    told[at : at + len(patch)] = patch
    parsed = parse_block(bytes(told))
    assert parsed.damaged == (named,)
    assert describe_damage(parsed) == f"its EXIF is damaged: {named} cannot be read"
    main, settings, place = read(encode_block(upright_exif(bytes(told), height=1, width=1)))
    assert main[Base.Make] == "Nikon"
    assert (Base.Model in main) == (tag != Base.Model)
    assert (Base.FNumber in settings) == (tag not in (Base.FNumber, IFD.Exif))
    assert (place == {}) == (tag == IFD.GPSInfo)


def test_damage_is_told_in_one_line():
    many = ExifBlock(damaged=("a", "b", "c", "d", "e"))
    assert describe_damage(many) == "its EXIF is damaged: a, b, c and 2 more cannot be read"
    assert parse_block(b"no TIFF at all").damaged == ("its header",)
    assert parse_block(b"II*\0\x08\0\0\0\x05\0").damaged == ("its main directory",)


def greedy_block(kind, tags):
    """Entries that each have the same megabyte of values."""
    value, start = bytes(2**20), 10 + 12 * len(tags)
    count = len(value) // directories._SIZES[kind]
    entries = b"".join(struct.pack("<HHII", tag, kind, count, start) for tag in tags)
    head = b"II*\0" + struct.pack("<I", start + len(value)) + struct.pack("<H", len(tags))
    return head + entries + value + struct.pack("<HHHIII", 1, IFD.Exif, 4, 1, 8, 0)


@pytest.mark.parametrize("kind", [1, 2, 3, 5, 7, 12, 13, 129])
@pytest.mark.parametrize("tags", [range(60_000), [Base.FNumber] * 60_000])
def test_values_beyond_reason_are_damage_and_are_not_read(monkeypatch, kind, tags):
    """Tens of thousands of entries, each the whole file, of different tags or of one."""
    told, num_read = greedy_block(kind, list(tags)), []
    to_little = directories._to_little

    def counting(data, start, kind, count, order):
        value = to_little(data, start, kind, count, order)
        num_read.append(len(value))
        return value

    monkeypatch.setattr(directories, "_to_little", counting)
    settings = parse_block(told)
    assert settings.damaged == ("the camera's settings",)
    assert sum(num_read) <= MAX_BYTES + 4  # the pointer to the settings
    assert len(num_read) <= MAX_ENTRIES
    assert sum(len(entry.value) for entry in settings.settings) <= MAX_BYTES


def test_a_directory_of_very_many_entries_is_read_in_part():
    entries = b"".join(struct.pack("<HHII", tag, 3, 1, 7) for tag in range(MAX_ENTRIES + 1))
    tags = []
    with pytest.raises(struct.error, match="more entries than a directory has"):
        tags.extend(tag for tag, _ in read_directory(bytes(8) + struct.pack("<H", MAX_ENTRIES + 1) + entries, 8))
    read = read_directory(bytes(8) + struct.pack("<H", MAX_ENTRIES) + entries, 8)
    assert [tag for tag, _ in read] == list(range(MAX_ENTRIES))


@pytest.mark.parametrize(
    "tag",
    [Base.OECF, Base.SpatialFrequencyResponse, Base.CFAPattern, Base.DeviceSettingDescription, 0xA462],
)
def test_numbers_among_bytes_are_left_out_where_their_order_changes(tag):
    """By CIPA DC-008 a CFA pattern begins with two numbers of 16 bits in the order of the block, for one."""
    for mark, order in ((b"II", "<"), (b"MM", ">")):
        value = struct.pack(order + "HH", 2, 2) + bytes((0, 1, 1, 2))
        settings = struct.pack(order + "HHHII", 2, tag, 7, 8, 56)
        settings += struct.pack(order + "HHIHHI", Base.SensingMethod, 3, 1, 2, 0, 0)
        main = struct.pack(order + "HHHIII", 1, IFD.Exif, 4, 1, 26, 0)
        told = mark + struct.pack(order + "HI", 42, 8) + main + settings + value
        assert told[56:] == value
        kept = {entry.tag: entry.value for entry in parse_block(told).settings}
        assert kept == {Base.SensingMethod: b"\2\0"} | ({tag: value} if order == "<" else {})


def test_the_largest_values_are_left_out_until_a_block_fits():
    told = block(
        Make="Nikon", Artist="a" * 3000, settings={"UserComment": b"ASCII" + bytes(9000), "FNumber": 2.8}, place=PLACE
    )
    whole = parse_block(told)
    num_bytes = len(encode_block(whole))
    assert fit_block(whole, max_bytes=num_bytes) == (whole, None)
    fitted = fit_block(whole, max_bytes=num_bytes - 1)
    assert fitted.damage == "its EXIF is too large for the file: UserComment left out"
    main, settings, place = read(encode_block(fitted.block))
    assert (main[Base.Artist], settings, len(place)) == ("a" * 3000, {Base.FNumber: 2.8}, 4)
    fitted = fit_block(whole, max_bytes=1000)
    assert fitted.damage == "its EXIF is too large for the file: UserComment, Artist left out"
    assert len(encode_block(fitted.block)) <= 1000
    nothing = fit_block(whole, max_bytes=14)
    assert nothing.block.is_empty
    assert "UserComment, Artist, GPSLatitude and" in nothing.damage


def test_a_block_after_its_name_is_read():
    """As some writers of PNG store it."""
    told = block(Model="One")
    assert parse_block(b"Exif\0\0" + told) == parse_block(told)


def test_random_damage_tells_less_and_never_fails(rng):
    whole = block(Make="Canon", Model="R5", Orientation=6, settings=SETTINGS, place=PLACE)
    num_damaged = 0
    for _ in range(200):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = rng.integers(256)
        kept = upright_exif(bytes(damaged), height=3, width=4)
        num_damaged += describe_damage(parse_block(bytes(damaged))) is not None
        if kept is not None:
            again = parse_block(encode_block(kept))
            assert again.damaged == ()
            assert {entry.tag for entry in again.main} == {entry.tag for entry in kept.main}
            assert parse_exif(encode_block(kept)).orientation == 1
    assert num_damaged > 50
