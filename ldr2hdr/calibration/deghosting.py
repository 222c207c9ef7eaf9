"""Deghosting: what moved between exposures is taken from one of them alone."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float

from ldr2hdr.calibration.tones import Measured

# Light is compared over neighbourhoods, for edges move by parts of a pixel and coders smear them
_REACH_PX: Final = 1
_TIMES_NOISE: Final = 4.0
# Of the noise of single levels, which counts where they are many stops wide
_TIMES_LEVEL: Final = 2.0
_LEAST_STOPS: Final = 0.35
"""Difference that is never taken for motion: local tone mapping and an error of the curve are as large."""
# What is smaller is noise; around what moved, that far, it may agree by chance
_OPENING_PX: Final = 3
_MARGIN_PX: Final = 9
HALO_PX: Final = _OPENING_PX + _MARGIN_PX + _REACH_PX + 1
"""Rows around a strip that its result depends on."""
# Spread by the light that the reference shows, in bands of a stop; the quiet third says it, of which a third that moved
# is no part: 0.43 standard deviations
_NUM_BANDS: Final = 32
_QUIET: Final = 1 / 3
_STD_OF_QUIET: Final = 1 / 0.43
_MIN_PIXELS: Final = 200
_FLOOR: Final = 2.0**-24


class Spread(NamedTuple):
    """Difference of an exposure from the reference where nothing moves, by the light, in stops.

    Attributes:
        offset: By band and channel: error of the stated exposure, of the curve, of tone mapping.
        deviation: Robust standard deviation around it.
    """

    offset: Float[np.ndarray, "b 3"]
    deviation: Float[np.ndarray, "b 3"]


def measure_spreads(
    exposures: Sequence[Measured], valid: Sequence[Bool[np.ndarray, "h w"]], order: Sequence[int]
) -> list[Spread]:
    """Measure how far each exposure is from the reference where nothing moves, on a small copy of the pictures.

    Args:
        exposures: In units of one light.
        valid: Where each shows the scene.
        order: Numbers of the exposures, the reference first, then from near to far in exposure.
    """
    anchor = exposures[order[0]].light, _is_known(exposures[order[0]], valid[order[0]])
    spreads = [Spread(np.zeros((_NUM_BANDS, 3)), np.zeros((_NUM_BANDS, 3)))] * len(exposures)
    light, is_known = anchor[0].copy(), anchor[1].copy()
    for number in order[1:]:
        here = _is_known(exposures[number], valid[number])
        spreads[number] = _spread(light, exposures[number].light, is_known & here)
        added = here & ~is_known
        light[added], is_known = exposures[number].light[added], is_known | here
    return spreads


def find_moved(
    exposures: Sequence[Measured],
    valid: Sequence[Bool[np.ndarray, "h w"]],
    order: Sequence[int],
    spreads: Sequence[Spread],
) -> list[Bool[np.ndarray, "h w"]]:
    """Return where each exposure shows another thing than the reference does.

    The reference says what is there. Where it is black or white, it says only how much light there is at least or at
    most: there, of the exposures that agree with this, the nearest one in exposure says the rest, and so on.

    Args:
        exposures: In units of one light.
        valid: Where each shows the scene.
        order: Numbers of the exposures, the reference first, then from near to far in exposure.
        spreads: By `measure_spreads`.

    References:
        Grosch, VMV 2006; Sen et al., "Robust patch-based HDR reconstruction", SIGGRAPH Asia 2012, take one reference.
    """
    known = _is_known(exposures[order[0]], valid[order[0]])
    low, high = _bounds(exposures[order[0]], valid[order[0]])
    moved = [np.zeros(known.shape[:2], bool)] * len(exposures)
    kernel = np.ones((2 * _REACH_PX + 1,) * 2, np.uint8)
    for number in order[1:]:
        lower, upper = _bounds(exposures[number], valid[number])
        offset, tolerance = _tolerance(np.where(np.isfinite(low), low, high), spreads[number])
        above = cv2.erode(lower - offset, kernel) - cv2.dilate(high, kernel)
        below = cv2.erode(low, kernel) - cv2.dilate(upper - offset, kernel)
        moved[number] = _cleaned((np.maximum(above, below) > tolerance).any(axis=2))
        agrees = (~moved[number] & valid[number])[..., None] & ~known
        says = agrees & _is_known(exposures[number], valid[number])
        low = np.where(says, lower, np.where(agrees, np.maximum(low, lower), low))
        high = np.where(says, upper, np.where(agrees, np.minimum(high, upper), high))
        known = known | says
    return moved


def _is_known(exposure: Measured, valid: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w 3"]:
    known: Bool[np.ndarray, "h w 3"] = (exposure.weight > 0) & valid[..., None]
    return known


def _bounds(
    exposure: Measured, valid: Bool[np.ndarray, "h w"]
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w 3"]]:
    """Stops of light at least and at most, noise allowed for."""
    stops = np.log2(np.maximum(exposure.light, _FLOOR)).astype(np.float32)
    slack = np.float32(_TIMES_LEVEL / math.log(2)) * np.sqrt(exposure.noise)
    unknown = ~valid[..., None]
    low = np.where(exposure.is_black | unknown, -np.float32(np.inf), stops - slack)
    high = np.where(exposure.is_white | unknown, np.float32(np.inf), stops + slack)
    return low, high


def _bands(stops: Float[np.ndarray, "*s"]) -> np.ndarray:
    return np.clip(np.nan_to_num(stops, posinf=99, neginf=-99) + _NUM_BANDS * 0.75, 0, _NUM_BANDS - 1).astype(np.int64)


def _tolerance(
    stops: Float[np.ndarray, "h w 3"], spread: Spread
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w 3"]]:
    bands, channel = _bands(stops), np.arange(3)
    offset = spread.offset[bands, channel].astype(np.float32)
    return offset, np.maximum(_TIMES_NOISE * spread.deviation[bands, channel], _LEAST_STOPS).astype(np.float32)


def _spread(
    light: Float[np.ndarray, "h w 3"], other: Float[np.ndarray, "h w 3"], is_known: Bool[np.ndarray, "h w 3"]
) -> Spread:
    stops = np.log2(np.maximum(light, _FLOOR))
    differences = np.log2(np.maximum(other, _FLOOR)) - stops
    bands = _bands(stops)
    offset, deviation = np.full((_NUM_BANDS, 3), math.nan), np.full((_NUM_BANDS, 3), math.nan)
    for channel in range(3):
        inside = is_known[..., channel]
        difference, band = differences[..., channel][inside], bands[..., channel][inside]
        for number in np.flatnonzero(np.bincount(band, minlength=_NUM_BANDS) >= _MIN_PIXELS):
            values = difference[band == number]
            offset[number, channel] = np.median(values)
            distance = np.abs(values - offset[number, channel])
            deviation[number, channel] = _STD_OF_QUIET * np.quantile(distance, _QUIET)
    # an offset beyond what cameras do is a thing that moved
    offset = np.clip(_filled(offset), -_LEAST_STOPS, _LEAST_STOPS)
    return Spread(offset, _filled(deviation))


def _filled(table: Float[np.ndarray, "b 3"]) -> Float[np.ndarray, "b 3"]:
    """The nearest known band's value where there is none; 0 without any."""
    filled = np.zeros_like(table)
    for channel in range(3):
        known = np.flatnonzero(np.isfinite(table[:, channel]))
        if len(known):
            filled[:, channel] = np.interp(np.arange(_NUM_BANDS), known, table[known, channel])
    return filled


def _cleaned(differs: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    opened = cv2.morphologyEx(differs.astype(np.uint8), cv2.MORPH_OPEN, np.ones((_OPENING_PX, _OPENING_PX), np.uint8))
    grown: Bool[np.ndarray, "h w"] = cv2.dilate(opened, np.ones((2 * _MARGIN_PX + 1,) * 2, np.uint8)) > 0
    return grown
