"""Kuo et al. 2012: Schlick's tone curve turned round, with the contours in lights smoothed away."""

import math
from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.baselines.expansion.base import AbstractExpansion, DisplayedPicture, change_luminance
from ldr2hdr.baselines.expansion.bilateral_grid import bilateral_filter


@dataclass(frozen=True, kw_only=True)
class Kuo2012(AbstractExpansion):
    """``L / (p (1 - L) + L)``, blended in the brightest regions with its mean over 5 by 5 pixels.

    The regions are found by an expand map: where the luminance is at least the greatest mean over a tenth of the
    picture's side, smoothed along edges of luma. The paper chooses the peak by classifying the scene; it cancels here.

    Attributes:
        p: How much Schlick's curve had compressed: the slope at white is ``p`` times that of no curve.
        sigma_levels: Width of the map's smoothing over luma, of 255.

    Raises:
        ValueError: If ``p`` is below 1 or ``sigma_levels`` not positive.

    References:
        Kuo, Tang and Chien, Content-adaptive inverse tone mapping, VCIP 2012; Schlick, Quantization techniques for
        visualization of high dynamic range pictures, 1994.
    """

    p: float = 30.0
    sigma_levels: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.p >= 1 and self.sigma_levels > 0):
            raise ValueError(
                f"an expansion by Kuo needs p >= 1 and positive sigma_levels, got {self.p} and {self.sigma_levels}"
            )

    def expand(self, picture: DisplayedPicture) -> Float[Tensor, "b 3 h w"]:
        """Invert the curve and smooth the lights."""
        before = picture.luminance
        sharp = before / (self.p * (1 - before) + before)
        smooth = F.avg_pool2d(F.pad(sharp[:, None], (2, 2, 2, 2), mode="replicate"), 5, stride=1)[:, 0]
        share = self._map_lights(before)
        return change_luminance(picture, share * smooth + (1 - share) * sharp)

    def _map_lights(self, luminance: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
        height, width = luminance.shape[1:]
        side = math.ceil(0.1 * max(height, width))
        # rows, then columns: in one pass the time would grow with the square of the side
        means = luminance[:, None]
        for kernel in ((side, 1), (1, side)):
            half = (kernel[0] // 2, kernel[1] // 2)
            means = F.avg_pool2d(means, kernel, stride=1, padding=half, count_include_pad=False)
        is_bright = luminance >= means.amax(dim=(2, 3))[:, :, None]
        # a bright pixel with a neighbour that is not is taken away
        is_inside = -F.max_pool2d(-is_bright.to(luminance)[:, None], 3, stride=1, padding=1)[:, 0]
        luma = luminance ** (1 / self.display_gamma)
        return bilateral_filter(luminance * is_inside, luma, sigma_px=side / 5, sigma_range=self.sigma_levels / 255)
