"""Light that a view sends to a surface: what a picture that lights a scene is worth."""

import math
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

FIELD_OF_VIEW_DEGREES: Final = 65.0
"""Along the longer side: about that of a phone's main camera, or of a lens of 28 mm on full frame."""
_TILT_DEGREES: Final = 45.0
_FLOOR: Final = 2.0**-10


def irradiance(
    radiance: Float[Tensor, "*b 3 h w"], *, field_of_view_degrees: float = FIELD_OF_VIEW_DEGREES
) -> Float[Tensor, "*b 3 n"]:
    """Sum the light of a pinhole view, weighted by the cosine, for five surfaces at the place of the camera.

    The first faces the middle of the view, the others are turned by 45 degrees to its right, left, top and bottom. Of
    light from elsewhere a picture knows nothing.

    Args:
        radiance: Linear picture.
        field_of_view_degrees: Along the longer side, above 0 and below 90, so that each surface sees the whole view.

    Returns:
        Irradiance per channel and surface, in the unit of the radiance times steradian.

    Raises:
        ValueError: If the field of view is out of range.

    References:
        Ramamoorthi and Hanrahan, "An efficient representation for irradiance environment maps", SIGGRAPH 2001, eq. 1.
    """
    if not 0 < field_of_view_degrees < 90:
        raise ValueError(f"field_of_view_degrees must be between 0 and 90, got {field_of_view_degrees}")
    height, width = radiance.shape[-2:]
    side = 2 * math.tan(math.radians(field_of_view_degrees) / 2) / max(height, width)
    x, y = (
        (torch.arange(length, dtype=radiance.dtype, device=radiance.device) + 0.5 - length / 2) * side
        for length in (width, height)
    )
    squared = 1 + x.square() + y[:, None].square()
    # a pixel's solid angle is side**2 / squared**1.5, and the unit vector to it (x, y, 1) / squared**0.5
    weighted = radiance * (side**2 / squared.square())
    toward = torch.stack(
        [(weighted * part).sum(dim=(-2, -1)) for part in (x, y[:, None], torch.ones_like(squared))], dim=-1
    )
    sine, cosine = math.sin(math.radians(_TILT_DEGREES)), math.cos(math.radians(_TILT_DEGREES))
    normals = [(0, 0, 1), (sine, 0, cosine), (-sine, 0, cosine), (0, -sine, cosine), (0, sine, cosine)]
    return toward @ toward.new_tensor(normals).T


def irradiance_error(pred: Float[Tensor, "*b 3 h w"], target: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b"]:
    """Root mean square error of the irradiance of five surfaces in three channels, in stops.

    Args:
        pred: Reconstructed sensor exposure.
        target: True sensor exposure; surfaces that get less than 2**-10 of what white sends count as getting that.
    """
    white = irradiance(torch.ones_like(target[..., :3, :, :])) * _FLOOR
    stops = [torch.log2(irradiance(picture).maximum(white)) for picture in (pred, target)]
    return (stops[0] - stops[1]).square().mean(dim=(-2, -1)).sqrt()
