"""Distributions of point-spread functions: glare, star filters, aberrations."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.cameras.optics import AbstractPsf, Optics, normalise, require_odd
from ldr2hdr.data.cameras.optics_waves import CodedLens
from ldr2hdr.data.cameras.ranges import Ranges, RangeSpec, parse_range
from ldr2hdr.data.cameras.stages import AbstractStageFamily

_NUM_CHANNELS: Final = 3
# Half the width of a star filter's ray: diffraction at a groove is about as narrow as a pixel.
_RAY_PX: Final = 0.6


@dataclass(frozen=True)
class GlarePsf(AbstractPsf):
    """A Gaussian core, and a share of the light scattered far around it, as by dust, flesh or glass.

    Scattered light falls off as ``(1 + (r / 2)**2)**(-falloff / 2)`` with the distance ``r`` in pixels.

    Attributes:
        size_px: Side of the PSF.
        core_px: Standard deviation of the core.
        glare: Share of the light that is scattered.
        falloff: Exponent of the distance; between 2 and 3 for lenses and eyes.
    """

    size_px: int
    core_px: float
    glare: float
    falloff: float

    def kernel(self) -> Float[Tensor, "3 k k"]:
        """The PSF, the same for all channels."""
        rows, columns = _grid(self.size_px)
        scattered = (1 + (rows**2 + columns**2) / 4) ** (-self.falloff / 2)
        return _mix(_gaussian(self.size_px, self.core_px), scattered, share=self.glare)


@dataclass(frozen=True)
class StarPsf(AbstractPsf):
    """A point with rays: a cross or star filter, and with one line the streak of an anamorphic lens.

    Attributes:
        size_px: Side of the PSF.
        lines: Lines through the point, each of two rays, at equal angles.
        share: Share of the light that goes into the rays.
        decay_px: Distance over which a ray loses all but ``1 / e``.
        angle_deg: Direction of the first line against the rows.
    """

    size_px: int
    lines: int
    share: float
    decay_px: float
    angle_deg: float

    def kernel(self) -> Float[Tensor, "3 k k"]:
        """The PSF, the same for all channels."""
        rows, columns = _grid(self.size_px)
        rays = torch.zeros_like(rows)
        for line in range(self.lines):
            angle = math.radians(self.angle_deg) + math.pi * line / self.lines
            along = columns * math.cos(angle) - rows * math.sin(angle)
            across = columns * math.sin(angle) + rows * math.cos(angle)
            rays = rays + torch.exp(-along.abs() / self.decay_px - 0.5 * (across / _RAY_PX) ** 2)
        return _mix(_gaussian(self.size_px, 0.0), rays, share=self.share)


@dataclass(frozen=True)
class AberrationPsf(AbstractPsf):
    """A smooth error of the lens's surface, by wave optics: each colour has its own PSF.

    Attributes:
        size_px: Side of the PSF.
        coefficients_um: Height of Zernike's polynomials 4 to 11 in Noll's order: defocus, astigmatism, coma, trefoil
            (two each) and spherical aberration.
    """

    size_px: int
    coefficients_um: tuple[float, ...]

    @property
    def rms_um(self) -> float:
        """Root mean square height over the aperture."""
        return math.hypot(*self.coefficients_um)

    def kernel(self) -> Float[Tensor, "3 k k"]:
        """The PSF of the default `CodedLens` with this surface."""
        lens = CodedLens(size_px=self.size_px)
        weights = torch.tensor(self.coefficients_um, dtype=torch.float64)
        return lens.psf(torch.einsum("p,pij->ij", weights, zernike_4_to_11(lens.min_samples)))


def zernike_4_to_11(samples: int) -> Float[Tensor, "8 m m"]:
    """Zernike's polynomials over the disc in a square of ``samples``, orthonormal: each of mean square 1.

    Outside the disc, where a lens has no light, they go on.

    References:
        Noll, Journal of the Optical Society of America 66, 1976, table I.
    """
    position = (2 * torch.arange(samples, dtype=torch.float64) - (samples - 1)) / samples
    y, x = torch.meshgrid(position, position, indexing="ij")
    square = x**2 + y**2
    return torch.stack(
        [
            math.sqrt(3) * (2 * square - 1),
            math.sqrt(6) * 2 * x * y,
            math.sqrt(6) * (x**2 - y**2),
            math.sqrt(8) * (3 * square - 2) * y,
            math.sqrt(8) * (3 * square - 2) * x,
            math.sqrt(8) * (3 * x**2 * y - y**3),
            math.sqrt(8) * (x**3 - 3 * x * y**2),
            math.sqrt(5) * (6 * square**2 - 6 * square + 1),
        ]
    )


class AbstractPsfFamily(ABC):
    """Distribution of PSFs of one kind and size."""

    @abstractmethod
    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> AbstractPsf:
        """Draw a PSF."""


class GlareFamily(AbstractPsfFamily):
    """Veiling glare around a Gaussian core."""

    def __init__(self, core_px: RangeSpec, glare: RangeSpec, *, falloff: RangeSpec, size_px: int = 63) -> None:
        self.core_px = parse_range(core_px, "glare.core_px")
        self.glare = parse_range(glare, "glare.glare", needs_unseen=True)
        self.falloff = parse_range(falloff, "glare.falloff")
        self.size_px = require_odd(size_px, "glare.size_px")

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> GlarePsf:
        """Draw core, share and falloff."""
        core, glare, falloff = (
            range_.draw(generator, ranges=ranges) for range_ in (self.core_px, self.glare, self.falloff)
        )
        return GlarePsf(self.size_px, core, glare, falloff)


class StarFamily(AbstractPsfFamily):
    """Star filters and streaks, at any angle."""

    def __init__(self, lines: RangeSpec, share: RangeSpec, *, decay_px: RangeSpec, size_px: int = 63) -> None:
        self.lines = parse_range(lines, "star.lines")
        self.share = parse_range(share, "star.share", needs_unseen=True)
        self.decay_px = parse_range(decay_px, "star.decay_px")
        self.size_px = require_odd(size_px, "star.size_px")

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> StarPsf:
        """Draw lines, share, length and angle."""
        lines, share, decay = (
            range_.draw(generator, ranges=ranges) for range_ in (self.lines, self.share, self.decay_px)
        )
        turn = torch.rand((), generator=generator, dtype=torch.float64, device=generator.device).item()
        return StarPsf(self.size_px, round(lines), share, decay, angle_deg=180.0 * turn)


class AberrationFamily(AbstractPsfFamily):
    """Aberrations in all proportions, of a drawn root mean square height."""

    def __init__(self, rms_um: RangeSpec, *, size_px: int = 63) -> None:
        self.rms_um = parse_range(rms_um, "aberration.rms_um", needs_unseen=True)
        self.size_px = require_odd(size_px, "aberration.size_px")

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> AberrationPsf:
        """Draw the height and a direction in the space of the polynomials."""
        rms_um = self.rms_um.draw(generator, ranges=ranges)
        direction = torch.randn(8, generator=generator, dtype=torch.float64, device=generator.device)
        return AberrationPsf(self.size_px, tuple((rms_um * direction / direction.norm()).tolist()))


class OpticsFamily(AbstractStageFamily):
    """Optics whose PSF is drawn from several families with equal weights.

    Raises:
        ValueError: If there is no family.
    """

    def __init__(self, psfs: Mapping[str, AbstractPsfFamily], *, enabled: bool = True) -> None:
        if not psfs:
            raise ValueError("optics.psfs needs at least one family of point-spread functions, got none")
        self.psfs = dict(psfs)
        self.enabled = enabled

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> Optics:
        """Draw a family, then a PSF of it."""
        choice = torch.randint(len(self.psfs), (), generator=generator, device=generator.device).item()
        return Optics(list(self.psfs.values())[int(choice)].sample(generator, ranges=ranges))


def _grid(size_px: int) -> tuple[Float[Tensor, "k k"], Float[Tensor, "k k"]]:
    """Rows and columns counted from the central pixel."""
    position = torch.arange(size_px, dtype=torch.float64) - size_px // 2
    rows, columns = torch.meshgrid(position, position, indexing="ij")
    return rows, columns


def _gaussian(size_px: int, sigma_px: float) -> Float[Tensor, "k k"]:
    """A Gaussian integrated over the pixels; of no width it is a point."""
    edges = torch.arange(size_px + 1, dtype=torch.float64) - size_px / 2
    profile = torch.special.ndtr(edges / max(sigma_px, 1e-6)).diff()
    return profile[:, None] * profile


def _mix(core: Float[Tensor, "k k"], spread: Float[Tensor, "k k"], *, share: float) -> Float[Tensor, "3 k k"]:
    """A share of the light goes into one PSF, the rest into another."""
    mixed = (1 - share) * core / core.sum() + share * spread / spread.sum()
    return normalise(mixed.expand(_NUM_CHANNELS, -1, -1))
