"""Square cut-outs of pictures."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


class Window(NamedTuple):
    """A square within a picture, in pixels."""

    top: int
    left: int
    side: int

    @property
    def rows(self) -> slice:
        """Rows of the picture."""
        return slice(self.top, self.top + self.side)

    @property
    def columns(self) -> slice:
        """Columns of the picture."""
        return slice(self.left, self.left + self.side)


def check_positive(crop_px: int) -> None:
    """Refuse a crop without pixels.

    Raises:
        ValueError: If the size is not positive.
    """
    if crop_px < 1:
        raise ValueError(f"task.crop_px must be at least 1, got {crop_px}")


def draw_window(height: int, width: int, *, crop_px: int, max_scale: float, generator: torch.Generator) -> Window:
    """A random square, of a side between ``crop_px`` and ``max_scale`` times that, as far as the picture allows.

    Raises:
        ValueError: If the picture is smaller than the crop.
    """
    largest = min(max_scale, min(height, width) / crop_px)
    if largest < 1:
        raise ValueError(
            f"the scene is smaller than the crop: {width} x {height} pixels, but task.crop_px={crop_px}; "
            "lower task.crop_px"
        )
    size, vertical, horizontal = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
    side = int(crop_px * largest**size)
    return Window(int(vertical * (height - side + 1)), int(horizontal * (width - side + 1)), side)


def shrink(picture: Float[Tensor, "3 side side"], crop_px: int) -> Float[Tensor, "3 crop_px crop_px"]:
    """Average a square picture of linear light down to a side of ``crop_px``."""
    if picture.shape[-1] == crop_px:
        return picture
    return F.interpolate(picture[None], (crop_px, crop_px), mode="bilinear", antialias=True)[0]
