"""Distributions of camera response curves."""

import math
from abc import ABC, abstractmethod

import torch

from ldr2hdr.data.cameras.crf import (
    AbstractCurve,
    ExtendedSigmoidCurve,
    GammaCurve,
    SigmoidCurve,
    SplineCurve,
    SrgbCurve,
)
from ldr2hdr.data.cameras.ranges import Ranges, RangeSpec, parse_range


class AbstractCurveFamily(ABC):
    """Distribution of response curves; every parameter has an unseen set.

    Attributes:
        channel_spread: Largest relative difference of a channel's parameter from the camera's.
    """

    channel_spread: float

    @abstractmethod
    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> AbstractCurve:
        """Draw a curve."""


class GammaFamily(AbstractCurveFamily):
    """Gamma curves."""

    def __init__(self, exponent: RangeSpec, *, channel_spread: float = 0.0) -> None:
        self.exponent = parse_range(exponent, "gamma.exponent", needs_unseen=True)
        self.channel_spread = channel_spread

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> GammaCurve:
        """Draw a curve."""
        return GammaCurve(
            self.exponent.draw_channels(generator, ranges=ranges, spread=self.channel_spread),
        )


class SrgbFamily(AbstractCurveFamily):
    """Curves of the kind of sRGB and Rec. 709."""

    def __init__(self, offset: RangeSpec, exponent: RangeSpec, *, channel_spread: float = 0.0) -> None:
        self.offset = parse_range(offset, "srgb.offset", needs_unseen=True)
        self.exponent = parse_range(exponent, "srgb.exponent", needs_unseen=True)
        self.channel_spread = channel_spread

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> SrgbCurve:
        """Draw a curve."""
        return SrgbCurve(
            self.offset.draw_channels(generator, ranges=ranges, spread=self.channel_spread),
            self.exponent.draw_channels(generator, ranges=ranges, spread=self.channel_spread),
        )


class SigmoidFamily(AbstractCurveFamily):
    """Sigmoids of Eilertsen et al. 2017."""

    def __init__(self, exponent: RangeSpec, shoulder: RangeSpec, *, channel_spread: float = 0.0) -> None:
        self.exponent = parse_range(exponent, "sigmoid.exponent", needs_unseen=True)
        self.shoulder = parse_range(shoulder, "sigmoid.shoulder", needs_unseen=True)
        self.channel_spread = channel_spread

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> SigmoidCurve:
        """Draw a curve."""
        return SigmoidCurve(
            self.exponent.draw_channels(generator, ranges=ranges, spread=self.channel_spread),
            self.shoulder.draw_channels(generator, ranges=ranges, spread=self.channel_spread),
        )


class ExtendedSigmoidFamily(AbstractCurveFamily):
    """Sigmoids with a toe."""

    def __init__(
        self, exponent: RangeSpec, shoulder: RangeSpec, *, toe: RangeSpec, channel_spread: float = 0.0
    ) -> None:
        self.exponent = parse_range(exponent, "extended_sigmoid.exponent", needs_unseen=True)
        self.shoulder = parse_range(shoulder, "extended_sigmoid.shoulder", needs_unseen=True)
        self.toe = parse_range(toe, "extended_sigmoid.toe", needs_unseen=True)
        self.channel_spread = channel_spread

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> ExtendedSigmoidCurve:
        """Draw a curve."""
        return ExtendedSigmoidCurve(
            self.exponent.draw_channels(generator, ranges=ranges, spread=self.channel_spread),
            self.shoulder.draw_channels(generator, ranges=ranges, spread=self.channel_spread),
            self.toe.draw_channels(generator, ranges=ranges, spread=self.channel_spread),
        )


class SplineFamily(AbstractCurveFamily):
    """Gamma curves bent smoothly at random.

    The logarithms of the bins' heights follow a random sum of the first three cosines, scaled to a root mean
    square of ``bend``; channels share the shape and differ in its amount.

    Raises:
        ValueError: If there are fewer than 4 bins, which cannot carry three cosines.
    """

    def __init__(self, exponent: RangeSpec, bend: RangeSpec, *, num_bins: int = 6, channel_spread: float = 0.0) -> None:
        if num_bins < 4:
            raise ValueError(f"spline.num_bins must be at least 4, got {num_bins}")
        self.exponent = parse_range(exponent, "spline.exponent", needs_unseen=True)
        self.bend = parse_range(bend, "spline.bend", needs_unseen=True)
        self.num_bins = num_bins
        self.channel_spread = channel_spread

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> SplineCurve:
        """Draw a curve."""
        exponent = self.exponent.draw_channels(generator, ranges=ranges, spread=self.channel_spread)
        bends = self.bend.draw_channels(generator, ranges=ranges, spread=self.channel_spread)
        shape = self._draw_shape(generator)
        red, green, blue = (tuple(torch.softmax(bend * shape, dim=0).tolist()) for bend in bends)
        return SplineCurve(exponent, (red, green, blue))

    def _draw_shape(self, generator: torch.Generator) -> torch.Tensor:
        """Smooth random shape ``(num_bins,)`` of mean 0 and mean square 1."""
        weights = torch.randn(3, 1, generator=generator, dtype=torch.float64, device=generator.device).cpu()
        order = torch.arange(1, 4, dtype=torch.float64)[:, None]
        centres = (torch.arange(self.num_bins, dtype=torch.float64) + 0.5) / self.num_bins
        shape = (weights / order * torch.cos(math.pi * order * centres)).sum(dim=0)
        return shape / shape.square().mean().sqrt()
