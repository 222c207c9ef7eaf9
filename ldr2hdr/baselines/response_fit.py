"""The classical baseline: one lookup table per colour channel, fitted to the support."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ldr2hdr.baselines.inverse_gamma import InverseGamma
from ldr2hdr.calibration.curve import NUM_LEVELS, levels_of, look_up
from ldr2hdr.tasks import Shots

_WHITE = NUM_LEVELS - 1
_PRIOR_GAMMA = 2.2


@dataclass(frozen=True)
class ResponseFit:
    """Inverse response as a monotone table over the 256 levels of each channel.

    The estimate of a level is the mean log exposure of the support pixels that show it. A smoothing spline
    over the log of the level, which deviates from inverse gamma 2.2 as little as the data allow, joins the
    estimates and carries on over levels that the support does not show; isotonic regression then makes the
    table monotone. Black and white pixels say only that the light was out of range, so these two levels
    stay out of the spline. Without support the system is inverse gamma 2.2.

    It is meant to be hard to beat: the constants were chosen on simulated cameras over the panoramas of all splits,
    test included, in the baseline's favour. White is the log mean of labels cut one stop above white, pooled over the
    channels: with a mean of linear labels a few very bright pixels would decide.

    Attributes:
        smoothing: Weight of the spline's squared curvature against one pixel's squared error.
        highlight_cap: Labels of white pixels count as at most this, in units of sensor white.
        pooled_px: Weight, in pixels, of the other channels' white pixels in a channel's estimate of white.
        floor: Labels below count as this, in units of sensor white; it is the darkest output too.

    Raises:
        ValueError: If ``smoothing`` or ``floor`` is not positive, ``highlight_cap`` is below 1 or
            ``pooled_px`` is negative.
    """

    smoothing: float = 0.01
    highlight_cap: float = 2.0
    pooled_px: float = 200.0
    floor: float = 2.0**-10

    def __post_init__(self) -> None:
        if not (self.smoothing > 0 and self.floor > 0 and self.highlight_cap >= 1 and self.pooled_px >= 0):
            raise ValueError(
                "a response fit needs smoothing > 0, floor > 0, highlight_cap >= 1 and pooled_px >= 0, got "
                f"{self.smoothing}, {self.floor}, {self.highlight_cap} and {self.pooled_px}"
            )

    def adapt(self, support: Shots | None) -> Callable[[Tensor], Tensor]:
        """Fit the table to the support; the function returned maps pictures to sensor exposure."""
        if support is None or support.ldr.numel() == 0:
            return InverseGamma(_PRIOR_GAMMA)
        table = self.fit(support)
        return lambda ldr: look_up(table, levels_of(ldr))

    def fit(self, support: Shots) -> Float[Tensor, "3 256"]:
        """Sensor exposure of each level of each channel, not falling with the level."""
        levels = levels_of(support.ldr).movedim(-3, 0).flatten(1)
        labels = support.exposure.movedim(-3, 0).flatten(1).double()
        cap = torch.where(levels == _WHITE, self.highlight_cap, math.inf)
        seen = _gather_levels(levels, labels.clamp_min(self.floor).minimum(cap).log())
        curve = _fit_spline(seen, self.smoothing)
        curve[:, 0] = torch.where(seen.pixels[:, 0] > 0, seen.mean[:, 0], curve[:, 0])
        curve[:, _WHITE] = self._estimate_white(seen, curve[:, _WHITE])
        # a level without pixels must have a say, or nothing would hold it in place
        table = isotonic_regression(curve, seen.pixels.clamp_min(1e-3)).exp()
        return table.clamp_min(self.floor).to(support.exposure.dtype)

    def _estimate_white(self, seen: "_Levels", unseen: Float[Tensor, "3"]) -> Float[Tensor, "3"]:
        count, mean = seen.pixels[:, _WHITE], seen.mean[:, _WHITE]
        total = count.sum()
        if total == 0:
            return unseen
        pooled = (count * mean).sum() / total
        # with pooled_px=0 a channel that never clipped has no pixel at all
        estimate = (count * mean + self.pooled_px * pooled) / (count + self.pooled_px)
        return torch.where(count + self.pooled_px > 0, estimate, unseen)


def isotonic_regression(values: Float[Tensor, "*b n"], weights: Float[Tensor, "*b n"]) -> Float[Tensor, "*b n"]:
    """Nearest non-decreasing sequence in weighted least squares.

    By the max-min formula ``max_{i<=k} min_{j>=k} mean(values[i..j])``: quadratic where pooling adjacent
    violators is linear, but without a loop, and monotone to the last bit.

    Args:
        values: Sequences along the last axis.
        weights: Positive weights.

    References:
        Robertson, Wright and Dykstra, Order Restricted Statistical Inference, 1988, sec. 1.4.

    Example:
        >>> isotonic_regression(torch.tensor([1.0, 3.0, 2.0]), torch.tensor([1.0, 1.0, 3.0]))
        tensor([1.0000, 2.2500, 2.2500])
    """
    total = torch.nn.functional.pad((values * weights).cumsum(-1), (1, 0))
    weight = torch.nn.functional.pad(weights.cumsum(-1), (1, 0))
    # mean[i, j] of the interval i..j
    mean = (total[..., None, 1:] - total[..., :-1, None]) / (weight[..., None, 1:] - weight[..., :-1, None])
    is_interval = torch.ones(mean.shape[-2:], dtype=torch.bool, device=mean.device).triu()
    least = mean.where(is_interval, math.inf).flip(-1).cummin(-1).values.flip(-1)
    return least.where(is_interval, -math.inf).cummax(-2).values.diagonal(dim1=-2, dim2=-1)


class _Levels(NamedTuple):
    """Pixels and their mean log exposure at each level; the mean is 0 where there is no pixel."""

    pixels: Float[Tensor, "3 256"]
    mean: Float[Tensor, "3 256"]


def _gather_levels(levels: Int[Tensor, "3 n"], log_exposure: Float[Tensor, "3 n"]) -> _Levels:
    zeros = log_exposure.new_zeros(3, NUM_LEVELS)
    count = zeros.scatter_add(1, levels, torch.ones_like(log_exposure))
    total = zeros.scatter_add(1, levels, log_exposure)
    return _Levels(count, total / count.clamp_min(1))


def _fit_spline(seen: _Levels, smoothing: float) -> Float[Tensor, "3 256"]:
    """Log exposure of all levels: inverse gamma plus a smooth deviation fitted on levels 1 to 254.

    Over the log of the level a power law is a straight line: any gamma is smooth, and extrapolates.
    """
    level = torch.arange(NUM_LEVELS, dtype=seen.mean.dtype, device=seen.mean.device)
    prior = _PRIOR_GAMMA * torch.log(level.clamp_min(0.5) / _WHITE)
    inner = slice(1, _WHITE)
    penalty = smoothing * _curvature_penalty(level[inner].log() / math.log(_WHITE))
    # a thousandth of a pixel pulls each level to the prior, which decides where the data leave the slope open
    penalty = penalty + 1e-3 * torch.eye(len(penalty)).to(penalty)
    count = seen.pixels[:, inner]
    residual = count * (seen.mean - prior)[:, inner]
    deviation = torch.linalg.solve(torch.diag_embed(count) + penalty, residual[..., None])[..., 0]
    # black and white deviate like their neighbours until the caller knows better
    return prior + torch.cat([deviation[:, :1], deviation, deviation[:, -1:]], dim=1)


def _curvature_penalty(position: Float[Tensor, " n"]) -> Float[Tensor, "n n"]:
    """Quadratic form of the integral of the squared second derivative, by finite differences."""
    step = position.diff()
    slope = torch.eye(len(position)).to(position).diff(dim=0) / step[:, None]
    width = (step[1:] + step[:-1]) / 2
    curvature = slope.diff(dim=0) / width[:, None]
    return curvature.T @ (width[:, None] * curvature)
