"""A camera's response, estimated from pictures whose light is known: one smooth rising curve per channel."""

import math
from typing import Final, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ldr2hdr.radiometry import CLIPPED_LEVEL

NUM_LEVELS: Final = 256
_WHITE: Final = NUM_LEVELS - 1
# Below, noise and the coder's rounding decide; above, a pixel may be clipped and smoothed by the coder.
MIN_LEVEL: Final = 10
MAX_LEVEL: Final = CLIPPED_LEVEL
FIRST_WHITE: Final = MAX_LEVEL + 1
"""From this level on a picture counts as white: noise and JPEG leave clipped pixels some levels below 255."""
_PRIOR_GAMMA: Final = 2.2
_FIRST_STIFFNESS: Final = 1.0
# Stiffness, and how far in stops a pixel may be from the curve before. At the end, a stiffer curve misses how steep it
# gets towards white, a more supple one follows local tone mapping.
_PASSES: Final = ((1e-2, 2.0), (1e-3, 1.0), (1e-4, 1.0))
# The median of a few pixels is not to be trusted as that of many, that of 100 as that of 10000
_HALF_TRUST_PX: Final = 20.0
# Holds the slope where one level alone was seen, and an exposure that shares no level with another
_RIDGE: Final = 1e-4


class ResponseEstimate(NamedTuple):
    """Response and exposure errors that lead from LDR levels to light.

    Attributes:
        curve: Log2 of the light that makes each level, per channel, not falling.
        offsets: Stops by which each exposure is brighter than was thought; their median is 0.
    """

    curve: Float[Tensor, "3 256"]
    offsets: Float[Tensor, " n"]


def levels_of(ldr: Float[Tensor, "*s"]) -> Int[Tensor, "*s"]:
    """Return the nearest of 256 levels."""
    return torch.round(ldr * _WHITE).long().clamp(0, _WHITE)


def look_up(table: Float[Tensor, "3 256"], levels: Int[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Return the value that each channel has at its level."""
    return table.to(levels.device)[torch.arange(3, device=levels.device)[:, None, None], levels]


def is_well_exposed(levels: Int[Tensor, "*s"]) -> Bool[Tensor, "*s"]:
    """Return whether a level measures the light: neither black nor white."""
    return (levels >= MIN_LEVEL) & (levels <= MAX_LEVEL)


def estimate_response(levels: Int[Tensor, "n 3 m"], stops: Float[Tensor, "n 3 m"]) -> ResponseEstimate:
    """Fit ``curve[c, level] = stops + offset`` to all well-exposed pixels of all exposures at once.

    Of each exposure, channel and level the median light counts. Where few pixels show a level, the median can be that
    of pixels which moved, so the fit begins with a stiff curve through where most pixels are, and ends with a supple
    one through those near it. The curve deviates from a power law over the log of the level; where nothing was seen,
    up to white, it goes on as the power law that it was.

    Args:
        levels: Of each pixel.
        stops: Log2 of the light of each pixel by the nominal EV, ``-inf`` where it is unknown.
    """
    stops = stops.double()
    is_used = is_well_exposed(levels) & torch.isfinite(stops)
    channel = torch.arange(levels.shape[1])[:, None]
    counts, medians = _medians(levels, stops, is_used)
    estimate = _solve(counts / counts.mean().clamp_min(1.0), medians, _FIRST_STIFFNESS)
    for stiffness, tolerance_stops in _PASSES:
        error = estimate.curve[channel, levels] - estimate.offsets[:, None, None] - stops
        counts, medians = _medians(levels, stops, is_used & (error.abs() < tolerance_stops))
        estimate = _solve(counts / (counts + _HALF_TRUST_PX), medians, stiffness)
    return estimate


def _solve(trust: Float[Tensor, "n c 256"], medians: Float[Tensor, "n c 256"], stiffness: float) -> ResponseEstimate:
    """Least squares of ``trust * (curve - offset - median)**2`` and the curves' curvature.

    Given the offsets, each curve is a linear function of them: its constant part and slopes are solved for first.
    """
    prior = _prior_curve()
    seen = trust * (medians - prior)
    coupling = trust.movedim(0, -1)
    of_curve = torch.diag_embed(trust.sum(0)) + _penalty(stiffness)
    parts = torch.linalg.solve(of_curve, torch.cat([seen.sum(0)[..., None], coupling], dim=-1))
    coupled = (coupling.mT @ parts).sum(0)
    of_offsets = torch.diag(trust.sum((1, 2)) + _RIDGE) - coupled[:, 1:]
    offsets = torch.linalg.solve(of_offsets, coupled[:, 0] - seen.sum((1, 2)))
    curve = prior + parts[..., 0] + parts[..., 1:] @ offsets
    middle = offsets.median()
    # both may be shifted by one number, for the light has an arbitrary unit
    return ResponseEstimate((curve - middle).cummax(dim=1).values, offsets - middle)


def _prior_curve() -> Float[Tensor, "256"]:
    level = torch.arange(NUM_LEVELS, dtype=torch.float64).clamp_min(0.5)
    return _PRIOR_GAMMA * torch.log2(level / _WHITE)


def _medians(
    levels: Int[Tensor, "n 3 m"], stops: Float[Tensor, "n 3 m"], is_used: Bool[Tensor, "n 3 m"]
) -> tuple[Float[Tensor, "n 3 256"], Float[Tensor, "n 3 256"]]:
    """Number of pixels of each level and their median, which is 0 where there is none."""
    num, channels, _ = levels.shape
    group = torch.arange(num * channels).view(num, channels, 1) * NUM_LEVELS + levels
    group, value = group[is_used], stops[is_used]
    order = value.argsort()
    order = order[group[order].argsort(stable=True)]
    counts = torch.bincount(group, minlength=num * channels * NUM_LEVELS)
    middle = counts.cumsum(0) - counts + (counts - 1).clamp_min(0) // 2
    padded = torch.cat([value[order], value.new_zeros(1)])
    medians = padded[middle.clamp_max(len(value))].where(counts > 0, 0.0)
    shape = (num, channels, NUM_LEVELS)
    return counts.view(shape).double(), medians.view(shape)


def _penalty(stiffness: float) -> Float[Tensor, "256 256"]:
    """Quadratic form of a curve's squared curvature over the log of the level, and of a faint slope."""
    position = torch.arange(NUM_LEVELS, dtype=torch.float64).clamp_min(0.5).log2() / math.log2(_WHITE)
    step = position.diff()
    slope = torch.eye(NUM_LEVELS, dtype=torch.float64).diff(dim=0) / step[:, None]
    width = (step[1:] + step[:-1]) / 2
    curvature = slope.diff(dim=0) / width[:, None]
    return stiffness * (curvature.T * width) @ curvature + _RIDGE * (slope.T * step) @ slope
