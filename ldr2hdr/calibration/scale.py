"""Bring an HDR picture to sensor exposure: 1 where the LDR at ``ev=0`` clips."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from ldr2hdr.calibration.curve import MAX_LEVEL, MIN_LEVEL, NUM_LEVELS, estimate_response, is_well_exposed, levels_of

_MAX_PIXELS: Final = 2**16
_MIN_WELL_EXPOSED: Final = 200
# Standard deviation of a normal law with a median absolute deviation of 1
_MAD_TO_STD: Final = 1.4826
_PRIOR_GAMMA: Final = 2.2


class ScaleFit(NamedTuple):
    """Fit of an HDR picture to exposures of the same scene.

    Attributes:
        scale: Sensor exposure at ``ev=0`` is ``scale`` times the linear HDR value.
        deviations_stops: Of each exposure, the robust deviation of its well-exposed pixels from the HDR, at its nominal
            EV; 0 where none is well exposed.
        ev_errors: Stops by which each exposure is brighter than its nominal EV says; the median is 0.
        rise: Slope of the response found over that of gamma 2.2, in the flattest channel; near 0 if the levels have
            nothing to do with the light.
        agreement: Spearman's correlation of levels and light, of the channel with most well-exposed pixels, averaged
            over exposures; 1 if more light never makes a darker level.
        num_pixels: Well-exposed pixels, of all channels, that the fit is of.
        curve: Log2 sensor exposure of each level: the inverse response.
    """

    scale: float
    deviations_stops: tuple[float, ...]
    ev_errors: tuple[float, ...]
    rise: float
    agreement: float
    num_pixels: int
    curve: Float[Tensor, "3 256"]

    @property
    def residual_stops(self) -> float:
        """Deviation of the worst exposure."""
        return max(self.deviations_stops)


def fit_scale(ldr: Float[Tensor, "n 3 h w"], linear: Float[Tensor, "3 h w"], *, evs: Sequence[float]) -> ScaleFit:
    """Fit the camera's response to exposures of known light, and read off where it clips.

    Each channel has its own curve, so the white balance may differ between HDR and LDR: the scale is that of green,
    which white balance leaves alone.

    Measured on the project's virtual cameras (32 of each family, 128-pixel views of the panoramas, exposures at -2, 0
    and +2 EV; see experiments/scale_fit): error of the scale in stops, median and 95th percentile, 0.04 and 0.08 for
    cameras of one curve per channel, 0.09 and 0.28 for phones, whose local tone mapping no curve describes; residuals
    0.03 and 0.13, and 0.31 and 0.52 stops. With the HDR of another scene the residual is 2.5 stops or more in the
    median and 1.9 in the 5th percentile; with one EV wrong by a stop, 0.9 and 0.6 for phones, else 1.0.

    From one exposure and the HDR of another scene, the residual was below 0.75 in 5 of 192 pairs whose response rose by
    a quarter of gamma 2.2: half of the pixels of a scene of little range are near any curve. The agreement of none was
    above 0.67; with the right HDR it was below 0.7 in 1 of 192.

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
        return ScaleFit(1.0, (math.inf,) * len(evs), (0.0,) * len(evs), 0.0, 0.0, num_pixels, unfitted)
    curve, offsets = estimate_response(levels, stops)
    clips_at = curve[1, -1]
    predicted = curve[torch.arange(3)[:, None], levels]
    return ScaleFit(
        scale=2.0 ** -clips_at.item(),
        deviations_stops=tuple(map(_deviation, predicted - stops, is_used)),
        ev_errors=tuple(offsets.tolist()),
        rise=_rise(curve, levels, is_used),
        agreement=_agreement(levels, stops, is_used),
        num_pixels=num_pixels,
        curve=curve - clips_at,
    )


def _deviation(error: Float[Tensor, "3 m"], is_used: Bool[Tensor, "3 m"]) -> float:
    if not is_used.any():
        return 0.0
    middle = error[is_used].median()
    spread = _MAD_TO_STD * (error[is_used] - middle).abs().median()
    return math.hypot(middle.item(), spread.item())


def _agreement(levels: Int[Tensor, "n 3 m"], stops: Float[Tensor, "n 3 m"], is_used: Bool[Tensor, "n 3 m"]) -> float:
    channel = int(is_used.sum(dim=(0, 2)).argmax())
    total = 0.0
    for of_exposure, light, used in zip(levels[:, channel], stops[:, channel], is_used[:, channel], strict=True):
        ranks = torch.stack([_ranks(of_exposure[used]), _ranks(light[used])])
        # of a flat picture there is none
        total += torch.nan_to_num(torch.corrcoef(ranks)[0, 1]).item() * int(used.sum()) if used.sum() > 1 else 0.0
    return total / int(is_used[:, channel].sum())


def _ranks(values: Shaped[Tensor, " m"]) -> Float[Tensor, " m"]:
    """Ranks; equal values share the mean of theirs."""
    _, position, counts = torch.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts - 1) / 2)[position]


def _rise(curve: Float[Tensor, "3 256"], levels: Int[Tensor, "n 3 m"], is_used: Bool[Tensor, "n 3 m"]) -> float:
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
