"""Masia et al. 2017: the exponent by several statistics of the picture."""

from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.baselines.expansion.key import log_mean, measure_key
from ldr2hdr.baselines.expansion.masia2009 import Masia2009

_OVEREXPOSED_LEVEL: Final = 254


@dataclass(frozen=True, kw_only=True)
class Masia2017(Masia2009):
    """Operator of `Masia2009` with the exponent ``2.4379 + 0.2319 ln(mean) - 1.1228 key + 0.0085 p``.

    ``mean`` is the geometric mean of luminance, ``p`` the percentage of pixels as bright as level 254 or brighter.

    References:
        Masia, Serrano and Gutierrez, Dynamic range expansion based on image statistics, Multimedia Tools and
        Applications 76, 2017, eq. 5.
    """

    def find_gamma(self, luminance: Float[Tensor, "b h w"]) -> Float[Tensor, " b"]:
        """Exponent of each picture by the regression, which may be negative for a dark one."""
        # half a level of tolerance: a power of 254/255 has no exact float
        white = ((_OVEREXPOSED_LEVEL - 0.5) / 255) ** self.display_gamma
        overexposed_percent = 100 * (luminance >= white).to(luminance).mean(dim=(1, 2))
        mean = log_mean(luminance)
        gamma = 2.4379 + 0.2319 * mean.log() - 1.1228 * measure_key(luminance) + 0.0085 * overexposed_percent
        return torch.where(mean > 0, gamma, self.min_gamma)
