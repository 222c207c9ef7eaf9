"""Parts of a picture on which a metric is taken separately."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ldr2hdr.radiometry import CLIPPED_LEVEL


class Regions(NamedTuple):
    """Pixels of each region; ``_asdict()`` gives them by name.

    Attributes:
        all: Every pixel.
        well_exposed: The camera recorded the light, and the picture shows it.
        clipped: The picture shows white in a channel: what was there must be invented.
        dark: The picture shows black in a channel and white in none: little but noise was recorded.
    """

    all: Bool[Tensor, "*b h w"]
    well_exposed: Bool[Tensor, "*b h w"]
    clipped: Bool[Tensor, "*b h w"]
    dark: Bool[Tensor, "*b h w"]


def find_regions(
    ldr: Float[Tensor, "*b 3 h w"],
    exposure: Float[Tensor, "*b 3 h w"],
    *,
    dark_level: int = 5,
    clipped_level: int = CLIPPED_LEVEL,
) -> Regions:
    """Divide a picture by what its camera could record.

    A clipped channel leaves a camera as 1 exactly, but JPEG rings around it by a few levels, and some cameras
    stop short of 255: hence 250, the customary threshold, not 255. Local tone mapping may darken clipped
    light further, so a pixel is well exposed only if its true exposure was within the sensor's range too;
    one that fails in this alone is in ``all`` and in no other region.

    Args:
        ldr: Picture in [0, 1], 8 bits.
        exposure: True sensor exposure, 1 at the camera's white.
        dark_level: A channel at this level or below is dark, of 255.
        clipped_level: A channel at this level or above is clipped, of 255.

    Returns:
        Masks; ``well_exposed``, ``clipped`` and ``dark`` do not overlap.

    Raises:
        ValueError: If the levels are not ``0 <= dark_level < clipped_level <= 255``.

    References:
        Hanji et al., SIGGRAPH 2022, take 250 of 255 in any channel as saturated.
    """
    if not 0 <= dark_level < clipped_level <= 255:
        raise ValueError(f"regions need 0 <= dark_level < clipped_level <= 255, got {dark_level} and {clipped_level}")
    # rounded to levels: 250/255 has no exact float, and a comparison of two roundings would be left to luck
    levels = torch.round(ldr * 255)
    clipped = (levels >= clipped_level).any(dim=-3)
    dark = (levels <= dark_level).any(dim=-3) & ~clipped
    recorded = (exposure <= 1).all(dim=-3)
    return Regions(torch.ones_like(clipped), recorded & ~clipped & ~dark, clipped, dark)
