"""Circumstances of a photograph by EXIF, or by XMP: camera and lens, date and place, exposure."""

import datetime
import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from PIL import ExifTags
from PIL.TiffImagePlugin import IFDRational

from ldr2hdr.io.exif import ASCII, BYTE, UTF8, Directory, Entry, ExifBlock
from ldr2hdr.io.orientation import is_orientation
from ldr2hdr.io.xmp import parse_xmp

_INTEROPERABILITY_INDEX: Final = 1
_Base, _Gps = ExifTags.Base, ExifTags.GPS
_DATE: Final = "%Y:%m:%d %H:%M:%S"
_ISO_CAP: Final = 65535
"""The most that PhotographicSensitivity can hold: it stands for this and for all above."""
_LEAST, _MOST = 1e-9, 1e6
"""Of seconds, apertures, millimetres; less than the first also of ISO. Beyond, a number is damage."""
_MOST_STOPS: Final = 100
"""Of APEX values; beyond, ExifTool takes them for damage, too."""
# By SensitivityType, which of SOS, REI and ISO speed are there; the first is what PhotographicSensitivity stands for
_SOS, _REI, _SPEED = 0x8831, 0x8832, 0x8833
_SENSITIVITIES: Final = {
    1: (_SOS,),
    2: (_REI,),
    3: (_SPEED,),
    4: (_REI, _SOS),
    5: (_SOS, _SPEED),
    6: (_REI, _SPEED),
    7: (_REI, _SOS, _SPEED),
}
_SENSITIVITY_TYPE: Final = 0x8830
_EXPOSURE_INDEX_EP: Final = 0x9215
_OF_XMP: Final = (
    *("make", "model", "exposure_time_s", "f_number", "iso", "taken", "focal_length_mm", "lens_make", "lens_model"),
)


class Place(NamedTuple):
    """Place where a photograph was taken.

    Attributes:
        latitude_deg: North of the equator.
        longitude_deg: East of Greenwich.
        altitude_m: Above the sea; None if not known.
    """

    latitude_deg: float
    longitude_deg: float
    altitude_m: float | None = None


class Shot(NamedTuple):
    """Circumstances of a photograph; None for what EXIF does not say.

    Attributes:
        orientation: 1 to 8, as stored; 1 if EXIF does not say.
        make: Of the camera.
        model: Of the camera.
        exposure_time_s: In seconds.
        f_number: Of the aperture.
        iso: Sensitivity.
        is_iso_capped: Whether EXIF says that the sensitivity is at least 65535, and not how much; ``iso`` is None then.
        taken: Date and time, ``YYYY:MM:DD hh:mm:ss``, of no time zone; None also of a date that is none.
        is_adobe_rgb: Whether the camera marks its colours as Adobe RGB the old way, without a profile.
        focal_length_mm: Of the lens, not converted to 35 mm film.
        lens_make: Of the lens.
        lens_model: Of the lens.
        owner: Who has the copyright, else who took it.
        place: Where it was taken, by GPS.
    """

    orientation: int = 1
    make: str | None = None
    model: str | None = None
    exposure_time_s: float | None = None
    f_number: float | None = None
    iso: float | None = None
    is_iso_capped: bool = False
    taken: str | None = None
    is_adobe_rgb: bool = False
    focal_length_mm: float | None = None
    lens_make: str | None = None
    lens_model: str | None = None
    owner: str | None = None
    place: Place | None = None

    @property
    def camera(self) -> str | None:
        """Maker and model without repetition, ``Canon EOS R5``; None if EXIF says neither."""
        maker, model = self.make or "", self.model or ""
        is_repeated = bool(maker) and model.casefold().startswith(maker.split()[0].casefold())
        return (model if is_repeated else f"{maker} {model}").strip() or None

    @property
    def ev(self) -> float | None:
        """Exposure ``t / N**2 * ISO / 100`` in stops; None without a time, or where ISO is capped.

        Aperture and ISO count where EXIF has them.

        References:
            ISO 12232:2019; CIPA DC-008 (EXIF 3.0), tags ExposureTime, FNumber, PhotographicSensitivity.
        """
        if self.exposure_time_s is None or self.is_iso_capped:
            return None
        return math.log2(self.exposure_time_s * (self.iso or 100.0) / 100.0 / (self.f_number or 1.0) ** 2)

    @property
    def absolute_ev(self) -> float | None:
        """`ev` where EXIF has all of time, aperture and ISO, so that it says how bright the scene was; None else."""
        return self.ev if self.f_number and self.iso else None


def describe_shot(block: ExifBlock, xmp: bytes | None = None) -> Shot:
    """Return what an EXIF block says of a shot, and where it says nothing, what the XMP packet does.

    Args:
        block: As `parse_exif` reads it.
        xmp: The packet; None for a photograph without one.

    References:
        CIPA DC-008-2023 (EXIF 3.0).
    """
    shot = _describe(block)
    if not xmp or (shot.ev is not None and shot.f_number and shot.iso and shot.camera and shot.taken):
        return shot
    told = parse_xmp(xmp)
    other = _describe(ExifBlock(main=told, settings=told))
    untold = {name: getattr(other, name) for name in _OF_XMP if getattr(shot, name) is None}
    return shot._replace(**untold, is_iso_capped=shot.is_iso_capped and untold.get("iso") is None)


def _describe(block: ExifBlock) -> Shot:
    main, settings = block.main, block.settings
    orientation = _number(main.get(_Base.Orientation))
    iso, is_iso_capped = _sensitivity(settings)
    return Shot(
        orientation=int(orientation) if orientation is not None and is_orientation(orientation) else 1,
        make=_text(main.get(_Base.Make)),
        model=_text(main.get(_Base.Model)),
        exposure_time_s=_exposure_time(settings),
        f_number=_f_number(settings),
        iso=iso,
        is_iso_capped=is_iso_capped,
        taken=_date(settings.get(_Base.DateTimeOriginal)) or _date(main.get(_Base.DateTime)),
        is_adobe_rgb=_text(block.rules.get(_INTEROPERABILITY_INDEX)) == "R03",
        focal_length_mm=_positive(settings.get(_Base.FocalLength)),
        lens_make=_text(settings.get(_Base.LensMake)),
        lens_model=_text(settings.get(_Base.LensModel)),
        owner=_text(main.get(_Base.Copyright), num_parts=2) or _text(main.get(_Base.Artist)),
        place=_place(block.place),
    )


def _exposure_time(settings: Directory) -> float | None:
    """Seconds, by ExposureTime, or else by ShutterSpeedValue, ``t = 2**-Tv``.

    References:
        CIPA DC-008, annex C (APEX).
    """
    time_s = _positive(settings.get(_Base.ExposureTime))
    if time_s is not None:
        return time_s
    stops = _apex(settings.get(_Base.ShutterSpeedValue))
    # zeros in both are of a camera or program that does not know: 1 s is meant only where nothing else is written
    return None if stops is None or (stops == 0 and _Base.ExposureTime in settings) else 2.0**-stops


def _f_number(settings: Directory) -> float | None:
    """Aperture, by FNumber, or else by ApertureValue, ``N = 2**(Av / 2)``."""
    f_number = _positive(settings.get(_Base.FNumber))
    if f_number is not None:
        return f_number
    stops = _apex(settings.get(_Base.ApertureValue))
    # a camera that does not know its lens writes zeros: f/1 is meant only where nothing else is written
    return None if stops is None or (stops == 0 and _Base.FNumber in settings) else 2.0 ** (stops / 2)


def _sensitivity(settings: Directory) -> tuple[float | None, bool]:
    """ISO, and whether EXIF says only that it is 65535 or more.

    References:
        CIPA DC-008, annex G.
    """
    kind = _number(settings.get(_SENSITIVITY_TYPE))
    named = _SENSITIVITIES.get(int(kind) if kind is not None else 0, (_REI, _SOS, _SPEED))
    tags = (_Base.ISOSpeedRatings, *named, _REI, _SOS, _SPEED, _Base.ExposureIndex, _EXPOSURE_INDEX_EP)
    values = [number for tag in tags for number in _numbers(settings.get(tag)) if number is not None]
    values = [number for number in values if number > _LEAST]
    known = next((number for number in values if number != _ISO_CAP and number < 2**32 - 1), None)
    return known, known is None and bool(values)


def _apex(entry: Entry | None) -> float | None:
    """Stops of APEX; those below 0 are written as unsigned fractions by some cameras (Leica M8)."""
    value = entry.value if entry is not None else None
    if isinstance(value, IFDRational) and value.denominator:
        numerator, denominator = (
            number - 2**32 if number >= 2**31 else number for number in (int(value.numerator), int(value.denominator))
        )
        stops: float | None = numerator / denominator
    else:
        stops = _number(entry)
    return stops if stops is not None and abs(stops) < _MOST_STOPS else None


def _place(gps: Directory) -> Place | None:
    latitude = _degrees(gps.get(_Gps.GPSLatitude), gps.get(_Gps.GPSLatitudeRef), signs={"N": 1, "S": -1}, most=90)
    longitude = _degrees(gps.get(_Gps.GPSLongitude), gps.get(_Gps.GPSLongitudeRef), signs={"E": 1, "W": -1}, most=180)
    if latitude is None or longitude is None:
        return None
    altitude, is_below = _number(gps.get(_Gps.GPSAltitude)), _number(gps.get(_Gps.GPSAltitudeRef)) == 1
    return Place(latitude, longitude, -altitude if altitude is not None and is_below else altitude)


def _degrees(value: Entry | None, side: Entry | None, *, signs: dict[str, int], most: int) -> float | None:
    """Degrees, minutes and seconds as a number, unknown minutes and seconds as 0; None if that is no place on Earth."""
    parts, sign = _numbers(value), signs.get((_text(side) or "").upper())
    if len(parts) != 3 or parts[0] is None or sign is None:
        return None
    degrees = sum((part or 0.0) / 60**power for power, part in enumerate(parts))
    return degrees * sign if 0 <= degrees <= most else None


def _text(entry: Entry | None, *, num_parts: int = 1) -> str | None:
    """Text of one line, which a header of lines cannot be broken with.

    Parts end with a zero, and what stands behind the last one is left over from another text. By the standard, text
    is ASCII; cameras and programs write UTF-8, and old ones Latin-1.
    """
    if entry is None or entry.kind not in (ASCII, UTF8) or not isinstance(entry.value, str):
        return None
    parts = [_one_line(part) for part in entry.value.encode("latin-1").split(b"\0", num_parts)[:num_parts]]
    return ", ".join(part for part in parts if part) or None


def _one_line(text: bytes) -> str:
    try:
        letters = text.decode("utf-8")
    except UnicodeDecodeError:
        letters = text.decode("latin-1")
    return "".join(letter if letter.isprintable() else " " for letter in letters).strip()


def _date(entry: Entry | None) -> str | None:
    """None of one that is unknown, which is written as zeros or blanks."""
    text = _text(entry)
    try:
        datetime.datetime.strptime(text or "", _DATE)
    except ValueError:
        return None
    return text


def _positive(entry: Entry | None) -> float | None:
    number = _number(entry)
    return number if number is not None and _LEAST < number < _MOST else None


def _number(entry: Entry | None) -> float | None:
    return next(iter(_numbers(entry)), None)


def _numbers(entry: Entry | None) -> Sequence[float | None]:
    """Numbers of an entry; None for those that are not finite, such as 0/0, which means unknown."""
    if entry is None:
        return ()
    value: Any = entry.value
    if isinstance(value, bytes):
        value = tuple(value) if entry.kind == BYTE else ()
    if isinstance(value, str):  # some programs write text where a number belongs
        value = _number_in_text(value)
    values = value if isinstance(value, tuple) else (value,)
    numbers = [float(number) for number in values if isinstance(number, (int, float, IFDRational))]
    return [number if math.isfinite(number) else None for number in numbers]


def _number_in_text(text: str) -> float | None:
    """A number or a fraction of two, such as 1/60; None of anything else."""
    above, is_fraction, below = text.strip(" \0").partition("/")
    try:
        return float(above) / (float(below) if is_fraction else 1.0)
    except (ValueError, ZeroDivisionError):
        return None
