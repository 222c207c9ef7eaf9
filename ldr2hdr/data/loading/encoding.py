"""Pixels in few bytes: codes as the integers that they were, light as scaled half floats."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

# Half precision rounds by at most this, until it runs out of exponents 29 stops below the maximum
_MAX_RELATIVE_ERROR: Final = 2.0**-11


class EncodedHdr(NamedTuple):
    """Linear values as ``stored * unit``; None for none."""

    stored: Float[np.ndarray, "3 h w"] | None
    unit: float
    max_relative_error: float


def encode_ldr(pictures: Sequence[Float[np.ndarray, "3 h w"]]) -> Shaped[np.ndarray, "n 3 h w"]:
    """Codes of pictures in [0, 1] without loss: code / 255 as uint8, or code / 65535 as uint16 if one needs it.

    Args:
        pictures: Of one size; decoded from 8 or 16 bits.
    """
    stacked = []
    for picture in pictures:
        narrow = np.rint(picture * 255).astype(np.uint8)
        is_exact = np.array_equal(narrow.astype(np.float32) / np.float32(255), picture)
        stacked.append(narrow if is_exact else np.rint(picture * 65535).astype(np.uint16))
    if any(codes.dtype == np.uint16 for codes in stacked):
        wide = [np.empty(codes.shape, dtype=np.uint16) for codes in stacked]
        for target, codes in zip(wide, stacked, strict=True):
            copy_codes(target, codes)
        stacked = wide
    return np.stack(stacked)


def copy_codes(target: Shaped[np.ndarray, "*s"], codes: Shaped[np.ndarray, "*s"]) -> None:
    """Write codes of 8 or 16 bits into an array of as many or more, without loss."""
    if target.dtype == codes.dtype:
        target[...] = codes
    else:
        # k / 255 is 257 k / 65535, and so are their roundings
        np.multiply(codes, np.uint16(257), out=target)


def encode_hdr(linear: Float[np.ndarray, "3 h w"]) -> EncodedHdr:
    """Scale linear values to the middle of half precision; where a pixel is too dark for that, keep single precision.

    Args:
        linear: Finite, non-negative, float32.
    """
    peak = float(linear.max())
    exponent = math.frexp(peak)[1] - 15 if peak > 0 else 0
    half = np.ldexp(linear, -exponent).astype(np.float16)
    is_lit = linear > 0
    light = linear[is_lit].astype(np.float64)
    errors = np.abs(np.ldexp(half[is_lit].astype(np.float64), exponent) - light) / light
    max_error = float(errors.max(initial=0.0))
    if max_error <= _MAX_RELATIVE_ERROR:
        return EncodedHdr(half, 2.0**exponent, max_error)
    return EncodedHdr(linear.astype(np.float32), 1.0, 0.0)
