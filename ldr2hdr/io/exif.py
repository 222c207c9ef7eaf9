"""EXIF: which way is up, which camera, how it was set."""

import math
import struct
import warnings
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

import torch
from jaxtyping import Shaped
from PIL import ExifTags, Image
from torch import Tensor

from ldr2hdr.io.exif_block import encode_block, parse_block

_T = TypeVar("_T")
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
# whatever a damaged block can make the parser raise
_DAMAGE: Final = (OSError, SyntaxError, ValueError, KeyError, IndexError, TypeError, struct.error, ZeroDivisionError)


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
        taken: Date and time, ``YYYY:MM:DD hh:mm:ss``, of no time zone.
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
    if block is None:
        return Shot()
    main, settings, gps, interoperability = _load(block)
    orientation = main.get(ExifTags.Base.Orientation)
    return Shot(
        orientation=orientation if orientation in _TURNS else 1,
        make=_text(main.get(ExifTags.Base.Make)),
        model=_text(main.get(ExifTags.Base.Model)),
        exposure_time_s=_positive(settings.get(ExifTags.Base.ExposureTime)),
        f_number=_positive(settings.get(ExifTags.Base.FNumber)),
        iso=_positive(settings.get(ExifTags.Base.ISOSpeedRatings)),
        taken=_text(settings.get(ExifTags.Base.DateTimeOriginal) or main.get(ExifTags.Base.DateTime)),
        is_adobe_rgb=interoperability.get(_INTEROPERABILITY_INDEX) == "R03",
        focal_length_mm=_positive(settings.get(ExifTags.Base.FocalLength)),
        lens_make=_text(settings.get(ExifTags.Base.LensMake)),
        lens_model=_text(settings.get(ExifTags.Base.LensModel)),
        owner=_text(main.get(ExifTags.Base.Copyright)) or _text(main.get(ExifTags.Base.Artist)),
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


def _load(block: bytes) -> tuple[dict[int, Any], ...]:
    """The main directory, that of the settings, that of the place, and that of interoperability."""
    sound, whole = Image.Exif(), Image.Exif()

    def main(exif: Image.Exif, data: bytes) -> dict[int, Any]:
        exif.load(data)
        return dict(exif)

    # at a damaged value the parser gives up, and would not come to what is behind it
    told = _or_none(lambda: main(sound, encode_block(parse_block(block)))) or {}
    _or_none(lambda: main(whole, block))
    return (
        told,
        _or_none(lambda: sound.get_ifd(ExifTags.IFD.Exif)) or {},
        _or_none(lambda: sound.get_ifd(ExifTags.IFD.GPSInfo)) or {},
        _or_none(lambda: whole.get_ifd(ExifTags.IFD.Interop)) or {},
    )


def _or_none(read: Callable[[], _T]) -> _T | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged tags, which then tell nothing
            return read()
    except _DAMAGE:
        return None


def _place(gps: dict[int, Any]) -> Place | None:
    latitude = _degrees(gps.get(ExifTags.GPS.GPSLatitude), gps.get(ExifTags.GPS.GPSLatitudeRef), signs="NS", most=90)
    longitude = _degrees(
        gps.get(ExifTags.GPS.GPSLongitude), gps.get(ExifTags.GPS.GPSLongitudeRef), signs="EW", most=180
    )
    if latitude is None or longitude is None:
        return None
    altitude = _number(gps.get(ExifTags.GPS.GPSAltitude))
    is_below = gps.get(ExifTags.GPS.GPSAltitudeRef) in (1, b"\1")
    return Place(latitude, longitude, -altitude if altitude is not None and is_below else altitude)


def _degrees(value: Any, side: Any, *, signs: str, most: int) -> float | None:  # noqa: ANN401
    """Degrees, minutes and seconds as a number; None if that is no place on Earth."""
    parts = [_number(part) for part in value] if isinstance(value, tuple) else []
    name = _text(side)
    if len(parts) != 3 or name is None or name not in signs or None in parts:
        return None
    degrees = sum(part / 60**power for power, part in enumerate(parts) if part is not None)
    return degrees * (1 if name == signs[0] else -1) if 0 <= degrees <= most else None


def _text(value: Any) -> str | None:  # noqa: ANN401 (whatever the file holds under the tag)
    """Text of one line, which a header of lines cannot be broken with."""
    if not isinstance(value, str):
        return None
    return "".join(letter if letter.isprintable() else " " for letter in value).strip() or None


def _positive(value: Any) -> float | None:  # noqa: ANN401
    number = _number(value)
    return number if number is not None and number > 0 else None


def _number(value: Any) -> float | None:  # noqa: ANN401
    try:
        number = float(value[0] if isinstance(value, tuple) else value)
    except (TypeError, ValueError, ZeroDivisionError, IndexError):
        return None
    return number if math.isfinite(number) else None
