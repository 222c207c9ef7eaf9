"""Responses of real cameras: draws from the prior that was learned from the DoRF curves, or those curves themselves."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.calibration.prior import read_dorf, read_prior
from ldr2hdr.data.cameras.crf import AbstractCurve
from ldr2hdr.data.cameras.crf_families import AbstractCurveFamily
from ldr2hdr.data.cameras.ranges import Ranges, RangeSpec, parse_range

# Of the other components, beyond the two that nearness to the mean is measured by
_MAX_SCORE: Final = 2.5
# Three in four draws of the seen ranges of camera=dorf rise everywhere, two in five of the unseen
_MAX_DRAWS: Final = 100
# Least rise of the logarithm from level to level, where a draw has to be mended
_MIN_STEP: Final = 1e-4


@dataclass(frozen=True)
class TableCurve(AbstractCurve):
    """Curve through the 256 levels, straight between them.

    Attributes:
        exposure: Clipped exposure at each level, per channel; rising from 0 to 1.

    Raises:
        ValueError: If it does not rise from 0 to 1.
    """

    exposure: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]

    def __post_init__(self) -> None:
        table = torch.tensor(self.exposure, dtype=torch.float64)
        if not (bool((table.diff(dim=1) > 0).all()) and {*table[:, 0].tolist(), *table[:, -1].tolist()} == {0.0, 1.0}):
            raise ValueError("a table of a response curve must rise from 0 to 1 in each channel")

    def __call__(self, exposure: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Map clipped exposure to display values."""
        table, levels = self._knots(exposure)
        return _interpolate(exposure, table, levels)

    def inverse(self, ldr: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Map display values back to clipped exposure."""
        table, levels = self._knots(ldr)
        return _interpolate(ldr, levels, table)

    def _knots(self, like: Tensor) -> tuple[Float[Tensor, "3 n"], Float[Tensor, "3 n"]]:
        table = torch.tensor(self.exposure, dtype=like.dtype).to(like.device)
        return table, torch.linspace(0, 1, table.shape[1], dtype=like.dtype, device=like.device).expand_as(table)


class DorfFamily(AbstractCurveFamily):
    """Curves as real cameras and films have them.

    The logarithm of the inverse curve is a draw from `ResponsePrior`; draws that do not rise are drawn anew. The two
    leading components, which hold 99 % of the variance, say how far a camera is from the mean curve: ``share`` is the
    part of all cameras that are nearer.

    Args:
        share: From 0, the mean curve, to 1, beyond all curves.
        channel_spread: Largest difference of a channel's coefficients from the camera's, in standard deviations.
        curves: The DoRF database, see `read_dorf`: cameras of the unseen ranges then have its held-out curves.

    Raises:
        ValueError: If ``share`` leaves [0, 1), or ``curves`` is no such file.
        OSError: If ``curves`` cannot be read.
    """

    def __init__(self, share: RangeSpec, *, channel_spread: float = 0.0, curves: Path | str | None = None) -> None:
        self.share = parse_range(share, "dorf.share", needs_unseen=True)
        for low, high in (self.share.seen, *self.share.unseen):
            if low < 0 or high >= 1:
                raise ValueError(f"dorf.share must be within [0, 1), got [{low}, {high}]")
        self.channel_spread = channel_spread
        self._held_out: Float[Tensor, "n 256"] | None = None
        if curves is not None:
            found = read_dorf(curves)
            self._held_out = torch.from_numpy(found.log_exposure[found.is_held_out])

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> TableCurve:
        """Draw a curve."""
        log_exposure = self._draw(generator, ranges=ranges)
        for _ in range(_MAX_DRAWS):
            if bool((log_exposure.diff(dim=1) > _MIN_STEP).all()):
                break
            log_exposure = self._draw(generator, ranges=ranges)
        ramp = _MIN_STEP * torch.arange(log_exposure.shape[1], dtype=torch.float64)
        log_exposure = (log_exposure - ramp).cummax(dim=1).values + ramp
        exposure = (log_exposure - log_exposure[:, -1:]).exp()
        red, green, blue = ((0.0, *channel) for channel in exposure.tolist())
        return TableCurve((red, green, blue))

    def _draw(self, generator: torch.Generator, *, ranges: Ranges) -> Float[Tensor, "3 255"]:
        """Log exposure at levels 1 to 255, as drawn."""
        prior = read_prior()
        curve = self._draw_curve(generator, ranges=ranges)
        shifts = 2 * _draw_tensor(torch.rand, (3, len(prior.deviations)), generator) - 1
        return (curve + self.channel_spread * (shifts * prior.deviations) @ prior.components)[:, 1:]

    def _draw_curve(self, generator: torch.Generator, *, ranges: Ranges) -> Float[Tensor, "256"]:
        if ranges == "unseen" and self._held_out is not None:
            choice = torch.randint(len(self._held_out), (), generator=generator, device=generator.device)
            return self._held_out[int(choice)]
        prior = read_prior()
        # of two independent normal numbers, the squared radius has an exponential distribution
        radius = math.sqrt(-2 * math.log1p(-self.share.draw(generator, ranges=ranges)))
        angle = 2 * math.pi * _draw_tensor(torch.rand, (), generator).item()
        scores = _draw_tensor(torch.randn, prior.deviations.shape, generator).clamp(-_MAX_SCORE, _MAX_SCORE)
        scores[0], scores[1] = radius * math.cos(angle), radius * math.sin(angle)
        return prior.mean + (scores * prior.deviations) @ prior.components


def _draw_tensor(law: Callable[..., Tensor], shape: Sequence[int], generator: torch.Generator) -> Float[Tensor, "*s"]:
    return law(shape, generator=generator, device=generator.device, dtype=torch.float64).cpu()


def _interpolate(
    values: Float[Tensor, "*b 3 h w"], knots: Float[Tensor, "3 n"], at_knots: Float[Tensor, "3 n"]
) -> Float[Tensor, "*b 3 h w"]:
    """Straight lines between ``(knots, at_knots)`` of each channel."""
    by_channel = values.movedim(-3, 0)
    flat = by_channel.reshape(3, -1)
    right = torch.searchsorted(knots.contiguous(), flat.detach().contiguous(), right=True).clamp(1, knots.shape[1] - 1)
    low, high, start, end = (table.gather(1, place) for table in (knots, at_knots) for place in (right - 1, right))
    return (start + (flat - low) / (high - low) * (end - start)).view(by_channel.shape).movedim(0, -3)
