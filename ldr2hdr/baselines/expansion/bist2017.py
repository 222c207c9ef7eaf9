"""Bist et al. 2017: a power whose exponent follows the style of the lighting."""

import math
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.baselines.expansion.base import AbstractExpansion, DisplayedPicture

# CIE 15:2004, sec. 8.2.1: below the joint L* is linear in luminance
_LIGHTNESS_JOINT: Final = (6 / 29) ** 3
_LIGHTNESS_SLOPE: Final = (29 / 3) ** 3


@dataclass(frozen=True, kw_only=True)
class Bist2017(AbstractExpansion):
    """``Y ** gamma``: dark pictures are given more contrast than light ones, to keep the artist's intent.

    Verified in the abstracts of both papers: the expansion is a power of luminance, its exponent depends on the
    lighting style, low-key to high-key, and was found in user studies on a display of 1000 cd/m2. As commonly cited,
    and not verified here: the exponent ``1 + log10(1 / m)`` with ``m`` the median CIE lightness L*/100 (0.8 gives 1.10,
    0.2 gives 1.70), and the colour correction ``(C / Y) ** s`` with ``s`` about 1.25, which makes up for the colours'
    loss of appearance.

    Attributes:
        gamma: Exponent of all pictures; None is that of each picture's style.
        saturation: Exponent ``s`` of the ratios of channels to luminance; 1 keeps them.
        min_lightness: Least ``m``, an addition of ours: a black median has no logarithm. 0.01 limits the exponent to 3.

    Raises:
        ValueError: If ``gamma`` or ``saturation`` is not positive or ``min_lightness`` not within (0, 1].

    References:
        Bist, Cozot, Madec and Ducloux, Style aware tone expansion for HDR displays, Graphics Interface 2016;
        Tone expansion using lighting style aesthetics, Computers and Graphics 62, 2017.
    """

    gamma: float | None = None
    saturation: float = 1.25
    min_lightness: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not ((self.gamma is None or self.gamma > 0) and self.saturation > 0 and 0 < self.min_lightness <= 1):
            raise ValueError(
                "an expansion by Bist needs gamma > 0 or None, saturation > 0 and min_lightness within (0, 1], got "
                f"{self.gamma}, {self.saturation} and {self.min_lightness}"
            )

    def expand(self, picture: DisplayedPicture) -> Float[Tensor, "b 3 h w"]:
        """Raise the luminance to the exponent, and the channels' ratios to theirs."""
        before = picture.luminance[:, None]
        ratios = torch.where(before > 0, picture.linear / before.where(before > 0, 1), 0)
        return before ** self.find_gamma(picture.luminance)[:, None, None, None] * ratios**self.saturation

    def find_gamma(self, luminance: Float[Tensor, "b h w"]) -> Float[Tensor, " b"]:
        """Exponent of each picture.

        Example:
            >>> Bist2017().find_gamma(torch.full((1, 1, 1), 0.184187)).round(decimals=4)  # L* = 50
            tensor([1.3010])
        """
        if self.gamma is not None:
            return torch.full_like(luminance[:, 0, 0], self.gamma)
        median = encode_lightness(luminance.flatten(1).median(dim=1).values)
        return 1 - median.clamp_min(self.min_lightness).log() / math.log(10)


def encode_lightness(luminance: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """CIE 1976 lightness over 100, 1 at white, of luminance relative to white.

    References:
        CIE 15:2004, sec. 8.2.1.

    Example:
        >>> encode_lightness(torch.tensor([0.0, 0.184187, 1.0])).round(decimals=4)
        tensor([0.0000, 0.5000, 1.0000])
    """
    steep = 1.16 * luminance.clamp_min(_LIGHTNESS_JOINT) ** (1 / 3) - 0.16
    return torch.where(luminance > _LIGHTNESS_JOINT, steep, luminance * _LIGHTNESS_SLOPE / 100)
