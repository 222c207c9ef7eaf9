"""TIFF of 32-bit floats (extra ``formats``), for photo editors."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from ldr2hdr.io.files import replacing
from ldr2hdr.io.icc_writing import linear_rec709_profile
from ldr2hdr.io.optional import import_optional


def write_tiff(path: Path, rgb: Float[np.ndarray, "h w 3"]) -> None:
    """Write linear Rec. 709 radiance without loss, with the ICC profile of linear light, whole or not at all.

    Args:
        path: Where to; replaced if it exists.
        rgb: Radiance.

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
        )
