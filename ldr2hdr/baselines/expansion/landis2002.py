"""Landis 2002: leave what is below a threshold, expand what is above towards the peak."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.baselines.expansion.base import AbstractExpansion, DisplayedPicture, change_luminance


@dataclass(frozen=True, kw_only=True)
class Landis2002(AbstractExpansion):
    """Above the threshold, a blend from the picture's own light to the light of the peak.

    With ``w = ((L - t) / (max - t)) ** alpha``, 0 at the threshold ``t`` and 1 at the brightest pixel, the result is
    ``(1 - w) L + w peak L``.

    Attributes:
        peak: Brightest light, 1 where the display shows the picture's white. The default is a display of 1000 cd/m2
            that shows white at 100 cd/m2.
        threshold: Luminance from which on light is expanded; None is the picture's mean.
        alpha: Exponent of the blend.

    Raises:
        ValueError: If ``peak`` is below 1, ``threshold`` not within [0, 1) or ``alpha`` not positive.

    References:
        Landis, Production-ready global illumination, SIGGRAPH course 16, 2002.
    """

    peak: float = 10.0
    threshold: float | None = 0.5
    alpha: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.peak >= 1 and 0 <= (self.threshold or 0.0) < 1 and self.alpha > 0):
            raise ValueError(
                "an expansion by Landis needs peak >= 1, a threshold within [0, 1) or None, and alpha > 0, got "
                f"{self.peak}, {self.threshold} and {self.alpha}"
            )

    def expand(self, picture: DisplayedPicture) -> Float[Tensor, "b 3 h w"]:
        """Expand the luminance above the threshold."""
        before = picture.luminance
        mean = before.mean(dim=(1, 2), keepdim=True)
        threshold = mean if self.threshold is None else torch.full_like(mean, self.threshold)
        reach = before.amax(dim=(1, 2), keepdim=True) - threshold
        # where nothing reaches the threshold, nothing is above it
        above = (before - threshold).clamp_min(0) / torch.where(reach > 0, reach, 1)
        return change_luminance(picture, before * (1 + above**self.alpha * (self.peak - 1)))
