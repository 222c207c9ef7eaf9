"""The eight ways in which a camera stores a picture, and back to the one in which it is shown."""

from typing import Final

import torch
from jaxtyping import Shaped
from torch import Tensor

# EXIF orientation: whether rows and columns are exchanged, and then which axes are flipped (CIPA DC-008, Orientation)
_TURNS: Final[dict[int, tuple[bool, tuple[int, ...]]]] = {
    1: (False, ()),
    2: (False, (-1,)),
    3: (False, (-2, -1)),
    4: (False, (-2,)),
    5: (True, ()),
    6: (True, (-1,)),
    7: (True, (-2, -1)),
    8: (True, (-2,)),
}


def is_orientation(number: float | None) -> bool:
    """Whether a number is one of the eight orientations of EXIF."""
    return number in _TURNS


def is_transposing(orientation: int) -> bool:
    """Whether rows and columns of the stored picture are columns and rows of the upright one."""
    return _TURNS[orientation][0]


def turn_upright(picture: Shaped[Tensor, "*b h w"], orientation: int) -> Shaped[Tensor, "*b u v"]:
    """Turn a picture from the way it is stored to the way it is shown.

    Args:
        picture: As stored.
        orientation: Of EXIF, 1 to 8.
    """
    is_transposed, flipped = _TURNS[orientation]
    turned = picture.transpose(-1, -2) if is_transposed else picture
    return torch.flip(turned, flipped) if flipped else turned  # torch copies even where nothing is flipped


def turn_stored(picture: Shaped[Tensor, "*b u v"], orientation: int) -> Shaped[Tensor, "*b h w"]:
    """Invert :func:`turn_upright`."""
    is_transposed, flipped = _TURNS[orientation]
    stored = torch.flip(picture, flipped)
    return stored.transpose(-1, -2) if is_transposed else stored
