"""AVIF in PQ and Rec. 2020 (extra ``formats``): HDR for browsers and phones in a small file."""

from pathlib import Path
from typing import Final, Literal

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.io.exif import ExifBlock, encode_exif
from ldr2hdr.io.files import replacing
from ldr2hdr.io.isobmff import add_avif_exif, add_light_levels, mark
from ldr2hdr.io.optional import import_optional
from ldr2hdr.io.pq import WHITE_CD_M2, encode_display, to_rec2020
from ldr2hdr.radiometry import PQ_MAX_CD_M2

# Code points of ITU-T H.273: Rec. 2020 primaries, PQ, Rec. 2020 luma and colour difference
_PRIMARIES, _TRANSFER, _MATRIX = 9, 16, 9
_SPEED: Final = 6
_BLOCK_ROWS: Final = 64


def write_avif(
    path: Path,
    exposure: Float[Tensor, "3 h w"],
    *,
    bit_depth: Literal[10, 12] = 10,
    quality: int = 90,
    exif: ExifBlock | None = None,
) -> str | None:
    """Write sensor exposure as the picture of an HDR display, whole or not at all.

    Exposure 1 is shown at 203 cd/m2, where the white of ordinary pictures is; light above 10000 cd/m2 (5.6 stops
    above white) is clipped.

    Args:
        path: Where to; replaced if it exists.
        exposure: Linear Rec. 709, 1 at the camera's white, non-negative.
        bit_depth: Bits a channel.
        quality: 0 to 100; below 90 steps may show in the sky.
        exif: Of an upright picture; None for none.

    Returns:
        Why the file has no EXIF, in a line; None if it has what was asked for.

    Raises:
        ImageError: If the package is missing, or the folder does not exist.
    """
    imagecodecs = import_optional("imagecodecs", extra="formats", path=path)
    codes = np.empty((*exposure.shape[1:], 3), np.uint16)
    for top in range(0, len(codes), _BLOCK_ROWS):
        block = encode_display(exposure[:, top : top + _BLOCK_ROWS].float())
        codes[top : top + _BLOCK_ROWS] = block.mul(2**bit_depth - 1).round().movedim(0, -1).numpy()
    data = imagecodecs.avif_encode(
        codes,
        level=quality,
        speed=_SPEED,
        bitspersample=bit_depth,
        pixelformat="444",
        primaries=_PRIMARIES,
        transfer=_TRANSFER,
        matrix=_MATRIX,
    )
    data = add_light_levels(data, *_light_levels(exposure))
    marked = mark(data, None if exif is None else encode_exif(exif), add_avif_exif)
    with replacing(path) as temporary:
        temporary.write_bytes(marked.data)
    return marked.damage


def _light_levels(exposure: Float[Tensor, "3 h w"]) -> tuple[int, int]:
    """The brightest channel of any pixel, and the mean over pixels of their brightest, in cd/m2.

    References:
        CTA-861.3-A, annex P (MaxCLL and MaxFALL).
    """
    brightest, total = 0.0, 0.0
    for top in range(0, exposure.shape[1], _BLOCK_ROWS):
        light = to_rec2020(exposure[:, top : top + _BLOCK_ROWS].float()).amax(0).mul(WHITE_CD_M2).clamp(0, PQ_MAX_CD_M2)
        brightest, total = max(brightest, float(light.max())), total + float(light.double().sum())
    return round(brightest), round(total / exposure[0].numel())
