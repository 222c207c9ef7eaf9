"""A camera's response, estimated from pictures whose light is known: one smooth rising curve per channel."""

import math
from typing import Final, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

NUM_LEVELS: Final = 256
_WHITE: Final = NUM_LEVELS - 1
# Below, noise and the coder's rounding decide; above, a pixel may be clipped and smoothed by the coder.
MIN_LEVEL: Final = 10
MAX_LEVEL: Final = 250
_PRIOR_GAMMA: Final = 2.2
_SMOOTHNESS: Final = 3e-3
# The median of a few pixels is not to be trusted as that of many, that of 100 as that of 10000
_HALF_TRUST_PX: Final = 20.0
# Holds the slope where one level alone was seen, and an exposure that shares no level with another
_RIDGE: Final = 1e-4


class ResponseEstimate(NamedTuple):
    """What leads from LDR levels to light.

    Attributes:
        curve: Log2 of the light that makes each level, per channel, not falling.
        offsets: Stops by which each exposure is brighter than was thought; their median is 0.
    """

    curve: Float[Tensor, "3 256"]
    offsets: Float[Tensor, " n"]


def levels_of(ldr: Float[Tensor, "*s"]) -> Int[Tensor, "*s"]:
    """The nearest of 256 levels."""
    return torch.round(ldr * _WHITE).long().clamp(0, _WHITE)


def is_well_exposed(levels: Int[Tensor, "*s"]) -> Tensor:
    """Whether a level tells the light: neither black nor white."""
    return (levels >= MIN_LEVEL) & (levels <= MAX_LEVEL)


def estimate_response(levels: Int[Tensor, "n 3 m"], stops: Float[Tensor, "n 3 m"]) -> ResponseEstimate:
    """Fit ``curve[c, level] = stops + offset`` to all well-exposed pixels of all exposures at once.

    Of each exposure, channel and level the median light counts, so that a minority of pixels, which moved or which
    the coder blurred, has no say. The curve deviates smoothly from a power law over the log of the level; where
    nothing was seen, up to white, it goes on as the power law that it was.

    Args:
        levels: Of each pixel.
        stops: Log2 of the light of each pixel by the nominal EV, ``-inf`` where it is unknown.
    """
    num, channels = levels.shape[:2]
    counts, medians = _medians(levels, stops.double())
    trust = (counts / (counts + _HALF_TRUST_PX)).flatten(1)
    prior = _prior_curve()
    deviation = (medians - prior).where(counts > 0, 0.0).flatten(1)
    # unknown are the curves' deviations from the prior and the offsets: sum of trust * (curve - offset - seen)**2
    size = channels * NUM_LEVELS
    normal = torch.diag(torch.cat([trust.sum(0), trust.sum(1) + _RIDGE]))
    normal[:size, :size] += torch.kron(torch.eye(channels, dtype=torch.float64), _penalty())
    normal[:size, size:] = -trust.T
    normal[size:, :size] = -trust
    seen = trust * deviation
    solution = torch.linalg.solve(normal, torch.cat([seen.sum(0), -seen.sum(1)]))
    curve, offsets = solution.split([size, num])
    middle = offsets.median()
    # both may be shifted by one number, for the light has an arbitrary unit
    return ResponseEstimate((prior + curve.view(channels, NUM_LEVELS) - middle).cummax(dim=1).values, offsets - middle)


def _prior_curve() -> Float[Tensor, "256"]:
    level = torch.arange(NUM_LEVELS, dtype=torch.float64).clamp_min(0.5)
    return _PRIOR_GAMMA * torch.log2(level / _WHITE)


def _medians(levels: Int[Tensor, "n 3 m"], stops: Float[Tensor, "n 3 m"]) -> tuple[Tensor, Tensor]:
    """Number of well-exposed pixels and their median, ``(n, 3, 256)``; the median is 0 where there is none."""
    num, channels, _ = levels.shape
    group = torch.arange(num * channels).view(num, channels, 1) * NUM_LEVELS + levels
    is_told = is_well_exposed(levels) & torch.isfinite(stops)
    group, value = group[is_told], stops[is_told]
    order = value.argsort()
    order = order[group[order].argsort(stable=True)]
    counts = torch.bincount(group, minlength=num * channels * NUM_LEVELS)
    middle = counts.cumsum(0) - counts + (counts - 1).clamp_min(0) // 2
    padded = torch.cat([value[order], value.new_zeros(1)])
    medians = padded[middle.clamp_max(len(value))].where(counts > 0, 0.0)
    shape = (num, channels, NUM_LEVELS)
    return counts.view(shape).double(), medians.view(shape)


def _penalty() -> Float[Tensor, "256 256"]:
    """Quadratic form of a curve's squared curvature over the log of the level, and of a faint slope."""
    position = torch.arange(NUM_LEVELS, dtype=torch.float64).clamp_min(0.5).log2() / math.log2(_WHITE)
    step = position.diff()
    slope = torch.eye(NUM_LEVELS, dtype=torch.float64).diff(dim=0) / step[:, None]
    width = (step[1:] + step[:-1]) / 2
    curvature = slope.diff(dim=0) / width[:, None]
    return _SMOOTHNESS * (curvature.T * width) @ curvature + _RIDGE * (slope.T * step) @ slope
