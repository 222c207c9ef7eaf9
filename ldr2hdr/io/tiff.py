"""TIFF: the first directory of a file, by Pillow, and files of 32-bit floats for photo editors (extra ``formats``)."""

import io
import struct
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float

from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.exif import BinaryFile, Entry, ExifBlock, encode_directories, read_exif
from ldr2hdr.io.files import replacing
from ldr2hdr.io.icc_writing import linear_rec709_profile
from ldr2hdr.io.optional import import_optional

_NEW_SUBFILE_TYPE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION = 254, 256, 257, 258, 262, 274
_COMPRESSION, _XMP = 259, 700
_SAMPLES_PER_PIXEL, _PLANAR, _SAMPLE_FORMAT, _ICC, _SUB_DIRECTORIES, _DNG_VERSION = 277, 284, 339, 34675, 330, 50706
_PHOTOMETRICS: Final = {
    5: "CMYK",
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32803: "CFA",
    32844: "LogL, which is HDR already",
    32845: "LogLuv, which is HDR already",
}
# What libtiff decodes in OpenCV's wheels; of others it makes black pictures, or calls them damaged
_COMPRESSIONS: Final = frozenset([1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34676, 34677])
_COMPRESSION_NAMES: Final = {
    **dict.fromkeys((33003, 33004, 33005, 34712), "JPEG 2000"),
    **dict.fromkeys((50002, 52546), "JPEG XL"),
    34887: "LERC",
    34925: "LZMA",
    34933: "PNG",
    34934: "JPEG XR",
    50000: "Zstandard",
    50001: "WebP",
}
_SAMPLE_FORMATS: Final = {2: "signed integers", 3: "floating point, which is HDR already", 6: "complex numbers"}
_OWN_BYTES: Final = 4096
"""More than the directory takes that the package writes."""


class TiffFile(NamedTuple):
    """Properties of a TIFF file by its first directory.

    Attributes:
        height: In pixels, as stored.
        width: In pixels, as stored.
        bit_depth: Bits a channel.
        orientation: As in EXIF, 1 to 8.
        icc: The ICC profile; None if there is none.
        colours: Name of a colour model that is neither RGB nor grey; None if it is.
        samples: Name of what the samples are if not unsigned integers; None if they are.
        compression: Name of one that is not decoded; None if it is.
        is_planar: Whether the channels are stored one after the other.
        is_white_zero: Whether 0 is white.
        is_raw: Whether it is a camera RAW file, of which the first directory is a thumbnail or a mosaic.
        exif: Its EXIF.
        xmp: XMP packet; None if there is none.
    """

    height: int
    width: int
    bit_depth: int
    orientation: int
    icc: bytes | None
    colours: str | None
    samples: str | None
    compression: str | None
    is_planar: bool
    is_white_zero: bool
    is_raw: bool
    exif: ExifBlock
    xmp: bytes | None


def parse_tiff(path: Path, data: bytes | BinaryFile) -> TiffFile:
    """Read the first directory; no pixels are decoded.

    Args:
        path: Of the file, for messages.
        data: Its bytes, or the file itself at its start.

    Raises:
        ImageError: If it is truncated or damaged.

    References:
        Adobe, TIFF 6.0 (1992), section 2; Adobe, DNG 1.7 (2023), on NewSubFileType.
    """
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    exif = read_exif(file)
    main = exif.main
    height, width = _first(main.get(_HEIGHT)), _first(main.get(_WIDTH))
    if height is None or width is None:
        raise ImageError(f"the TIFF header is truncated or damaged: {path}")

    def first(tag: int, default: int) -> int:
        value = _first(main.get(tag))
        return default if value is None else value

    method = first(_COMPRESSION, 1)
    photometric, is_thumbnail = first(_PHOTOMETRIC, 2), first(_NEW_SUBFILE_TYPE, 0) & 1 == 1
    icc, xmp = (main[tag].value if tag in main else None for tag in (_ICC, _XMP))
    return TiffFile(
        height=height,
        width=width,
        bit_depth=first(_BITS, 1),
        orientation=first(_ORIENTATION, 1),
        icc=icc if isinstance(icc, bytes) else None,
        colours=_PHOTOMETRICS.get(photometric),
        compression=None if method in _COMPRESSIONS else _COMPRESSION_NAMES.get(method, f"method {method}"),
        samples=_SAMPLE_FORMATS.get(first(_SAMPLE_FORMAT, 1)),
        is_planar=first(_PLANAR, 1) == 2 and first(_SAMPLES_PER_PIXEL, 1) > 1,
        is_white_zero=photometric == 0,
        is_raw=_DNG_VERSION in main or (is_thumbnail and _SUB_DIRECTORIES in main),
        exif=exif,
        xmp=xmp if isinstance(xmp, bytes) else None,
    )


def write_tiff(path: Path, rgb: Float[np.ndarray, "h w 3"], *, exif: ExifBlock | None = None) -> None:
    """Write linear Rec. 709 radiance without loss, with the ICC profile of linear light, whole or not at all.

    Args:
        path: Where to; replaced if it exists.
        rgb: Radiance.
        exif: Of an upright picture; None for none.

    Raises:
        ImageError: If the package is missing, or the folder does not exist.
    """
    tifffile = import_optional("tifffile", extra="formats", path=path)
    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary,
            np.ascontiguousarray(rgb, dtype=np.float32),
            photometric="rgb",
            compression="zlib",
            iccprofile=linear_rec709_profile(),
            software="ldr2hdr",
            metadata=None,
            byteorder="<" if exif is None else exif.order,
        )
        if exif is not None:
            _add_exif(temporary, exif)


def _add_exif(path: Path, exif: ExifBlock) -> None:
    """Replace the directory of a TIFF file by one at its end, which has the records of EXIF, too."""
    order = exif.order
    with path.open("r+b") as file:
        (at,) = struct.unpack(order + "4xI", file.read(8))
        file.seek(at)
        own = _records(file.read(_OWN_BYTES), order)
        at = file.seek(0, 2)
        at += file.write(bytes(at % 2))
        encoded, directory_at = encode_directories(exif, at=at)
        records = {**_records(encoded[directory_at - at :], order), **own}
        at += file.write(encoded)
        file.write(struct.pack(order + "H", len(records)) + b"".join(records[tag] for tag in sorted(records)))
        file.write(bytes(4))
        file.seek(4)
        file.write(struct.pack(order + "I", at))


def _records(directory: bytes, order: str) -> dict[int, bytes]:
    """The records of a directory by tag, as they stand in the file."""
    (num_records,) = struct.unpack_from(order + "H", directory)
    records = [directory[at : at + 12] for at in range(2, 2 + 12 * num_records, 12)]
    return {struct.unpack_from(order + "H", record)[0]: record for record in records}


def _first(entry: Entry | None) -> int | None:
    """The first number of an entry."""
    value: Any = None if entry is None else entry.value
    value = value[0] if isinstance(value, (tuple, bytes)) and value else value
    return value if isinstance(value, int) else None
