"""JPEG XL of linear light (extra ``formats``)."""

from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float

from ldr2hdr.io.exif import ExifBlock, encode_exif
from ldr2hdr.io.exr import HALF_MAX
from ldr2hdr.io.files import replacing
from ldr2hdr.io.isobmff import add_jxl_exif, mark
from ldr2hdr.io.optional import import_optional

_EFFORT: Final = 3


def write_jxl(
    path: Path, rgb: Float[np.ndarray, "h w 3"], *, is_half: bool = True, exif: ExifBlock | None = None
) -> str | None:
    """Write linear Rec. 709 radiance without loss, whole or not at all.

    Values above 1 are kept. Viewers show 1 at the white of ordinary pictures.

    Args:
        path: Where to; replaced if it exists.
        rgb: Radiance.
        is_half: Store 16-bit floats unless a value is above 65504; else 32 bits.
        exif: Of an upright picture; None for none.

    Returns:
        Why the file has no EXIF, in a line; None if it has what was asked for.

    Raises:
        ImageError: If the package is missing, or the folder does not exist.
    """
    imagecodecs = import_optional("imagecodecs", extra="formats", path=path)
    dtype = np.float16 if is_half and rgb.max(initial=0.0) <= HALF_MAX else np.float32
    # of floating point samples, the encoder writes that they are linear light
    data = imagecodecs.jpegxl_encode(
        np.ascontiguousarray(rgb, dtype=dtype), lossless=True, effort=_EFFORT, usecontainer=True
    )
    marked = mark(data, None if exif is None else encode_exif(exif), add_jxl_exif)
    with replacing(path) as temporary:
        temporary.write_bytes(marked.data)
    return marked.damage
