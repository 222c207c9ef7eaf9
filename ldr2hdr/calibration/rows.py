"""Rows of a bracket: pairs of levels that two exposures of one scene show at the same places, and their information."""

import math
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from ldr2hdr.calibration.curve import MAX_LEVEL, MIN_LEVEL, NUM_LEVELS

LOWEST_LEVEL: Final = 3
"""Below, black level and rounding say more than light."""
HIGHEST_LEVEL: Final = 252
"""Above, clipped light is mixed in."""
# Stops between the frames of a pair: nearer, an error of the times weighs too much; farther, few levels are shared
_GAP_STOPS: Final = (0.3, 4.5)
# Each frame is compared with so many of the next shorter ones
_NUM_PARTNERS: Final = 2
# Pixels of a level that have a median
_MIN_COUNT: Final = 4
# The part of a level's pixels that must be below white in the other frame for its median to be what the light was
_SHARE_BELOW_WHITE: Final = 0.9
_WHITE: Final = 254
# From the quartiles' distance to the standard deviation of a normal law, and the least that rounding leaves
_QUARTILES_PER_DEVIATION: Final = 1.349
_MIN_SPREAD: Final = 0.3
# The median of a few pixels is not to be trusted as that of many
_HALF_TRUST_PX: Final = 30.0


class JointHistograms(NamedTuple):
    """Number of pixels by the levels that two frames show there; additive over the parts of a picture.

    Attributes:
        counts: Of each pair and channel, by the level of the longer exposure, then by that of the shorter one.
        frame: The longer exposure of each pair.
        shorter_frame: The shorter one.
    """

    counts: Int[Tensor, "p 3 256 256"]
    frame: Int[Tensor, " p"]
    shorter_frame: Int[Tensor, " p"]


class BracketRows(NamedTuple):
    """Equations ``g(level) - g(shorter_level) = log_ratio`` of the log inverse response, one row each.

    Attributes:
        level: In the longer exposure, a whole number or a median.
        shorter_level: In the shorter exposure at the same places.
        num_px: Pixels that the row stands for.
        spread: Standard deviation of the levels that the median is of.
        log_ratio: Natural logarithm of the stated ratio of exposures.
        channel: 0, 1 or 2.
        frame: The longer exposure.
        shorter_frame: The shorter exposure.
    """

    level: Float[Tensor, " r"]
    shorter_level: Float[Tensor, " r"]
    num_px: Float[Tensor, " r"]
    spread: Float[Tensor, " r"]
    log_ratio: Float[Tensor, " r"]
    channel: Int[Tensor, " r"]
    frame: Int[Tensor, " r"]
    shorter_frame: Int[Tensor, " r"]

    def select(self, is_kept: Bool[Tensor, " r"]) -> "BracketRows":
        """Return some of the rows."""
        return BracketRows(*(column[is_kept] for column in self))

    def involves(self, frame: int) -> Bool[Tensor, " r"]:
        """Return which rows compare a frame with another."""
        return (self.frame == frame) | (self.shorter_frame == frame)


def count_joint_levels(
    frames: UInt8[Tensor, "n 3 h w"],
    evs: Float[Tensor, " n"],
    *,
    is_valid: Bool[Tensor, "n h w"] | None = None,
) -> JointHistograms:
    """Count which levels the frames of a bracket show at the same places.

    Each frame is compared with the next two shorter ones that are 0.3 to 4.5 stops away.

    Args:
        frames: Aligned 8-bit pictures, or the same strip of each.
        evs: Exposure of each in stops, relative to any common value.
        is_valid: Pixels that show the scene; all if None.
    """
    pairs = _pairs(evs.tolist())
    levels = frames.cpu().numpy()
    valid = None if is_valid is None else is_valid.cpu().numpy()
    counts = np.zeros((len(pairs), 3, NUM_LEVELS**2), dtype=np.int64)
    for place, (longer, shorter) in enumerate(pairs):
        both = None if valid is None else valid[longer] & valid[shorter]
        for channel in range(3):
            codes = (levels[longer, channel].astype(np.uint16) << 8) | levels[shorter, channel]
            chosen = codes.ravel() if both is None else codes[both]
            counts[place, channel] = np.bincount(chosen, minlength=NUM_LEVELS**2)
    frame, shorter_frame = torch.tensor(pairs, dtype=torch.long).view(-1, 2).unbind(1)
    return JointHistograms(torch.from_numpy(counts).view(-1, 3, NUM_LEVELS, NUM_LEVELS), frame, shorter_frame)


def _pairs(evs: list[float]) -> list[tuple[int, int]]:
    """Pairs of frames to compare, the longer exposure first."""
    low, high = _GAP_STOPS
    by_exposure = sorted(range(len(evs)), key=lambda frame: (evs[frame], frame))
    pairs = []
    for place, longer in enumerate(by_exposure):
        partners = [shorter for shorter in reversed(by_exposure[:place]) if low <= evs[longer] - evs[shorter] <= high]
        pairs += [(longer, shorter) for shorter in partners[:_NUM_PARTNERS]]
    return pairs


def bracket_rows(histograms: JointHistograms, evs: Float[Tensor, " n"]) -> BracketRows:
    """Reduce joint histograms to rows: of each level in one frame, the median level in the other, both ways.

    Args:
        histograms: Of the bracket's pairs.
        evs: Exposure of each frame in stops.
    """
    counts = histograms.counts.double()
    log_ratios = (evs.double()[histograms.frame] - evs.double()[histograms.shorter_frame]) * math.log(2)
    parts = []
    for is_swapped in (False, True):
        medians = _conditional_medians(counts.mT if is_swapped else counts)
        pair, channel, level = medians.is_told.nonzero(as_tuple=True)
        given, found, count, spread = (
            level.double(),
            *(values[medians.is_told] for values in (medians.median, medians.num_px, medians.spread)),
        )
        first, second = (found, given) if is_swapped else (given, found)
        frames = histograms.frame[pair], histograms.shorter_frame[pair]
        parts.append(BracketRows(first, second, count, spread, log_ratios[pair], channel, *frames))
    return BracketRows(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


class _Medians(NamedTuple):
    num_px: Float[Tensor, "p 3 256"]
    median: Float[Tensor, "p 3 256"]
    spread: Float[Tensor, "p 3 256"]
    is_told: Bool[Tensor, "p 3 256"]


def _conditional_medians(counts: Float[Tensor, "p 3 256 256"]) -> _Medians:
    """Medians over the last axis, with what they are worth."""
    count = counts.sum(-1)
    cumulated = counts.cumsum(-1)

    def quantile(share: float) -> Float[Tensor, "p 3 256"]:
        goal = (count * share)[..., None]
        level = (cumulated < goal).sum(-1, keepdim=True).clamp_max(NUM_LEVELS - 1)
        upper = cumulated.gather(-1, level)
        below = torch.where(level > 0, cumulated.gather(-1, (level - 1).clamp_min(0)), 0)
        return (level - 0.5 + (goal - below) / (upper - below).clamp_min(1))[..., 0]

    median = quantile(0.5)
    spread = ((quantile(0.75) - quantile(0.25)) / _QUARTILES_PER_DEVIATION).clamp_min(_MIN_SPREAD)
    given = torch.arange(NUM_LEVELS)
    is_told = (count >= _MIN_COUNT) & (given >= LOWEST_LEVEL) & (given <= HIGHEST_LEVEL)
    is_told &= (median >= LOWEST_LEVEL) & (median <= HIGHEST_LEVEL) & (quantile(_SHARE_BELOW_WHITE) < _WHITE)
    return _Medians(count, median, spread, is_told)


def row_errors(rows: BracketRows, curve: Float[Tensor, "256 3"]) -> Float[Tensor, " r"]:
    """Return the stops by which the stated ratio of exposures exceeds that of a log inverse response (nats)."""
    seen = at_levels(curve, rows.level, rows.channel) - at_levels(curve, rows.shorter_level, rows.channel)
    return (rows.log_ratio - seen) / math.log(2)


def disagreement(rows: BracketRows, curve: Float[Tensor, "256 3"]) -> float:
    """Return the stops by which frames disagree about their scene, by well-exposed levels; 0 where none is shared.

    The root mean square over levels of the median's error and of the pixels' spread about it, from the mean of the two
    frames of a pair, which is half of what they differ by. Near .05 for brackets of one still scene, above half a stop
    for pictures of different ones.
    """
    first, second = rows.level, rows.shorter_level
    slopes = torch.gradient(curve, dim=0)[0] / math.log(2)
    steepness = torch.minimum(*(at_levels(slopes, level, rows.channel) for level in (first, second)))
    weight = rows.num_px / (rows.num_px + _HALF_TRUST_PX)
    for level in (first, second):
        weight = weight * ((level >= MIN_LEVEL) & (level <= MAX_LEVEL))
    error = row_errors(rows, curve) ** 2 + (rows.spread * steepness) ** 2
    return ((weight * error).sum() / weight.sum().clamp_min(1e-9)).sqrt().item() / 2


def at_levels(
    curve: Float[Tensor, "256 3"], level: Float[Tensor, " r"], channel: Int[Tensor, " r"]
) -> Float[Tensor, " r"]:
    """Interpolate a table between its levels."""
    below = level.long().clamp(0, NUM_LEVELS - 2)
    return torch.lerp(curve[below, channel], curve[below + 1, channel], level.to(curve.dtype) - below)
