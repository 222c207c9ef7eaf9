"""Things that moved between exposures: where one exposure shows what another says it cannot."""

import itertools
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ldr2hdr.calibration.curve import MAX_LEVEL, MIN_LEVEL, NUM_LEVELS

# An exposure foretells the levels of another by the median over all pixels of a level, taken over so many at least.
_MIN_PIXELS: Final = 50
_WHITE: Final = NUM_LEVELS - 1
# What is white in one exposure is at least what this level foretells, and what is black at most the other: nearer to
# the ends, JPEG mixes pixels into a level that do not belong there.
_BRIGHT, _DARK = 230, 25
# Noise by the level that is foretold, in bands; no camera has less than this many levels once JPEG has been at it.
_BAND: Final = 16
_LEAST_NOISE: Final = 2.0
# The quietest third of the pixels gives the noise, so that a third that moved does not: 0.43 standard deviations.
_QUIET: Final = 1 / 3
_STD_OF_QUIET: Final = 1 / 0.43
# How far beyond noise, and by how many levels, a pixel is no part of a still scene.
_TIMES_NOISE: Final = 6.0
_LEAST_LEVELS: Final = 12.0
# What is smaller is left alone: it is too little to mislead a response, and not distinguished from JPEG at an edge.
_OPENING_PX: Final = 3
# Around what disagrees, that far, what moved may agree by chance.
_MARGIN_PX: Final = 9


class Motion(NamedTuple):
    """Disagreement of two neighbouring exposures.

    Attributes:
        share: Of the picture, 0 to 1, in all parts that are larger than specks.
        first: Number of the darker exposure; the other is the next one.
        column: Middle of the largest part, as a share of the picture's width.
        row: The same of its height.
        where: Those parts, and a margin around them.
    """

    share: float
    first: int
    column: float
    row: float
    where: Bool[np.ndarray, "h w"]


def find_motion(ldr: Float[Tensor, "n 3 h w"]) -> Motion:
    """Find the pair of neighbouring exposures that shows different things on the largest part of the picture.

    ``where`` is of all pairs together.

    Of each pair, either exposure foretells the other: per channel, the levels of the one are mapped to the median of
    what the other shows where the one shows that level, which needs no response and no exposure times. Black and white
    foretell a bound only. A pixel disagrees if it is far outside what its neighbourhood foretells, compared with how
    far pixels of that level are as a rule, which counts as noise all that a camera does by place or picture.

    Args:
        ldr: Aligned exposures in [0, 1], from dark to bright.

    References:
        Grosch, VMV 2006, compares exposures so, by a response curve; Grossberg and Nayar, PAMI 2003, on the functions
        between the levels of two exposures.
    """
    levels = (ldr.cpu().numpy() * _WHITE).round().astype(np.int64)
    found = [_compare(first, *pair) for first, pair in enumerate(itertools.pairwise(levels))]
    worst = max(found, key=lambda motion: motion.share)
    return worst._replace(where=np.any([motion.where for motion in found], axis=0))


def fill_moved(ldr: Float[Tensor, "n 3 h w"], where: Bool[np.ndarray, "h w"]) -> Float[Tensor, "n 3 h w"]:
    """Show in all exposures, where something moved, what the nearest pixel shows where nothing did.

    The exposures agree about it then, and nothing is learned from what moved.

    Args:
        ldr: Aligned exposures.
        where: Not everywhere.
    """
    _, nearest = cv2.distanceTransformWithLabels(
        where.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # labels number the still pixels in an order of their own
    index = np.zeros(nearest.max() + 1, np.int64)
    index[nearest[~where]] = np.flatnonzero(~where)
    source = torch.from_numpy(index[nearest].ravel()).to(ldr.device)
    return ldr.flatten(2)[..., source].reshape(ldr.shape)


def _compare(first: int, one: Int[np.ndarray, "3 h w"], other: Int[np.ndarray, "3 h w"]) -> Motion:
    disagrees = _disagrees(one, other) | _disagrees(other, one)
    kernel = np.ones((_OPENING_PX, _OPENING_PX), np.uint8)
    opened = cv2.morphologyEx(disagrees.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    _, _, statistics, centroids = cv2.connectedComponentsWithStats(opened, connectivity=8)
    areas = statistics[1:, cv2.CC_STAT_AREA]  # the first is what agrees
    if len(areas) == 0:
        return Motion(0.0, first, 0.5, 0.5, opened > 0)
    height, width = disagrees.shape
    column, row = centroids[1 + int(areas.argmax())]
    margin = np.ones((2 * _MARGIN_PX + 1, 2 * _MARGIN_PX + 1), np.uint8)
    where = cv2.dilate(opened, margin) > 0
    return Motion(float(areas.sum()) / disagrees.size, first, float(column) / width, float(row) / height, where)


def _disagrees(by: Int[np.ndarray, "3 h w"], shown: Int[np.ndarray, "3 h w"]) -> Bool[np.ndarray, "h w"]:
    """Find where one exposure shows in a channel what the levels of the other exclude."""
    return np.any([_is_unforetold(*pair) for pair in zip(by, shown, strict=True)], axis=0)


def _is_unforetold(by: Int[np.ndarray, "h w"], shown: Int[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    curve = _foretelling(by, shown)
    foretold = curve[by]
    kernel = np.ones((3, 3), np.uint8)
    # edges move by parts of a pixel, and JPEG smears them
    low = np.where(by < MIN_LEVEL, 0, np.minimum(foretold, np.where(by > MAX_LEVEL, curve[_BRIGHT], _WHITE)))
    high = np.where(by > MAX_LEVEL, _WHITE, np.maximum(foretold, np.where(by < MIN_LEVEL, curve[_DARK], 0)))
    low, high = cv2.erode(low.astype(np.float32), kernel), cv2.dilate(high.astype(np.float32), kernel)
    excess = np.abs(shown - np.clip(shown, low, high))
    noise = _noise(foretold, np.abs(shown - foretold), is_told=(by >= MIN_LEVEL) & (by <= MAX_LEVEL))
    return (excess > _LEAST_LEVELS) & (excess > _TIMES_NOISE * noise)


def _foretelling(by: Int[np.ndarray, "h w"], shown: Int[np.ndarray, "h w"]) -> Float[np.ndarray, "256"]:
    """Compute the median level of one exposure for each level of the other, not falling, between black and white."""
    is_told = (by >= MIN_LEVEL) & (by <= MAX_LEVEL)
    order = by[is_told].argsort(kind="stable")
    values, levels = shown[is_told][order], by[is_told][order]
    medians = np.full(NUM_LEVELS, np.nan)
    for level in np.unique(levels):
        start, stop = np.searchsorted(levels, [level, level + 1])
        missing = max(0, _MIN_PIXELS - (stop - start)) // 2
        medians[level] = np.median(values[max(0, start - missing) : stop + missing])
    known = np.flatnonzero(np.isfinite(medians))
    if len(known) == 0:
        return np.full(NUM_LEVELS, _WHITE / 2)
    curve = np.interp(np.arange(NUM_LEVELS), known, medians[known])
    return (np.maximum.accumulate(curve) + np.minimum.accumulate(curve[::-1])[::-1]) / 2


def _noise(
    foretold: Float[np.ndarray, "h w"], error: Float[np.ndarray, "h w"], *, is_told: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """Estimate the error's standard deviation at each foretold level, robustly: of its band or a neighbouring one."""
    band = (foretold / _BAND).astype(np.int64)
    num_bands = NUM_LEVELS // _BAND
    medians = np.zeros(num_bands + 2)
    for number in range(num_bands):
        inside = error[is_told & (band == number)]
        medians[number + 1] = np.quantile(inside, _QUIET) if len(inside) >= _MIN_PIXELS else 0.0
    deviations = _STD_OF_QUIET * np.maximum(np.maximum(medians[:-2], medians[2:]), medians[1:-1])
    return np.maximum(deviations, _LEAST_NOISE)[band]
