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
_KEPT_TAGS: Final = (
    *(ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Orientation),
    *(ExifTags.Base.Software, ExifTags.Base.DateTime, ExifTags.Base.Artist, ExifTags.Base.Copyright),
)
_INTEROPERABILITY_INDEX: Final = 1
# whatever a damaged block can make the parser raise
_DAMAGE: Final = (OSError, SyntaxError, ValueError, KeyError, IndexError, TypeError, struct.error, ZeroDivisionError)


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
    """

    orientation: int = 1
    make: str | None = None
    model: str | None = None
    exposure_time_s: float | None = None
    f_number: float | None = None
    iso: float | None = None
    taken: str | None = None
    is_adobe_rgb: bool = False

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
    main, settings, interoperability = _load(block)
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


def upright_exif(block: bytes) -> bytes:
    """The same EXIF block for pixels that are upright: orientation 1, every other byte as it was."""
    order = "<" if block[:2] == b"II" else ">"
    patched = bytearray(block)
    try:
        (directory,) = struct.unpack_from(order + "I", block, 4)
        (num_entries,) = struct.unpack_from(order + "H", block, directory)
        for entry in range(directory + 2, directory + 2 + 12 * num_entries, 12):
            if struct.unpack_from(order + "HHI", block, entry) == (ExifTags.Base.Orientation, 3, 1):
                struct.pack_into(order + "H", patched, entry + 8, 1)
    except struct.error:  # a damaged block has no orientation that a program could read
        return block
    return bytes(patched)


def exif_of_tiff(data: bytes) -> bytes | None:
    """An EXIF block of what a TIFF or TIFF-based RAW file says of camera and shot; None if that cannot be read."""

    def copied() -> bytes:
        source, kept = Image.Exif(), Image.Exif()
        source.load(data)
        kept.update({tag: source[tag] for tag in _KEPT_TAGS if tag in source})
        for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            if tags := source.get_ifd(directory):
                kept.get_ifd(directory).update(tags)
        return kept.tobytes().removeprefix(b"Exif\0\0")

    return _or_none(copied)


def _load(block: bytes) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any]]:
    """The main directory, that of the settings, and that of interoperability."""
    exif = Image.Exif()

    def main() -> dict[int, Any]:
        exif.load(block)
        return dict(exif)

    return (
        _or_none(main) or {},
        _or_none(lambda: exif.get_ifd(ExifTags.IFD.Exif)) or {},
        _or_none(lambda: exif.get_ifd(ExifTags.IFD.Interop)) or {},
    )


def _or_none(read: Callable[[], _T]) -> _T | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged tags, which then tell nothing
            return read()
    except _DAMAGE:
        return None


def _text(value: Any) -> str | None:  # noqa: ANN401 (whatever the file holds under the tag)
    return value.strip(" \0") or None if isinstance(value, str) else None


def _positive(value: Any) -> float | None:  # noqa: ANN401
    try:
        number = float(value[0] if isinstance(value, tuple) else value)
    except (TypeError, ValueError, ZeroDivisionError, IndexError):
        return None
    return number if 0 < number < math.inf else None
