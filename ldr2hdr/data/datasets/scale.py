"""Bring an HDR picture to sensor exposure: 1 where the LDR at ``ev=0`` clips."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.datasets.curve import (
    MAX_LEVEL,
    MIN_LEVEL,
    NUM_LEVELS,
    estimate_response,
    is_well_exposed,
    levels_of,
)

_MAX_PIXELS: Final = 2**16
_MIN_WELL_EXPOSED: Final = 200
# Standard deviation of a normal law with a median absolute deviation of 1
_MAD_TO_STD: Final = 1.4826
_PRIOR_GAMMA: Final = 2.2


class ScaleFit(NamedTuple):
    """How an HDR picture and exposures of the same scene belong together.

    Attributes:
        scale: Sensor exposure at ``ev=0`` is ``scale`` times the linear HDR value.
        residual_stops: Robust deviation of the worst exposure's well-exposed pixels from the HDR, at the nominal EVs.
        ev_errors: Stops by which each exposure is brighter than its nominal EV says; the median is 0.
        rise: Slope of the response found over that of gamma 2.2, in the flattest channel; near 0 if the levels have
            nothing to do with the light.
        num_pixels: Well-exposed pixels, of all channels, that the fit is of.
        curve: Log2 sensor exposure of each level: the inverse response.
    """

    scale: float
    residual_stops: float
    ev_errors: tuple[float, ...]
    rise: float
    num_pixels: int
    curve: Float[Tensor, "3 256"]


def fit_scale(ldr: Float[Tensor, "n 3 h w"], linear: Float[Tensor, "3 h w"], *, evs: Sequence[float]) -> ScaleFit:
    """Fit the camera's response to exposures of known light, and read off where it clips.

    Each channel has its own curve, so the white balance may differ between HDR and LDR: the scale is that of green,
    which white balance leaves alone.

    Measured on the project's virtual cameras (24 of each, 128-pixel views of the panoramas, HDR of arbitrary scale,
    exposures at -2, 0 and +2 EV): error of the scale in stops, median and 95th percentile, 0.007 and 0.09 for cameras
    of one curve per channel, 0.07 and 0.28 for phones, whose local tone mapping no curve describes; residuals 0.04 and
    0.10, and 0.30 and 0.50 stops. With the HDR of another scene the residual is 2.7 stops in the median and 1.5 in the
    5th percentile (from one exposure, 1.2; one of 46 was below 0.75 and rose); with one EV wrong by a stop, 0.9 and
    more.

    Args:
        ldr: Exposures in [0, 1].
        linear: The HDR, linear, non-negative.
        evs: Nominal EV of each exposure.

    Returns:
        The fit; where fewer than 200 pixels are well exposed, with an infinite residual and scale 1.

    Raises:
        ValueError: If sizes or counts do not match.
    """
    if ldr.shape[1:] != linear.shape or len(evs) != len(ldr):
        raise ValueError(
            "expected exposures of the HDR's size with one EV each, got "
            f"{tuple(ldr.shape)} and {tuple(linear.shape)} with {len(evs)} EVs"
        )
    step = max(1, math.ceil(math.sqrt(linear.shape[1] * linear.shape[2] / _MAX_PIXELS)))
    levels = levels_of(ldr[..., ::step, ::step]).flatten(2)
    light = linear[..., ::step, ::step].flatten(1).double().log2()
    stops = light + torch.tensor(evs, dtype=torch.float64)[:, None, None]
    is_used = is_well_exposed(levels) & torch.isfinite(stops)
    num_pixels = int(is_used.sum())
    if num_pixels < _MIN_WELL_EXPOSED:
        unfitted = torch.zeros(3, NUM_LEVELS, dtype=torch.float64)
        return ScaleFit(1.0, math.inf, (0.0,) * len(evs), 0.0, num_pixels, unfitted)
    curve, offsets = estimate_response(levels, stops)
    clips_at = curve[1, -1]
    predicted = curve[torch.arange(3)[:, None], levels]
    return ScaleFit(
        scale=2.0 ** -clips_at.item(),
        residual_stops=_worst_deviation(predicted - stops, is_used),
        ev_errors=tuple(offsets.tolist()),
        rise=_rise(curve, levels, is_used),
        num_pixels=num_pixels,
        curve=curve - clips_at,
    )


def _worst_deviation(error: Float[Tensor, "n 3 m"], is_used: Tensor) -> float:
    deviations = [0.0]
    for of_exposure, used in zip(error, is_used, strict=True):
        if used.any():
            middle = of_exposure[used].median()
            spread = _MAD_TO_STD * (of_exposure[used] - middle).abs().median()
            deviations.append(math.hypot(middle.item(), spread.item()))
    return max(deviations)


def _rise(curve: Float[Tensor, "3 256"], levels: Tensor, is_used: Tensor) -> float:
    rises = []
    for channel in range(3):
        seen = levels[:, channel][is_used[:, channel]].double()
        if len(seen) == 0:
            continue
        low, high = torch.quantile(seen, torch.tensor([0.05, 0.95], dtype=torch.float64)).round().long().tolist()
        low, high = (low, high) if high > low else (MIN_LEVEL, MAX_LEVEL)
        expected = _PRIOR_GAMMA * math.log2(high / low)
        rises.append((curve[channel, high] - curve[channel, low]).item() / expected)
    return min(rises)
