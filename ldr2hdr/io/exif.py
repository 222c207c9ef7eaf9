"""EXIF: which way is up, which camera, how it was set."""

import datetime
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Shaped
from PIL import ExifTags
from torch import Tensor

from ldr2hdr.io.directories import ASCII, UTF8, Entry
from ldr2hdr.io.exif_block import parse_block

# EXIF orientation: whether rows and columns are exchanged, and then which axes are flipped (CIPA DC-008, Orientation)
_TURNS: Final[dict[int, tuple[bool, tuple[int, ...]]]] = {
    1: (False, ()),
    2: (False, (-1,)),
    3: (False, (-2, -1)),
    4: (False, (-2,)),
    5: (True, ()),
    6: (True, (-1,)),
    7: (True, (-2, -1)),
    8: (True, (-2,)),
}
_INTEROPERABILITY_INDEX: Final = 1
_Base, _Gps = ExifTags.Base, ExifTags.GPS
# Numbers by type of TIFF; a fraction is two
_NUMBERS: Final = {1: "u1", 3: "<u2", 4: "<u4", 5: "<u4", 6: "i1", 8: "<i2", 9: "<i4", 10: "<i4", 11: "<f4", 12: "<f8"}
_FRACTIONS: Final = (5, 10)
_MOST_NUMBERS: Final = 3
"""Of one tag that are looked at: degrees, minutes, seconds."""
_DATE: Final = "%Y:%m:%d %H:%M:%S"


class Place(NamedTuple):
    """Where a photograph was taken.

    Attributes:
        latitude_deg: North of the equator.
        longitude_deg: East of Greenwich.
        altitude_m: Above the sea; None if not told.
    """

    latitude_deg: float
    longitude_deg: float
    altitude_m: float | None = None


class Shot(NamedTuple):
    """How a photograph was taken; None is what EXIF does not tell.

    Attributes:
        orientation: 1 to 8, as stored; 1 if not told.
        make: Of the camera.
        model: Of the camera.
        exposure_time_s: In seconds.
        f_number: Of the aperture.
        iso: Sensitivity.
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
    taken: str | None = None
    is_adobe_rgb: bool = False
    focal_length_mm: float | None = None
    lens_make: str | None = None
    lens_model: str | None = None
    owner: str | None = None
    place: Place | None = None

    @property
    def camera(self) -> str | None:
        """Maker and model without repetition, ``Canon EOS R5``; None if neither is told."""
        maker, model = self.make or "", self.model or ""
        is_repeated = bool(maker) and model.casefold().startswith(maker.split()[0].casefold())
        return (model if is_repeated else f"{maker} {model}").strip() or None


def parse_exif(block: bytes | None) -> Shot:
    """Read an EXIF block, or a TIFF file, which is the same; what is damaged is not told.

    References:
        CIPA DC-008-2023 (EXIF 3.0).
    """
    told = parse_block(block)
    main, settings, gps, rules = (
        {entry.tag: entry for entry in entries} for entries in (told.main, told.settings, told.place, told.rules)
    )
    orientation = _number(main.get(_Base.Orientation))
    return Shot(
        orientation=int(orientation) if orientation in _TURNS else 1,
        make=_text(main.get(_Base.Make)),
        model=_text(main.get(_Base.Model)),
        exposure_time_s=_positive(settings.get(_Base.ExposureTime)),
        f_number=_positive(settings.get(_Base.FNumber)),
        iso=_positive(settings.get(_Base.ISOSpeedRatings)),
        taken=_date(settings.get(_Base.DateTimeOriginal)) or _date(main.get(_Base.DateTime)),
        is_adobe_rgb=_text(rules.get(_INTEROPERABILITY_INDEX)) == "R03",
        focal_length_mm=_positive(settings.get(_Base.FocalLength)),
        lens_make=_text(settings.get(_Base.LensMake)),
        lens_model=_text(settings.get(_Base.LensModel)),
        owner=_text(main.get(_Base.Copyright), num_parts=2) or _text(main.get(_Base.Artist)),
        place=_place(gps),
    )


def turn_upright(picture: Shaped[Tensor, "*b h w"], orientation: int) -> Shaped[Tensor, "*b u v"]:
    """Turn a picture from the way it is stored to the way it is shown.

    Args:
        picture: As stored.
        orientation: Of EXIF, 1 to 8.
    """
    is_transposed, flipped = _TURNS[orientation]
    turned = picture.transpose(-1, -2) if is_transposed else picture
    return torch.flip(turned, flipped) if flipped else turned  # torch copies even where nothing is flipped


def turn_stored(picture: Shaped[Tensor, "*b u v"], orientation: int) -> Shaped[Tensor, "*b h w"]:
    """Invert :func:`turn_upright`."""
    is_transposed, flipped = _TURNS[orientation]
    stored = torch.flip(picture, flipped)
    return stored.transpose(-1, -2) if is_transposed else stored


def _place(gps: dict[int, Entry]) -> Place | None:
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
    if entry is None or entry.kind not in (ASCII, UTF8):
        return None
    parts = [_one_line(part) for part in entry.value.split(b"\0", num_parts)[:num_parts]]
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
    return number if number is not None and number > 0 else None


def _number(entry: Entry | None) -> float | None:
    return next(iter(_numbers(entry)), None)


def _numbers(entry: Entry | None) -> Sequence[float | None]:
    """The first of an entry; None for those that are no finite numbers, such as 0/0, which means unknown."""
    if entry is None or entry.kind not in _NUMBERS:
        return ()
    dtype, width = np.dtype(_NUMBERS[entry.kind]), 2 if entry.kind in _FRACTIONS else 1
    count = min(entry.num_values, _MOST_NUMBERS) * width
    numbers = np.frombuffer(entry.value, dtype, count).astype(np.float64).reshape(-1, width)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = (numbers[:, 0] / numbers[:, 1] if width == 2 else numbers[:, 0]).tolist()
    return [value if math.isfinite(value) else None for value in values]
