"""Fixed inverse responses: what everybody can do without knowing the camera."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ldr2hdr.radiometry import decode_srgb
from ldr2hdr.tasks import Shots


@dataclass(frozen=True)
class InverseGamma:
    """Sensor exposure as a power of the picture: ``ldr ** gamma``, so that white stays 1.

    Attributes:
        gamma: Exponent; 2.2 is the customary average of display curves.

    Raises:
        ValueError: If gamma is not positive.
    """

    gamma: float = 2.2

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise ValueError(f"gamma must be positive, got {self.gamma}")

    def adapt(self, support: Shots | None) -> Callable[[Tensor], Tensor]:
        """Give the fixed curve, whatever the support."""
        return self.__call__

    def __call__(self, ldr: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Sensor exposure in [0, 1] of a picture in [0, 1]."""
        return ldr**self.gamma


@dataclass(frozen=True)
class InverseSRGB:
    """Sensor exposure by the inverse of the sRGB curve.

    References:
        IEC 61966-2-1:1999, sec. 5.2.

    Example:
        >>> import torch
        >>> round(InverseSRGB()(torch.full((3, 1, 1), 0.5))[0].item(), 6)
        0.214041
    """

    def adapt(self, support: Shots | None) -> Callable[[Tensor], Tensor]:
        """Give the fixed curve, whatever the support."""
        return self.__call__

    def __call__(self, ldr: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Sensor exposure in [0, 1] of a picture in [0, 1]."""
        return decode_srgb(ldr)
