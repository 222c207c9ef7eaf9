"""Metering: a camera's choice of the exposure of a picture."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.cameras.ranges import parse_interval


class AbstractMetering(ABC):
    """Auto-exposure: chooses an exposure compensation for each picture of a batch."""

    @abstractmethod
    def __call__(self, radiance: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, " n"]:
        """Choose ``ev`` in stops; a picture without light gets what a mean radiance of 1 would get."""


@dataclass(frozen=True)
class PercentileMetering(AbstractMetering):
    """Expose so that a drawn fraction of the samples stays below the clipping level.

    Attributes:
        fraction_below_clip: Interval that the fraction is drawn from, uniformly, for each picture.

    Raises:
        ValueError: If it is not an interval within (0, 1].

    References:
        Eilertsen et al., SIGGRAPH Asia 2017, sec. 5.1: 0.85 to 0.95.
    """

    fraction_below_clip: Sequence[float]

    def __post_init__(self) -> None:
        low, high = parse_interval(self.fraction_below_clip, "exposure.fraction_below_clip")
        if low <= 0 or high > 1:
            raise ValueError(f"exposure.fraction_below_clip must be within (0, 1], got [{low}, {high}]")

    def __call__(self, radiance: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, " n"]:
        """Choose the stops that bring the drawn percentile to 1."""
        low, high = self.fraction_below_clip
        samples = radiance.flatten(1)
        fractions = low + (high - low) * _draw_units(len(radiance), generator)
        ranks = (fractions * samples.shape[1]).ceil().long().clamp(1, samples.shape[1])
        anchors = [row.kthvalue(int(rank)).values for row, rank in zip(samples, ranks.tolist(), strict=True)]
        return -_log2_of_light(torch.stack(anchors))


@dataclass(frozen=True)
class MeanMetering(AbstractMetering):
    """Bring the mean to a level, then go a uniformly drawn number of stops away.

    Attributes:
        level: Mean exposure before the stops are applied, 1 at the camera's white.
        stops: Interval that the stops are drawn from, for each picture.

    Raises:
        ValueError: If the level is not positive or the stops are not an interval.

    References:
        Liu et al., CVPR 2020: level 0.5, stops -3 to 3.
    """

    level: float
    stops: Sequence[float]

    def __post_init__(self) -> None:
        parse_interval(self.stops, "exposure.stops")
        _check_level(self.level)

    def __call__(self, radiance: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, " n"]:
        """Choose the stops from the mean and a uniform draw."""
        low, high = self.stops
        stops = low + (high - low) * _draw_units(len(radiance), generator)
        return _ev_of_level(radiance, self.level) + stops.to(radiance)


@dataclass(frozen=True)
class NormalMetering(AbstractMetering):
    """Bring the mean to a level, then go a normally distributed number of stops away.

    Attributes:
        level: Mean exposure before the stops are applied, 1 at the camera's white.
        std_stops: Standard deviation of the stops.

    Raises:
        ValueError: If the level or the deviation is not positive.

    References:
        Wang et al., ICCV 2023: standard deviation 1.
    """

    level: float
    std_stops: float

    def __post_init__(self) -> None:
        _check_level(self.level)
        if self.std_stops <= 0:
            raise ValueError(f"exposure.std_stops must be positive, got {self.std_stops}")

    def __call__(self, radiance: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, " n"]:
        """Choose the stops from the mean and a normal draw."""
        unit = torch.randn(len(radiance), generator=generator, device=generator.device, dtype=torch.float64)
        return _ev_of_level(radiance, self.level) + self.std_stops * unit.to(radiance)


def _ev_of_level(radiance: Float[Tensor, "n 3 h w"], level: float) -> Float[Tensor, " n"]:
    mean = radiance.mean(dim=(1, 2, 3))
    return torch.log2(torch.full_like(mean, level)) - _log2_of_light(mean)


def _log2_of_light(light: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    return torch.log2(torch.where(light > 0, light, torch.ones_like(light)))


def _draw_units(count: int, generator: torch.Generator) -> Float[Tensor, " n"]:
    return torch.rand(count, generator=generator, device=generator.device, dtype=torch.float64)


def _check_level(level: float) -> None:
    if level <= 0:
        raise ValueError(f"exposure.level must be positive, got {level}")
