"""How a photograph was taken: what cameras call themselves, every place of an exposure, and damaged blocks."""

import struct

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from ldr2hdr.io.exif import Entry, ExifBlock, encode_exif, parse_exif
from ldr2hdr.io.shot import Place, Shot, describe_shot

Base = ExifTags.Base


def describe(told):
    return describe_shot(parse_exif(told))


def written(main=None, settings=None, place=None):
    """A block of such entries, written and read."""
    return describe(encode_exif(ExifBlock(main or {}, settings or {}, place or {})))


def block(**options):
    exif = Image.Exif()
    exif.endian = options.pop("endian", "<")
    for name, value in options.items():
        exif[ExifTags.Base[name]] = value
    return exif.tobytes().removeprefix(b"Exif\0\0")


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
    assert describe(None) == describe(b"") == describe(block()) == Shot()
    assert describe(block(Orientation=9)).orientation == 1


def place_block(latitude, north, longitude, east, **more):
    exif = Image.Exif()
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps.update({ExifTags.GPS.GPSLatitude: latitude, ExifTags.GPS.GPSLatitudeRef: north})
    gps.update({ExifTags.GPS.GPSLongitude: longitude, ExifTags.GPS.GPSLongitudeRef: east})
    gps.update({ExifTags.GPS[name]: value for name, value in more.items()})
    return exif.tobytes()


def test_a_place_is_told_in_degrees():
    """Sydney's opera house, and the shore of the Dead Sea."""
    south = describe(place_block((33.0, 51.0, 24.48), "S", (151.0, 12.0, 54.72), "E"))
    assert south.place is not None
    assert south.place == pytest.approx(Place(-33.8568, 151.2152), nan_ok=False)
    below = describe(place_block((31.0, 30.0, 0.0), "N", (35.0, 30.0, 0.0), "W", GPSAltitude=430.0, GPSAltitudeRef=1))
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
    assert describe(place_block(*gps)).place is None


def test_a_text_is_one_line():
    assert describe(block(Model="X100\n\nEXPOSURE=2\0")).model == "X100  EXPOSURE=2"


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
def test_text_is_that_of_the_camera(stored, told):
    """ASCII by the standard and UTF-8 by the use, or UTF-8 by EXIF 3.0; it ends with a zero."""
    text = Entry(2, stored.decode("latin-1"))
    encoded = encode_exif(ExifBlock(dict.fromkeys((Base.Make, Base.Model), text), {Base.LensModel: text}))
    for block in (
        encoded,
        encoded.replace(struct.pack("<HH", Base.LensModel, 2), struct.pack("<HH", Base.LensModel, 129)),
    ):
        shot = describe(block)
        assert (shot.make, shot.model, shot.lens_model) == (told,) * 3


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
    entries = {Base.Copyright: Entry(2, stored.decode()), Base.Artist: Entry(2, "Eve")}
    assert written(entries).owner == owner


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
    assert describe(exif.tobytes()).taken == taken


@pytest.mark.parametrize("north", ["N", "n"])
@pytest.mark.parametrize(
    ("unknown", "latitude"),
    [(["degrees"], None), (["minutes"], 33.005), (["minutes", "seconds"], 33.0), (["seconds"], 33.5), ([], 33.505)],
)
def test_unknown_minutes_and_seconds_lose_no_place(north, unknown, latitude):
    """0/0 is unknown."""
    parts = {"degrees": (33, 1), "minutes": (30, 1), "seconds": (18, 1)} | dict.fromkeys(unknown, (0, 0))
    stored = tuple(IFDRational(*part) for part in parts.values())
    zero = (IFDRational(0),) * 3
    place = written(place={1: Entry(2, north), 2: Entry(5, stored), 3: Entry(2, "e"), 4: Entry(5, zero)}).place
    assert (place is None) if latitude is None else place[:2] == pytest.approx((latitude, 0.0))


@pytest.mark.parametrize("kind", [3, 4, 5, 8, 9, 10, 11, 12])
def test_numbers_are_told_in_any_type(kind):
    number = IFDRational(4, 2) if kind in (5, 10) else 2
    assert written(settings={Base.FNumber: Entry(kind, number)}).f_number == 2.0
    not_finite = {Base.FNumber: Entry(12, np.inf), Base.ISOSpeedRatings: Entry(2, "none")}
    assert written(settings=not_finite) == Shot()


def exposed(**settings):
    """A shot of settings by name, a tuple being a fraction and the type signed if it has a minus."""
    return written(settings={TAGS[name]: entry_of(value) for name, value in settings.items()})


def entry_of(value):
    if isinstance(value, Entry):
        return value
    if isinstance(value, tuple):
        return Entry(10 if min(value) < 0 else 5, IFDRational(*value))
    return Entry(4 if value > 65535 else 3, value)


TAGS = {
    "time": Base.ExposureTime,
    "tv": Base.ShutterSpeedValue,
    "f": Base.FNumber,
    "av": Base.ApertureValue,
    "iso": Base.ISOSpeedRatings,
    "kind": 0x8830,
    "sos": 0x8831,
    "rei": 0x8832,
    "speed": 0x8833,
    "index": Base.ExposureIndex,
}


@pytest.mark.parametrize(
    ("settings", "time_s"),
    [
        ({"time": (1, 125), "tv": (5, 1)}, 1 / 125),
        ({"tv": (6, 1)}, 1 / 64),
        ({"tv": (-2, 1)}, 4.0),
        ({"tv": (2**32 - 2, 1)}, 4.0),  # a signed number in an unsigned field (Leica M8)
        ({"time": (0, 1), "tv": (6, 1)}, 1 / 64),
        ({"time": (0, 0), "tv": (6, 1)}, 1 / 64),
        ({"time": (1, 0), "tv": (6, 1)}, 1 / 64),
        ({"time": (2**32 - 1, 1), "tv": (6, 1)}, 1 / 64),
        ({"tv": (0, 0)}, None),
        ({"time": (0, 1), "tv": (0, 1)}, None),
        ({"tv": (1000, 1)}, None),
        ({"tv": (0, 1)}, 1.0),
    ],
)
def test_the_exposure_time_is_read_wherever_it_may_stand(settings, time_s):
    """CIPA DC-008, annex C: ``t = 2**-Tv``."""
    assert exposed(**settings).exposure_time_s == pytest.approx(time_s)


@pytest.mark.parametrize(
    ("settings", "f_number"),
    [
        ({"f": (28, 10), "av": (1, 1)}, 2.8),
        ({"av": (4, 1)}, 4.0),
        ({"av": (0, 1)}, 1.0),
        ({"av": (-1, 1)}, 2**-0.5),
        ({"f": (0, 1), "av": (4, 1)}, 4.0),
        ({"f": (0, 1), "av": (0, 1)}, None),  # a lens that the camera does not know
        ({"f": (0, 0)}, None),
    ],
)
def test_the_aperture_is_read_wherever_it_may_stand(settings, f_number):
    """CIPA DC-008, annex C: ``N = 2**(Av / 2)``."""
    assert exposed(**settings).f_number == pytest.approx(f_number)


@pytest.mark.parametrize(
    ("settings", "iso", "is_capped"),
    [
        ({"iso": 400}, 400, False),
        ({"iso": 400, "kind": 2, "rei": 800}, 400, False),
        ({"iso": 65535, "kind": 2, "rei": 102400}, 102400, False),
        ({"iso": 65535, "kind": 1, "sos": 204800, "rei": 102400}, 204800, False),
        ({"iso": 65535, "kind": 3, "speed": 409600}, 409600, False),
        ({"iso": 65535, "kind": 7, "speed": 409600}, 409600, False),
        ({"iso": 65535, "rei": 102400}, 102400, False),
        ({"iso": 65535, "kind": 2, "sos": 102400}, 102400, False),
        ({"iso": 65535}, None, True),
        ({"iso": 65535, "kind": 2, "rei": 65535}, None, True),
        ({"iso": 65535, "kind": 2, "rei": 2**32 - 1}, None, True),
        ({"iso": 65535, "index": (102400, 1)}, 102400, False),
        ({"rei": 800}, 800, False),
        ({"index": (200, 1)}, 200, False),
        ({"iso": 0}, None, False),
        ({"iso": Entry(3, (0, 200))}, 200, False),
        ({"iso": Entry(2, "400")}, 400, False),
        ({"iso": Entry(2, "high")}, None, False),
    ],
)
def test_the_sensitivity_is_read_wherever_it_may_stand(settings, iso, is_capped):
    """CIPA DC-008, annex G: of 16 bits PhotographicSensitivity is 65535 for all above, and others say which."""
    shot = exposed(**settings)
    assert (shot.iso, shot.is_iso_capped) == (iso, is_capped)
    assert (exposed(time=(1, 1), **settings).ev is None) == is_capped


@pytest.mark.parametrize(
    ("text", "time_s"), [("1/60", 1 / 60), (" 0.5\0", 0.5), ("1/0", None), ("nan", None), ("", None)]
)
def test_a_number_written_as_text_counts(text, time_s):
    assert exposed(time=Entry(2, text)).exposure_time_s == (None if time_s is None else pytest.approx(time_s))


@pytest.mark.parametrize("damaged", ["time", "f", "iso"])
@pytest.mark.parametrize("text", ["1e-170", "1e-320"])
def test_a_number_too_small_to_be_one_is_untold(damaged, text):
    """Failed: its square, or its part of the exposure, was 0, and the photograph could not be converted."""
    settings = {"time": (1, 4), "f": (28, 10), "iso": 400} | {damaged: Entry(2, text)}
    assert exposed(**settings).absolute_ev is None


def test_settings_in_the_main_directory_count():
    """As in TIFF/EP; those of EXIF go before."""
    main = {int(Base.ExposureTime): Entry(5, IFDRational(1, 8)), int(Base.FNumber): Entry(5, IFDRational(4, 1))}
    assert written(main).exposure_time_s == 1 / 8
    both = written(main, {int(Base.ExposureTime): Entry(5, IFDRational(1, 2))})
    assert (both.exposure_time_s, both.f_number, both.ev) == (0.5, 4.0, -5.0)


@pytest.mark.parametrize("untold", ["exposure_time_s", "f_number", "iso"])
def test_how_bright_the_scene_was_takes_time_aperture_and_iso(untold):
    shot = Shot(exposure_time_s=0.5, f_number=4.0, iso=200.0)
    assert shot.absolute_ev == shot.ev == -4.0
    assert shot._replace(**{untold: None}).absolute_ev is None


def test_random_damage_tells_less_and_never_fails(rng):
    whole = block(Make="Canon", Model="R5", Orientation=6, DateTime="2024:01:01 00:00:00")
    for _ in range(300):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = rng.integers(256)
        assert describe(bytes(damaged)).orientation in range(1, 9)
