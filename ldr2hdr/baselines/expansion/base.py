"""Shared by all expansion operators: from the picture to linear light, and from display light to sensor exposure.

The operators were published to drive a bright display: they take a picture whose white is shown at some luminance and
say how bright each pixel is to be on a display with a higher peak. Sensor exposure has no display in it. One convention
for all of them, which uses the picture alone:

1. The picture is linearised by an inverse display curve, a power of ``display_gamma``.
2. The operator expands that light. Its unit is its own.
3. One factor per picture brings the result to sensor exposure: the one that leaves the mean luminance of the
   well-exposed part where the inverse display curve puts it. An operator is judged by how it spreads the light; a
   factor common to all pixels, such as the display's peak, cancels.

An anchor at the median or at the geometric mean of the well-exposed part would serve as well. Tried on pictures of the
training places, the arithmetic mean gave each operator its best PU21-PSNR, and is taken in their favour.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ldr2hdr.radiometry import CLIPPED_LEVEL, luminance
from ldr2hdr.tasks import Shots

# Level at which a picture counts as black, of 255: the customary one, noise in mind.
_DARK_LEVEL: Final = 5


class DisplayedPicture(NamedTuple):
    """Pictures as an operator sees them.

    Attributes:
        ldr: Display-referred, in [0, 1].
        linear: Light of the display, 1 where the picture is white.
        luminance: Of ``linear``.
    """

    ldr: Float[Tensor, "b 3 h w"]
    linear: Float[Tensor, "b 3 h w"]
    luminance: Float[Tensor, "b h w"]


@dataclass(frozen=True, kw_only=True)
class AbstractExpansion(ABC):
    """An operator without parameters to learn, whatever the support.

    Attributes:
        display_gamma: Exponent that linearises the picture.

    Raises:
        ValueError: If ``display_gamma`` is not positive.
    """

    display_gamma: float = 2.2

    def __post_init__(self) -> None:
        if not self.display_gamma > 0:
            raise ValueError(f"display_gamma must be positive, got {self.display_gamma}")

    def adapt(self, support: Shots | None) -> Callable[[Tensor], Tensor]:
        """Give the fixed operator, whatever the support."""
        return self.__call__

    def __call__(self, ldr: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Sensor exposure of pictures in [0, 1], unbounded above; each picture is expanded for itself."""
        linear = ldr**self.display_gamma
        picture = DisplayedPicture(ldr, linear, luminance(linear))
        return anchor(self.expand(picture), picture)

    @abstractmethod
    def expand(self, picture: DisplayedPicture) -> Float[Tensor, "b 3 h w"]:
        """Light on the brighter display, in any unit; black stays black."""


def anchor(expanded: Float[Tensor, "b 3 h w"], picture: DisplayedPicture) -> Float[Tensor, "b 3 h w"]:
    """Scale each picture's display light to sensor exposure.

    Args:
        expanded: Display light in any unit.
        picture: What it was expanded from.

    Returns:
        ``expanded`` times one factor per picture, by which the well-exposed part keeps its mean luminance. Where that
        part is empty or was made black, the whole picture keeps its own; a black picture stays black.
    """
    before, after = picture.luminance, luminance(expanded)
    well_exposed = is_well_exposed(picture.ldr)
    has_light = (after * well_exposed).sum(dim=(1, 2), keepdim=True) > 0
    counted = torch.where(has_light, well_exposed, True)
    total = (after * counted).sum(dim=(1, 2))
    factor = (before * counted).sum(dim=(1, 2)) / torch.where(total > 0, total, 1)
    return expanded * factor[:, None, None, None]


def is_well_exposed(ldr: Float[Tensor, "b 3 h w"]) -> Bool[Tensor, "b h w"]:
    """Pixels of which no channel shows black or white."""
    levels = torch.round(ldr * 255)
    return ((levels > _DARK_LEVEL) & (levels < CLIPPED_LEVEL)).all(dim=1)


def change_luminance(picture: DisplayedPicture, after: Float[Tensor, "b h w"]) -> Float[Tensor, "b 3 h w"]:
    """Colour with the luminance ``after`` and the channel ratios of the picture; black stays black.

    References:
        Schlick, Photorealistic Rendering Techniques, 1994, who keeps the ratios.
    """
    before = picture.luminance
    gain = torch.where(before > 0, after / before.where(before > 0, 1), 0)
    return picture.linear * gain[:, None]
