"""What the first bytes of a picture tell: its size when upright, and how the camera was set."""

import math
import re
import struct
import warnings
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from PIL import ExifTags, Image, UnidentifiedImageError

from ldr2hdr.io import ImageError
from ldr2hdr.io.files import check_size, kind_of

_MAX_HEADER_BYTES: Final = 65536
_RESOLUTION: Final = re.compile(rb"\n\r?\n([+-])([XY]) +(\d+) +[+-][XY] +(\d+) *\r?\n")
# EXIF orientations 5 to 8 exchange rows and columns
_TRANSPOSING: Final = (5, 6, 7, 8)


class Setting(NamedTuple):
    """How bright an exposure is.

    Attributes:
        ev: In stops, up to a constant of the scene.
        exposure_time_s: None if not told.
    """

    ev: float
    exposure_time_s: float | None = None


class Header(NamedTuple):
    """What a picture's header tells.

    Attributes:
        height: In pixels, when upright.
        width: In pixels, when upright.
        setting: By EXIF; None without it.
        camera: Maker and model by EXIF; None without them.
    """

    height: int
    width: int
    setting: Setting | None = None
    camera: str | None = None


def read_header(path: Path) -> Header:
    """Read a picture's header; the pixels are not looked at.

    Raises:
        ImageError: If the file is missing, empty, no picture, cut within the header, or of absurd size.
    """
    kind = kind_of(path)
    if kind == "Radiance HDR":
        header = _read_radiance_header(path)
    elif kind == "OpenEXR":
        header = _read_exr_header(path)
    elif kind in ("PNG", "JPEG", "TIFF"):
        header = _read_ldr_header(path)
    else:
        raise ImageError(f"expected a picture, got {kind}: {path}")
    check_size(path, header.height, header.width)
    return header


def _read_radiance_header(path: Path) -> Header:
    with path.open("rb") as file:
        found = _RESOLUTION.search(file.read(_MAX_HEADER_BYTES))
    if found is None:
        raise ImageError(f"expected a size such as '-Y 480 +X 640' after the header, found none: {path}")
    lines, line_px = int(found[3]), int(found[4])
    return Header(lines, line_px) if found[2] == b"Y" else Header(line_px, lines)


def _read_exr_header(path: Path) -> Header:
    """Size of the data window, which is what `read_radiance` returns."""
    with path.open("rb") as file:
        file.seek(8)  # magic number and version
        while name := _read_word(file):
            _read_word(file)  # type
            (size,) = struct.unpack("<i", file.read(4).ljust(4, b"\0"))
            if name == b"dataWindow":
                box = file.read(16)
                if size != 16 or len(box) != 16:
                    break
                left, top, right, bottom = struct.unpack("<4i", box)
                return Header(bottom - top + 1, right - left + 1)
            file.seek(max(size, 0), 1)
    raise ImageError(f"expected a data window in the OpenEXR header, found none: {path}")


def _read_word(file: BinaryIO) -> bytes:
    """A name ended by a zero byte; empty at the end of the header or of the file."""
    word = bytearray()
    while (byte := file.read(1)) not in (b"\0", b"") and len(word) < 256:
        word += byte
    return bytes(word)


def _read_ldr_header(path: Path) -> Header:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF, which then tells nothing, and of large pictures
            with Image.open(path) as picture:
                width, height = picture.size
                # of a PNG without an EXIF chunk before its pixels, Pillow would decode them to look behind
                is_told = picture.format != "PNG" or "exif" in picture.info
                exif = picture.getexif() if is_told else Image.Exif()
                camera_tags = exif.get_ifd(ExifTags.IFD.Exif)
    except (UnidentifiedImageError, OSError, SyntaxError, struct.error, Image.DecompressionBombError) as error:
        raise ImageError(f"the picture's header is truncated or damaged: {path}") from error
    if exif.get(ExifTags.Base.Orientation) in _TRANSPOSING:
        height, width = width, height
    words = [str(exif[tag]).strip(" \0") for tag in (ExifTags.Base.Make, ExifTags.Base.Model) if tag in exif]
    return Header(height, width, _setting_of(camera_tags), " ".join(words) or None)


def _setting_of(tags: dict[int, Any]) -> Setting | None:
    """Relative exposure ``t / N**2 * ISO / 100`` in stops; aperture and ISO count where they are told.

    References:
        ISO 12232:2019; CIPA DC-008 (EXIF 2.32), tags ExposureTime, FNumber, PhotographicSensitivity.
    """
    time_s = _positive(tags.get(ExifTags.Base.ExposureTime))
    if time_s is None:
        return None
    f_number = _positive(tags.get(ExifTags.Base.FNumber)) or 1.0
    iso = _positive(tags.get(ExifTags.Base.ISOSpeedRatings)) or 100.0
    return Setting(math.log2(time_s * iso / (100.0 * f_number**2)), time_s)


def _positive(value: Any) -> float | None:  # noqa: ANN401 (whatever the file holds under the tag)
    try:
        number = float(value[0] if isinstance(value, tuple) else value)
    except (TypeError, ValueError, ZeroDivisionError, IndexError):
        return None
    return number if 0 < number < math.inf else None
