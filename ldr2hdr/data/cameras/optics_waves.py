"""Wave optics: from the height of a transparent plate in front of a lens to the point-spread function."""

import math
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor

from ldr2hdr.data.cameras.optics import normalise, require_odd
from ldr2hdr.data.cameras.ranges import Channels

_UM_PER_MM: Final = 1e3
_UM_PER_NM: Final = 1e-3


@dataclass(frozen=True)
class CodedLens:
    """A thin lens with a plate of varying height on it, a round aperture, and a sensor.

    The defaults are those of the paper: a plate of PDMS (Sylgard 184), an f/7 lens focused at infinity.

    Attributes:
        size_px: Side of the PSF in sensor pixels, odd; light beyond is left out.
        focal_mm: Focal length of the lens.
        sensor_mm: Distance from the lens to the sensor; None for the focal length, which is focus at infinity.
        aperture_mm: Diameter of the aperture.
        pixel_um: Pitch of the sensor's pixels.
        wavelengths_nm: Light of red, green and blue.
        indices: Refractive index of the plate for each.
        oversampling: Points per pixel and direction at which the light is computed, then averaged.

    Raises:
        ValueError: If a length or count is not positive, or the side is even.

    References:
        Metzler, Ikoma, Peng, Wetzstein, CVPR 2020, and the constants of the authors' released programs.
    """

    size_px: int = 63
    focal_mm: float = 35.0
    sensor_mm: float | None = None
    aperture_mm: float = 5.0
    pixel_um: float = 4.29
    wavelengths_nm: Channels = (635.0, 530.0, 450.0)
    indices: Channels = (1.4295, 1.4349, 1.4421)
    oversampling: int = 3

    def __post_init__(self) -> None:
        require_odd(self.size_px, "size_px")
        lengths = (self.focal_mm, self.distance_mm, self.aperture_mm, self.pixel_um, *self.wavelengths_nm)
        if min(lengths) <= 0 or self.oversampling < 1:
            raise ValueError(
                "a lens needs positive lengths and oversampling, got focal_mm, sensor_mm, aperture_mm, pixel_um, "
                f"wavelengths_nm = {lengths} and oversampling={self.oversampling}"
            )

    @property
    def distance_mm(self) -> float:
        """Distance from the lens to the sensor."""
        return self.focal_mm if self.sensor_mm is None else self.sensor_mm

    @property
    def min_samples(self) -> int:
        """Fewest height samples across the aperture for which the PSF does not meet its own repetition."""
        um_per_sample = min(self.wavelengths_nm) * _UM_PER_NM * self.distance_mm / self.aperture_mm
        return math.ceil(self.size_px * self.pixel_um / um_per_sample)

    def psf(self, height_um: Float[Tensor, "m m"]) -> Float[Tensor, "3 k k"]:
        """Image a point at infinity through the plate.

        Args:
            height_um: Height of the plate at points evenly spread over the aperture's bounding square.

        Returns:
            The PSF, differentiable in the height and of its type.

        Raises:
            ValueError: If there are fewer samples than `min_samples`.
        """
        light = torch.stack([self.intensity(height_um, channel) for channel in range(3)])
        return normalise(F.avg_pool2d(light, self.oversampling))

    def intensity(self, height_um: Float[Tensor, "m m"], channel: int) -> Float[Tensor, "s s"]:
        """Intensity on the sensor at each point, of one channel; 1 is the peak of a perfect lens.

        The Fresnel integral over the aperture: a plate of height ``h`` delays the wave by ``(n - 1) h``, the lens
        bends it, and on its way to ``x`` at distance ``z`` it collects the phase ``pi |x - u|**2 / (lambda z)``. With
        the square multiplied out, this is a Fourier transform, here to exactly the sensor's points by two products
        of matrices, of all that depends on the plate's ``u``.

        References:
            Goodman, Introduction to Fourier Optics, sec. 4.2 and 5.2.
        """
        samples = height_um.shape[-1]
        if samples < self.min_samples:
            raise ValueError(
                f"a PSF of size_px={self.size_px} needs a height map of at least {self.min_samples} samples across, "
                f"got {samples}; take more samples or a smaller PSF"
            )
        wavelength_um = self.wavelengths_nm[channel] * _UM_PER_NM
        radius_um = self.radius_um(samples).to(height_um)
        distance_um = self.distance_mm * _UM_PER_MM
        defocus = 1 / distance_um - 1 / (self.focal_mm * _UM_PER_MM)  # the lens and the way to the sensor, net
        delay_um = (self.indices[channel] - 1) * height_um + 0.5 * defocus * radius_um**2
        aperture = self.aperture(samples).to(height_um)
        wave = torch.polar(aperture, 2 * math.pi / wavelength_um * delay_um)
        kernel = self._fourier(samples, wavelength_um * distance_um, like=wave)
        return ((kernel @ wave @ kernel.T) / aperture.sum()).abs().square()

    def aperture(self, samples: int) -> Float[Tensor, "m m"]:
        """Return the share of each sample within the round aperture, 0 to 1 over the width of a sample."""
        pitch_um = self.aperture_mm * _UM_PER_MM / samples
        edge_um = self.aperture_mm * _UM_PER_MM / 2
        return ((edge_um - self.radius_um(samples)) / pitch_um + 0.5).clamp(0, 1)

    def radius_um(self, samples: int) -> Float[Tensor, "m m"]:
        """Distance of each sample from the axis."""
        position = _centred(samples) * (self.aperture_mm * _UM_PER_MM / samples)
        return torch.hypot(position[:, None], position)

    def _fourier(self, samples: int, scale_um2: float, *, like: Tensor) -> Complex[Tensor, "s m"]:
        """``exp(-2 pi i x u / (lambda z))`` from samples of the plate to points of the sensor."""
        plate = _centred(samples) * (self.aperture_mm * _UM_PER_MM / samples)
        sensor = _centred(self.size_px * self.oversampling) * (self.pixel_um / self.oversampling)
        turns = sensor[:, None] * plate / scale_um2
        return torch.polar(torch.ones_like(turns), -2 * math.pi * turns).to(like)


def _centred(count: int) -> Float[Tensor, " count"]:
    return torch.arange(count, dtype=torch.float64) - (count - 1) / 2
