"""Optics in front of the sensor: point-spread functions, how they spread light, and how the sensor records it.

A point-spread function (PSF) says where the light of one scene point lands. What a highlight spills onto pixels
that do not clip tells how bright it was: a filter in front of the lens can carry the light that the sensor loses.

A PSF is a square ``(3, k, k)`` of odd side, non-negative, of sum 1 in each channel: light is moved, not made. The
pixel at ``k // 2`` is its centre.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.data.cameras.stages import AbstractStage, Noise

# What the sensor reports at least, as published: a root or logarithm of the reading then has a finite slope
_DARKEST: Final = 1e-5


def convolve(
    picture: Float[Tensor, "n c h w"], psf: Float[Tensor, "c k k"], *, full: bool = False
) -> Float[Tensor, "n c y x"]:
    """Spread the light of every pixel by a PSF; beyond the picture it is dark.

    The convolution is linear, not circular: what leaves the picture on one side does not come back on the other. It
    is computed in double precision, for the rounding of a Fourier transform scales with the brightest pixel, and a
    lamp may be a million times brighter than the shadow it must not disturb.

    Args:
        picture: Linear light.
        psf: One square of odd side for each channel.
        full: Whether to return all pixels that light reaches, ``(h + k - 1, w + k - 1)``, instead of the picture's.

    Returns:
        The sensor's light, in the unit and type of the picture; rounding may leave values slightly below 0.

    Raises:
        ValueError: If the PSF's side is even, so that it has no centre.
    """
    side = require_odd(psf.shape[-1], "a PSF's side")
    height, width = picture.shape[-2:]
    size = (height + side - 1, width + side - 1)
    spectrum = torch.fft.rfft2(picture.double(), s=size) * torch.fft.rfft2(psf.to(picture.device).double(), s=size)
    spread = torch.fft.irfft2(spectrum, s=size)
    if not full:
        margin = side // 2
        spread = spread[..., margin : margin + height, margin : margin + width]
    return spread.to(picture.dtype)


def delta_psf(size_px: int = 1) -> Float[Tensor, "3 size_px size_px"]:
    """The PSF of no optics: every point stays where it is.

    Raises:
        ValueError: If the side is even.
    """
    psf = torch.zeros(3, require_odd(size_px, "size_px"), size_px, dtype=torch.float64)
    psf[:, size_px // 2, size_px // 2] = 1
    return psf


def normalise(light: Float[Tensor, "3 k k"]) -> Float[Tensor, "3 k k"]:
    """Scale each channel to sum 1."""
    return light / light.sum(dim=(-2, -1), keepdim=True)


def require_odd(size_px: int, key: str) -> int:
    """Return a side that has a middle.

    Raises:
        ValueError: If it is even or not positive.
    """
    if size_px < 1 or size_px % 2 == 0:
        raise ValueError(f"{key} must be odd and positive, so that there is a central pixel, got {size_px}")
    return size_px


class AbstractPsf(ABC):
    """A PSF with fixed parameters."""

    @abstractmethod
    def kernel(self) -> Float[Tensor, "3 k k"]:
        """The PSF in double precision on the CPU: odd side, non-negative, each channel of sum 1."""


@dataclass(frozen=True)
class Optics(AbstractStage):
    """The lens and what is in front of it, as a stage of a camera."""

    is_of_light = True
    psf: AbstractPsf

    def __call__(self, picture: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Spread the light; no pixel becomes negative."""
        return convolve(picture, self.psf.kernel()).clamp_min(0)


class FreePsf(nn.Module):
    """A PSF of which every pixel is learned; a softmax keeps it non-negative and of sum 1.

    The paper normalises sigmoids instead, which bound the ratio of the brightest pixel to the others by the slope of
    a saturated gate; a PSF that must keep most light in one pixel wants no such bound.

    Args:
        start: Where learning starts, itself a PSF.
        floor: Smallest share of the light that a pixel starts with: from 0 nothing would ever grow.

    Raises:
        ValueError: If the start is no PSF, or the floor is not positive.

    References:
        Metzler, Ikoma, Peng, Wetzstein, CVPR 2020.
    """

    def __init__(self, start: Float[Tensor, "3 k k"], *, floor: float = 1e-6) -> None:
        super().__init__()
        if not floor > 0:
            raise ValueError(f"floor must be positive, got {floor}")
        require_psf(start)
        self.logits = nn.Parameter(start.clamp_min(floor).log().float())

    def forward(self, generator: torch.Generator | None = None) -> Float[Tensor, "3 k k"]:
        """The PSF; nothing of it is random."""
        return torch.softmax(self.logits.flatten(1), dim=1).view_as(self.logits)


class FixedPsf(nn.Module):
    """A PSF that is not learned.

    Raises:
        ValueError: If it is no PSF.
    """

    def __init__(self, psf: Float[Tensor, "3 k k"]) -> None:
        super().__init__()
        require_psf(psf)
        self.register_buffer("psf", psf.float())

    def forward(self, generator: torch.Generator | None = None) -> Float[Tensor, "3 k k"]:
        """The PSF; nothing of it is random."""
        return self.get_buffer("psf")


def require_psf(psf: Float[Tensor, "3 k k"]) -> None:
    """Refuse what makes or loses light.

    Raises:
        ValueError: If the side is even, a value is negative or not finite, or a channel does not sum to 1.
    """
    require_odd(psf.shape[-1], "a PSF's side")
    sums = psf.sum(dim=(-2, -1))
    if not bool((psf >= 0).all()) or not torch.allclose(sums, torch.ones_like(sums), rtol=0, atol=1e-4):
        raise ValueError(
            "a PSF must be non-negative and sum to 1 in each channel, got a minimum of "
            f"{psf.min().item():.3g} and sums {[round(total, 6) for total in sums.tolist()]}; see normalise"
        )


class OpticalEncoder(nn.Module):
    """Optics and a linear sensor, differentiable: sensor exposure to what the sensor reads.

    ``y = clip(PSF * clip(exposure, 1e-5, max_exposure) + noise, 1e-5, 1)``

    Args:
        psf: A module that gives the PSF, such as `FreePsf` or ``optics_waves.LearnedHeightMap``.
        read_noise_dn: Standard deviation of the noise in 8-bit levels of linear exposure.
        max_exposure: Brightest light of a scene; 64 is six stops above the sensor's white.

    Raises:
        ValueError: If the noise is negative or the brightest light is below white.

    References:
        Metzler, Ikoma, Peng, Wetzstein, CVPR 2020, and the authors' released training program.
    """

    def __init__(self, psf: nn.Module, *, read_noise_dn: float = 0.0, max_exposure: float = 64.0) -> None:
        super().__init__()
        if not read_noise_dn >= 0 or not max_exposure >= 1:
            raise ValueError(f"need read_noise_dn >= 0 and max_exposure >= 1, got {read_noise_dn} and {max_exposure}")
        self.psf = psf
        self.noise = Noise(shot_dn=0.0, read_dn=read_noise_dn)
        self.max_exposure = max_exposure

    def forward(self, exposure: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Return the sensor's linear reading, within [1e-5, 1].

        Args:
            exposure: Sensor exposure without the optics, 1 at the sensor's white.
            generator: Source of the noise, and of what varies in the optics.
        """
        light = convolve(exposure.clamp(_DARKEST, self.max_exposure), self.psf(generator))
        if self.noise.read_dn > 0:  # the root of no variance has no derivative
            light = self.noise(light, generator)
        return light.clamp(_DARKEST, 1)
