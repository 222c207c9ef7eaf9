"""Optics that are learned end to end, and a linear sensor behind them."""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.data.cameras.optics import convolve, require_odd
from ldr2hdr.data.cameras.optics_waves import CodedLens
from ldr2hdr.data.cameras.stages import Noise

# What the sensor reports at least, as published: a root or logarithm of the reading then has a finite slope
_DARKEST: Final = 1e-5


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
        psf: A module that gives the PSF, such as `FreePsf` or `LearnedHeightMap`.
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


class LearnedHeightMap(nn.Module):
    """A PSF learned through the height of a plate, which can be made.

    The height is ``max_height_um * sin(parameter)**2``: as the paper's square of a parameter near 0, and smoothly
    bounded above instead of cut off.

    Args:
        lens: What the plate is mounted on.
        samples: Height samples across the aperture.
        generator: Source of the start, a nearly flat plate.
        max_height_um: Depth to which the plate can be machined.
        height_noise_um: Standard deviation of the errors of making it, of which every PSF in training has its own.

    Raises:
        ValueError: If there are too few samples for the lens's PSF, the depth is not positive or the error negative.
    """

    def __init__(
        self,
        lens: CodedLens,
        *,
        samples: int,
        generator: torch.Generator,
        max_height_um: float = 1.55,
        height_noise_um: float = 0.02,
    ) -> None:
        super().__init__()
        if samples < lens.min_samples:
            raise ValueError(f"samples must be at least {lens.min_samples} for this lens, got {samples}")
        if not max_height_um > 0 or not height_noise_um >= 0:
            raise ValueError(
                f"need max_height_um > 0 and height_noise_um >= 0, got {max_height_um} and {height_noise_um}"
            )
        self.lens = lens
        self.max_height_um = max_height_um
        self.height_noise_um = height_noise_um
        self.angle = nn.Parameter(1e-3 * torch.rand(samples, samples, generator=generator))

    def height_um(self) -> Float[Tensor, "m m"]:
        """The plate."""
        return self.max_height_um * torch.sin(self.angle).square()

    def forward(self, generator: torch.Generator | None = None) -> Float[Tensor, "3 k k"]:
        """The PSF.

        Args:
            generator: Source of the errors of making the plate, in training; None for the plate as designed.
        """
        height_um = self.height_um()
        if self.training and generator is not None:
            error = torch.randn(height_um.shape, generator=generator, device=generator.device)
            height_um = height_um + self.height_noise_um * error.to(height_um)
        return self.lens.psf(height_um)
