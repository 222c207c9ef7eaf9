"""Gain maps: what to multiply an LDR picture by to get the HDR one, in 8 bits.

References:
    ISO 21496-1:2025, clause 6; Adobe, "Gain map specification" 1.0; Google, "Ultra HDR image format" 1.1.
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

DENOMINATOR: Final = 2**16
"""Of the fractions in which metadata is stored; gains and headroom are rounded outwards to its multiples."""
OFFSET: Final = 1 / 64
"""Added to both pictures before dividing, so that black has a gain; the value that all encoders use."""
# A display is driven from no headroom to this: the two must differ even where nothing is brighter than white
_MIN_HEADROOM: Final = 1 / 8
# Of what is computed at a time, so that the steps on the way need little memory
_BLOCK_ROWS: Final = 64


@dataclass(frozen=True)
class GainMapMetadata:
    """Meaning of the codes of a gain map; the same for red, green and blue.

    Attributes:
        gain_min: Gain of code 0, in stops.
        gain_max: Gain of code 255, in stops.
        headroom: How much brighter than white a display must be to show all of the HDR picture, in stops.
        offset: Added to LDR and HDR, linear.
    """

    gain_min: float
    gain_max: float
    headroom: float
    offset: float = OFFSET


class GainMap(NamedTuple):
    """Codes and their meaning.

    Attributes:
        codes: 8-bit gains of red, green, blue.
        metadata: How to read them.
    """

    codes: UInt8[np.ndarray, "u v 3"]
    metadata: GainMapMetadata


def compute_gain_map(
    ldr: Float[np.ndarray, "h w 3"], hdr: Float[np.ndarray, "h w 3"], *, reduction: int = 1
) -> GainMap:
    """Compute the gain map that turns an LDR picture into an HDR one: ``(ldr + k) * 2**gain - k``.

    The codes divide the range of gains evenly. Rounding alone would make bands of a slow gradient; a noise of up to one
    code is added first, the same in all channels, after which a pixel errs by at most one and a half of
    ``(gain_max - gain_min) / 255`` stops, and what JPEG adds, but the mean over some pixels by much less. The noise is
    the same in each call.

    Args:
        ldr: Linear light, 1 at white.
        hdr: Linear light in the same primaries, 1 at the same white, non-negative.
        reduction: Store one gain for blocks of this many pixels a side, their mean.

    Example:
        >>> white = np.ones((2, 2, 3), np.float32)
        >>> compute_gain_map(white, white * 8).metadata.headroom
        3.0
    """
    blocks = functools.partial(_gains, ldr, hdr)
    if reduction > 1:
        height, width = (-(-side // reduction) for side in ldr.shape[:2])
        whole = np.concatenate(list(blocks()))
        reduced = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width, 3)
        blocks = functools.partial(_cut, reduced)
    # twice, for all gains at once take as much memory as the picture
    limits = [(float(block.min()), float(block.max())) for block in blocks()]
    gain_min = math.floor(min(low for low, _ in limits) * DENOMINATOR) / DENOMINATOR
    gain_max = math.ceil(max(high for _, high in limits) * DENOMINATOR) / DENOMINATOR
    span = max(gain_max - gain_min, 1 / DENOMINATOR)
    codes = np.concatenate(
        [_encode((block - gain_min) * (255 / span), seed=number * _BLOCK_ROWS) for number, block in enumerate(blocks())]
    )
    return GainMap(codes, GainMapMetadata(gain_min, gain_max, _headroom(hdr)))


def _gains(ldr: Float[np.ndarray, "h w 3"], hdr: Float[np.ndarray, "h w 3"]) -> Iterator[Float[np.ndarray, "_ w 3"]]:
    for light, base in zip(_cut(hdr), _cut(ldr), strict=True):
        yield np.log2((light + np.float32(OFFSET)) / (base + np.float32(OFFSET)))


def _cut(picture: Float[np.ndarray, "h w 3"]) -> Iterator[Float[np.ndarray, "_ w 3"]]:
    return (picture[top : top + _BLOCK_ROWS] for top in range(0, len(picture), _BLOCK_ROWS))


def _encode(exact: Float[np.ndarray, "h w 3"], *, seed: int) -> UInt8[np.ndarray, "h w 3"]:
    return np.rint(exact + _noise(*exact.shape[:2], seed=seed)).clip(0, 255).astype(np.uint8)


def _noise(height: int, width: int, *, seed: int) -> Float[np.ndarray, "h w 1"]:
    """Noise of triangular law between -1 and 1, after which the error of rounding does not depend on the value.

    References:
        Lipshitz, Wannamaker and Vanderkooy, "Quantization and dither: a theoretical survey", JAES 40(5), 1992.
    """
    first, second = np.random.default_rng(seed).random((2, height, width, 1), dtype=np.float32)
    return np.asarray(first - second, np.float32)


def _headroom(hdr: Float[np.ndarray, "h w 3"]) -> float:
    peak = float(hdr.max(initial=0.0))
    stops = math.log2(peak) if peak > 0 else 0.0
    return max(math.ceil(stops * DENOMINATOR) / DENOMINATOR, _MIN_HEADROOM)
