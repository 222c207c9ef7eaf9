"""Fusion of exposures whose tones are known: the mean of the light, weighted by how sure each exposure is of it."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ldr2hdr.calibration.tones import Measured

_FLOOR: Final = 2.0**-24
# What is known by a bound alone is taken to be off by a stop and a half
_LEAST_WEIGHT: Final = 1.0


class Fused(NamedTuple):
    """Light of a picture, or a part of it.

    Attributes:
        light: In the unit of the exposures.
        variance: Relative variance, at most 1.
        is_clipped: White wherever it was seen: ``light`` is the largest of the lower bounds.
        is_black: Black wherever it was seen: ``light`` is the smallest of the upper bounds.
    """

    light: Float[np.ndarray, "h w 3"]
    variance: Float[np.ndarray, "h w 3"]
    is_clipped: Bool[np.ndarray, "h w 3"]
    is_black: Bool[np.ndarray, "h w 3"]


def fuse(exposures: Sequence[Measured], shares: Sequence[Float[np.ndarray, "h w"]]) -> Fused:
    """Merge exposures in units of one light.

    Args:
        exposures: What each says.
        shares: How much each counts at a pixel, 0 for not at all; not 0 everywhere.

    References:
        Granados et al., "Optimal HDR reconstruction with linear digital cameras", CVPR 2010: inverse variances.
    """
    shape = exposures[0].light.shape
    total, weighted = np.zeros(shape), np.zeros(shape)
    lowest, highest = np.zeros(shape, np.float32), np.full(shape, np.inf, np.float32)
    for exposure, share in zip(exposures, shares, strict=True):
        counts = share[..., None]
        weight = (exposure.weight * counts).astype(np.float64)
        total += weight
        weighted += weight * exposure.light
        lowest = np.maximum(lowest, np.where(exposure.is_white & (counts > 0), exposure.light, 0))
        highest = np.minimum(highest, np.where(exposure.is_black & (counts > 0), exposure.light, np.inf))
    is_measured = total > 0
    is_clipped, is_black = ~is_measured & np.isinf(highest), ~is_measured & (lowest == 0)
    between = np.sqrt(np.maximum(lowest, _FLOOR) * np.maximum(np.where(is_clipped, 0, highest), _FLOOR))
    bound = np.where(is_clipped, lowest, np.where(is_black, highest, between))
    light = np.where(is_measured, weighted / np.where(is_measured, total, 1), bound)
    variance = 1 / np.maximum(total, _LEAST_WEIGHT)
    return Fused(light.astype(np.float32), variance.astype(np.float32), is_clipped, is_black)
