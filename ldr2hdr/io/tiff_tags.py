"""The first directory of a TIFF file: size, layout, orientation, profile, and whether it is a camera RAW file."""

import struct
from pathlib import Path
from typing import Final, NamedTuple

from ldr2hdr.io.errors import ImageError

# Sizes in bytes and struct letters of the types that occur in the tags below
_TYPES: Final = {1: "B", 3: "H", 4: "I", 7: "B"}
_NEW_SUBFILE_TYPE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION = 254, 256, 257, 258, 262, 274
_SAMPLES_PER_PIXEL, _PLANAR, _SAMPLE_FORMAT, _ICC, _SUB_DIRECTORIES, _DNG_VERSION = 277, 284, 339, 34675, 330, 50706
_MAX_VALUES: Final = 2**24
_PHOTOMETRICS: Final = {5: "CMYK", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "CFA"}
_SAMPLE_FORMATS: Final = {2: "signed integers", 3: "floating point, which is HDR already", 6: "complex numbers"}


class TiffFile(NamedTuple):
    """What the first directory of a TIFF file tells.

    Attributes:
        height: In pixels, as stored.
        width: In pixels, as stored.
        bit_depth: Bits a channel.
        orientation: As in EXIF, 1 to 8.
        icc: The ICC profile; None if there is none.
        colours: Name of a colour model that is neither RGB nor grey; None if it is.
        samples: Name of what the samples are if not unsigned integers; None if they are.
        is_planar: Whether the channels are stored one after the other.
        is_white_zero: Whether 0 is white.
        is_raw: Whether it is a camera RAW file, of which the first directory is a thumbnail or a mosaic.
    """

    height: int
    width: int
    bit_depth: int
    orientation: int
    icc: bytes | None
    colours: str | None
    samples: str | None
    is_planar: bool
    is_white_zero: bool
    is_raw: bool


def parse_tiff(path: Path, data: bytes) -> TiffFile:
    """Read the first directory; no pixels are decoded.

    Raises:
        ImageError: If it is truncated or damaged.

    References:
        Adobe, TIFF 6.0 (1992), section 2; Adobe, DNG 1.7 (2023), on NewSubFileType.
    """
    try:
        tags = _read_directory(data)
        height, width = tags[_HEIGHT][0], tags[_WIDTH][0]
    except (struct.error, KeyError, IndexError) as error:
        raise ImageError(f"the TIFF header is truncated or damaged: {path}") from error

    def first(tag: int, default: int) -> int:
        return tags.get(tag, (default,))[0]

    photometric, is_thumbnail = first(_PHOTOMETRIC, 2), first(_NEW_SUBFILE_TYPE, 0) & 1 == 1
    return TiffFile(
        height=height,
        width=width,
        bit_depth=first(_BITS, 1),
        orientation=first(_ORIENTATION, 1),
        icc=bytes(tags[_ICC]) if _ICC in tags else None,
        colours=_PHOTOMETRICS.get(photometric),
        samples=_SAMPLE_FORMATS.get(first(_SAMPLE_FORMAT, 1)),
        is_planar=first(_PLANAR, 1) == 2 and first(_SAMPLES_PER_PIXEL, 1) > 1,
        is_white_zero=photometric == 0,
        is_raw=_DNG_VERSION in tags or (is_thumbnail and _SUB_DIRECTORIES in tags),
    )


def _read_directory(data: bytes) -> dict[int, tuple[int, ...]]:
    order = "<" if data[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (num_entries,) = struct.unpack_from(order + "H", data, directory)
    tags: dict[int, tuple[int, ...]] = {}
    for entry in range(directory + 2, directory + 2 + 12 * num_entries, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", data, entry)
        if kind not in _TYPES or not 0 < count <= _MAX_VALUES:
            continue
        layout = f"{order}{count}{_TYPES[kind]}"
        is_inline = struct.calcsize(layout) <= 4
        where = entry + 8 if is_inline else int(struct.unpack_from(order + "I", data, entry + 8)[0])
        if where + struct.calcsize(layout) <= len(data):
            tags[tag] = struct.unpack_from(layout, data, where)
    return tags
