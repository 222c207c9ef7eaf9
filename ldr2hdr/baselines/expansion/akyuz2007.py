"""Akyuz et al. 2007: stretch the whole range, linearly."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.baselines.expansion.base import AbstractExpansion, DisplayedPicture, change_luminance


@dataclass(frozen=True, kw_only=True)
class Akyuz2007(AbstractExpansion):
    """The luminances from the darkest to the brightest pixel, stretched to the display's, with an exponent.

    ``((L - min) / (max - min)) ** gamma``. With the exponent 1, which its authors found enough, highlights are no more
    than stretched with the rest. A picture of one luminance has no range to stretch, and stays as it is.

    Attributes:
        gamma: Exponent; 1 is the linear stretch.

    Raises:
        ValueError: If gamma is not positive.

    References:
        Akyuz, Fleming, Riecke, Reinhard and Buelthoff, Do HDR displays support LDR content?, SIGGRAPH 2007.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.gamma > 0:
            raise ValueError(f"gamma must be positive, got {self.gamma}")

    def expand(self, picture: DisplayedPicture) -> Float[Tensor, "b 3 h w"]:
        """Stretch the luminance."""
        low, high = (extreme[:, None, None] for extreme in picture.luminance.flatten(1).aminmax(dim=1))
        stretched = ((picture.luminance - low) / torch.where(high > low, high - low, 1)) ** self.gamma
        return change_luminance(picture, torch.where(high > low, stretched, picture.luminance))
