"""Kovaleski and Oliveira 2014: brighten what belongs to clipped regions, up to their edges."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.baselines.expansion.base import AbstractExpansion, DisplayedPicture, change_luminance
from ldr2hdr.baselines.expansion.bilateral_grid import bilateral_filter


@dataclass(frozen=True, kw_only=True)
class KovaleskiOliveira2014(AbstractExpansion):
    """The picture on a display, times a map that is 1 in clipped regions and 1/4 far from them.

    The map is the mask of clipped pixels, smoothed across the picture but not across edges of its luma.

    Attributes:
        threshold: A pixel with a channel above this level, of 255, is clipped: 254 for pictures, 230 for video.
        sigma_px: Width of the smoothing in pixels, for pictures of 2 megapixels.
        sigma_levels: Width over luma, of 255.
        black_cd_m2: Light of the display at black.
        peak_cd_m2: Light of the display at white.

    Raises:
        ValueError: If the threshold is not within [0, 255), a sigma is not positive or the display has no range.

    References:
        Kovaleski and Oliveira, High-quality reverse tone mapping for a wide range of exposures, SIBGRAPI 2014.
    """

    threshold: int = 254
    sigma_px: float = 150.0
    sigma_levels: float = 25.0
    black_cd_m2: float = 0.3
    peak_cd_m2: float = 1200.0

    def __post_init__(self) -> None:
        super().__post_init__()
        is_display = 0 <= self.black_cd_m2 < self.peak_cd_m2
        if not (0 <= self.threshold < 255 and min(self.sigma_px, self.sigma_levels) > 0 and is_display):
            raise ValueError(
                "an expansion by Kovaleski and Oliveira needs a threshold within [0, 255), positive sigma_px and "
                f"sigma_levels and 0 <= black_cd_m2 < peak_cd_m2, got {self.threshold}, {self.sigma_px}, "
                f"{self.sigma_levels}, {self.black_cd_m2} and {self.peak_cd_m2}"
            )

    def expand(self, picture: DisplayedPicture) -> Float[Tensor, "b 3 h w"]:
        """Show the picture and brighten its clipped regions."""
        is_clipped = (torch.round(picture.ldr * 255) > self.threshold).any(dim=1)
        luma = picture.luminance ** (1 / self.display_gamma)
        near = bilateral_filter(is_clipped.to(luma), luma, sigma_px=self.sigma_px, sigma_range=self.sigma_levels / 255)
        shown = picture.luminance * (self.peak_cd_m2 - self.black_cd_m2) + self.black_cd_m2
        return change_luminance(picture, shown * (0.75 * near + 0.25))
