"""Optics in front of the sensor: point-spread functions, and how they spread light.

A point-spread function (PSF) says where the light of one scene point lands. What a highlight spills onto pixels
that do not clip shows how bright it was: a filter in front of the lens can carry the light that the sensor loses.

A PSF is a square ``(3, k, k)`` of odd side, non-negative, of sum 1 in each channel: light is moved, not made. The
pixel at ``k // 2`` is its centre.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.cameras.stages import AbstractStage


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
