"""Huo et al. 2014: the retina's response, adapted to each neighbourhood, turned round."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ldr2hdr.baselines.expansion.base import AbstractExpansion, DisplayedPicture, change_luminance
from ldr2hdr.baselines.expansion.bilateral_grid import bilateral_filter
from ldr2hdr.baselines.expansion.key import log_mean


@dataclass(frozen=True, kw_only=True)
class Huo2014(AbstractExpansion):
    """``L / max * (surround ** n + mean ** n) ** (1 / n)``: the brighter its neighbourhood, the more a pixel gains.

    ``surround`` is the luminance after two bilateral filters, ``mean`` the geometric mean of the picture.

    Attributes:
        n: Sensitivity of the retina.

    Raises:
        ValueError: If ``n`` is not positive.

    References:
        Huo, Yang, Dong and Brost, Physiological inverse tone mapping based on retina response, The Visual Computer 30,
        2014: n of 0.86, filters of 16 px and 0.3, then 10 px and 0.1.
    """

    n: float = 0.86

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.n > 0:
            raise ValueError(f"n must be positive, got {self.n}")

    def expand(self, picture: DisplayedPicture) -> Float[Tensor, "b 3 h w"]:
        """Raise each pixel by the light around it; its maximum cancels with the unit of the result."""
        before = picture.luminance
        surround = bilateral_filter(before, before, sigma_px=16.0, sigma_range=0.3)
        surround = bilateral_filter(surround, surround, sigma_px=10.0, sigma_range=0.1)
        adaptation = surround**self.n + log_mean(before)[:, None, None] ** self.n
        return change_luminance(picture, before * adaptation ** (1 / self.n))
