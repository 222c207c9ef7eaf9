"""Masia et al. 2009: a power whose exponent follows the key, for over-exposed pictures."""

from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.baselines.expansion.base import AbstractExpansion, DisplayedPicture, change_luminance
from ldr2hdr.baselines.expansion.bilateral_grid import bilateral_filter
from ldr2hdr.baselines.expansion.key import measure_key

_SLOPE: Final = 10.44
_OFFSET: Final = -6.282


@dataclass(frozen=True, kw_only=True)
class Masia2009(AbstractExpansion):
    """A power of the smooth part of the luminance; the detail on top of it is kept, so that noise does not grow.

    The exponent is ``10.44 key - 6.282``, a regression on pictures exposed ever longer, whose key is high. A key below
    0.6 would turn the picture into its negative.

    Attributes:
        min_gamma: Least exponent, an addition of ours; at 1 a picture is never compressed.
        sigma_px: Width of the bilateral filter that finds the smooth part, in pixels. The paper gives none.
        sigma_range: Its width over luminance.

    Raises:
        ValueError: If a parameter is not positive.

    References:
        Masia, Agustin, Fleming, Sorkine and Gutierrez, Evaluation of reverse tone mapping through varying exposure
        conditions, SIGGRAPH Asia 2009.
    """

    min_gamma: float = 1.0
    sigma_px: float = 32.0
    sigma_range: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not min(self.min_gamma, self.sigma_px, self.sigma_range) > 0:
            raise ValueError(
                "an expansion by Masia needs positive min_gamma, sigma_px and sigma_range, got "
                f"{self.min_gamma}, {self.sigma_px} and {self.sigma_range}"
            )

    def expand(self, picture: DisplayedPicture) -> Float[Tensor, "b 3 h w"]:
        """Raise the base to the exponent, keep the detail."""
        before = picture.luminance
        base = bilateral_filter(before, before, sigma_px=self.sigma_px, sigma_range=self.sigma_range)
        gamma = self.find_gamma(before).clamp_min(self.min_gamma)[:, None, None]
        # detail times base ** gamma, where detail is luminance over base
        after = before * torch.where(base > 0, base.where(base > 0, 1) ** (gamma - 1), 0)
        return change_luminance(picture, after)

    def find_gamma(self, luminance: Float[Tensor, "b h w"]) -> Float[Tensor, " b"]:
        """Exponent of each picture by the regression, which may be negative."""
        return _SLOPE * measure_key(luminance) + _OFFSET
