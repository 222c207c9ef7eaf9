"""Interface of a virtual camera's stages, and the stages up to the sensor's clipping."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.cameras.ranges import Channels, Ranges, RangeSpec, parse_range

_LEVELS: Final = 255  # one 8-bit level is the unit "dn" of noise


class AbstractStage(ABC):
    """One step from exposure to picture, its parameters fixed.

    Attributes:
        is_of_light: Whether it changes the light before anything is recorded or lost, linearly and without noise.
    """

    is_of_light: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, picture: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Apply the stage to a batch; only noise draws from the generator."""


class AbstractStageFamily(ABC):
    """Distribution of a stage's parameters.

    Attributes:
        enabled: Whether cameras have this stage.
    """

    enabled: bool

    @abstractmethod
    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> AbstractStage:
        """Draw a stage with fixed parameters."""


@dataclass(frozen=True)
class Vignetting(AbstractStage):
    """Light falls off as ``1 / (1 + (strength r)**2)**2``, with ``r`` 0 at the centre and 1 at the corners.

    This is the natural ``cos**4`` law for ``strength = tan(half the diagonal angle of view)``.
    """

    is_of_light = True
    strength: float

    def __call__(self, picture: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Darken towards the corners."""
        height, width = picture.shape[-2:]
        rows = torch.arange(height, dtype=picture.dtype, device=picture.device) - (height - 1) / 2
        columns = torch.arange(width, dtype=picture.dtype, device=picture.device) - (width - 1) / 2
        radius_squared = 4 * (rows[:, None] ** 2 + columns**2) / (height**2 + width**2)
        return picture / (1 + self.strength**2 * radius_squared) ** 2


class VignettingFamily(AbstractStageFamily):
    """Vignetting whose ``strength`` is drawn."""

    def __init__(self, strength: RangeSpec, *, enabled: bool = True) -> None:
        self.strength = parse_range(strength, "vignetting.strength")
        self.enabled = enabled

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> Vignetting:
        """Draw the strength."""
        return Vignetting(self.strength.draw(generator, ranges=ranges))


@dataclass(frozen=True)
class Gains(AbstractStage):
    """White balance: red and blue are multiplied, green is 1."""

    is_of_light = True
    red: float
    blue: float

    def __call__(self, picture: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Multiply the channels."""
        gains = torch.tensor([self.red, 1.0, self.blue], dtype=picture.dtype).to(picture.device)
        return picture * gains[:, None, None]


class GainsFamily(AbstractStageFamily):
    """White balance whose red and blue gains are drawn independently."""

    def __init__(self, red: RangeSpec, blue: RangeSpec, *, enabled: bool = True) -> None:
        self.red = parse_range(red, "gains.red", needs_unseen=True)
        self.blue = parse_range(blue, "gains.blue", needs_unseen=True)
        self.enabled = enabled

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> Gains:
        """Draw both gains."""
        return Gains(self.red.draw(generator, ranges=ranges), self.blue.draw(generator, ranges=ranges))


@dataclass(frozen=True)
class Mixing(AbstractStage):
    """A 3x3 colour matrix, output rows by input columns; rows sum to 1, so grey stays grey."""

    is_of_light = True
    matrix: tuple[Channels, Channels, Channels]

    def __call__(self, picture: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Mix the channels."""
        matrix = torch.tensor(self.matrix, dtype=picture.dtype).to(picture.device)
        return torch.einsum("oi,nihw->nohw", matrix, picture)


class MixingFamily(AbstractStageFamily):
    """Colour mixing: off-diagonal entries are drawn from ``crosstalk``, the diagonal completes the rows.

    Positive entries desaturate as overlapping filters do, negative ones saturate as a picture style does.

    Raises:
        ValueError: If an entry could reach 0.25, where rows stop being dominated by their diagonal and the
            matrix may lose its inverse.
    """

    def __init__(self, crosstalk: RangeSpec, *, enabled: bool = True) -> None:
        self.crosstalk = parse_range(crosstalk, "mixing.crosstalk", needs_unseen=True)
        highest = max(high for _, high in (self.crosstalk.seen, *self.crosstalk.unseen))
        if highest >= 0.25:
            raise ValueError(f"mixing.crosstalk must stay below 0.25 to be invertible, got {highest}")
        self.enabled = enabled

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> Mixing:
        """Draw the matrix."""
        rg, rb, gr, gb, br, bg = (self.crosstalk.draw(generator, ranges=ranges) for _ in range(6))
        return Mixing(((1 - rg - rb, rg, rb), (gr, 1 - gr - gb, gb), (br, bg, 1 - br - bg)))


@dataclass(frozen=True)
class Noise(AbstractStage):
    """Gaussian noise of variance ``shot**2 x + read**2 + (multiplicative x)**2``, independent in each sample.

    The three standard deviations are in 8-bit levels of linear exposure (1 dn = 1/255) and hold at the white
    level.
    """

    shot_dn: float
    read_dn: float
    multiplicative_dn: float = 0.0

    def __call__(self, picture: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Add noise."""
        # Drawn where the generator lives and in single precision: a CPU generator gives the same noise for pictures on
        # any device and of any precision.
        unit = torch.randn(picture.shape, generator=generator, device=generator.device, dtype=torch.float32)
        signal = picture.clamp_min(0)  # colour mixing may leave small negative values
        variance = self.shot_dn**2 * signal + self.read_dn**2
        if self.multiplicative_dn > 0:
            variance = variance + (self.multiplicative_dn * signal) ** 2
        return picture + variance.sqrt() / _LEVELS * unit.to(picture)


class NoiseFamily(AbstractStageFamily):
    """Noise whose levels are drawn; each may be a constant, 0 leaves a term out."""

    def __init__(
        self,
        *,
        shot_noise_dn: RangeSpec = 0.0,
        read_noise_dn: RangeSpec = 0.0,
        multiplicative_noise_dn: RangeSpec = 0.0,
        enabled: bool = True,
    ) -> None:
        self.shot_noise_dn = parse_range(shot_noise_dn, "noise.shot_noise_dn")
        self.read_noise_dn = parse_range(read_noise_dn, "noise.read_noise_dn")
        self.multiplicative_noise_dn = parse_range(multiplicative_noise_dn, "noise.multiplicative_noise_dn")
        self.enabled = enabled

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> Noise:
        """Draw the levels."""
        return Noise(
            self.shot_noise_dn.draw(generator, ranges=ranges),
            self.read_noise_dn.draw(generator, ranges=ranges),
            self.multiplicative_noise_dn.draw(generator, ranges=ranges),
        )


@dataclass(frozen=True)
class Clip(AbstractStage):
    """The sensor saturates: values are limited to [0, 1]."""

    def __call__(self, picture: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Clip."""
        return picture.clamp(0, 1)


class ClipFamily(AbstractStageFamily):
    """Clipping, which has no parameter."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.enabled = enabled

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> Clip:
        """Return the stage."""
        return Clip()
