"""TIFF of 32-bit floats (extra ``formats``), for photo editors."""

import mmap
import struct
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ldr2hdr.io.directories import read_directory
from ldr2hdr.io.exif_block import ExifBlock, encode_directories
from ldr2hdr.io.files import replacing
from ldr2hdr.io.icc_writing import linear_rec709_profile
from ldr2hdr.io.optional import import_optional


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
            byteorder="<",
        )
        if exif is not None:
            _add_exif(temporary, exif)


def _add_exif(path: Path, exif: ExifBlock) -> None:
    """Replace the directory of a TIFF file by one at its end, with further entries and directories below it."""
    with path.open("r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = dict(read_directory(data, struct.unpack_from("<I", data, 4)[0]))
        own = {tag: entry for tag, entry in found.items() if entry is not None}
        added = (entry for entry in exif.main if entry.tag not in own)
        at = file.seek(0, 2)
        at += file.write(bytes(at % 2))
        file.write(encode_directories(exif._replace(main=(*own.values(), *added)), at=at))
        file.seek(4)
        file.write(struct.pack("<I", at))
