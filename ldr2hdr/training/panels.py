"""One task in one small picture: the photograph, what is made of it, the truth, and the errors in stops.

Drawn without matplotlib, in a few milliseconds: panels are made while a network trains.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ldr2hdr import radiometry
from ldr2hdr.metrics.functional import log2_rmse
from ldr2hdr.radiometry import LOG_OFFSET, luminance
from ldr2hdr.tasks import Shots

MAX_ERROR_STOPS: Final = 3.0
"""End of the colours of errors; what is worse looks the same."""

_KEY: Final = 0.18
_TILE_PX: Final = 192
_GAP_PX: Final = 4
_HEAD_PX: Final = 22
_FOOT_PX: Final = 20
_BAR_PX: Final = 48
_TEXT_PX: Final = 13
_INK, _PAPER = (40, 40, 40), (255, 255, 255)
_HOW_TO_READ: Final = "all but the photo tone-mapped alike, by the truth's key and white (Reinhard 2002)"


@dataclass(frozen=True)
class GlobalToneMap:
    """Reinhard's global operator with the key and the white of one picture, to show others beside it.

    Args:
        scale: What brings the log-mean luminance of that picture to middle grey.
        white: Its largest luminance, scaled; shown white. At least 1, where the operator is linear.

    References:
        Reinhard et al., "Photographic tone reproduction for digital images", SIGGRAPH 2002, eq. 1, 2 and 4.
    """

    scale: float
    white: float

    @classmethod
    def of(cls, truth: Float[Tensor, "3 h w"]) -> "GlobalToneMap":
        """The operator that suits a picture.

        Example:
            >>> GlobalToneMap.of(torch.zeros(3, 1, 1)).white
            1.0
        """
        light = luminance(truth)
        scale = _KEY / (light + LOG_OFFSET).log().mean().exp().item()
        return cls(scale, max(scale * light.max().item(), 1.0))

    def __call__(self, linear: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """Sensor exposure to display-referred values in [0, 1]."""
        scaled = self.scale * luminance(linear)
        compression = (1 + scaled / self.white**2) / (1 + scaled)
        return encode_srgb(self.scale * compression * linear)


def compose_panel(
    query: Shots, *, reconstructions: Mapping[str, Float[Tensor, "3 h w"]], title: str
) -> UInt8[np.ndarray, "height width 3"]:
    """Put a photograph, its reconstructions, the truth and the error of each reconstruction in a row.

    All sensor exposure is tone-mapped alike. A pixel's error is the root mean square over its channels in stops,
    floored as in ``log2_rmse``, on a scale that ends at ``MAX_ERROR_STOPS``.

    Args:
        query: One photograph ``(1, 3, H, W)`` with its true sensor exposure.
        reconstructions: Sensor exposure by heading.
        title: Printed below, with how to read the picture.

    Returns:
        8-bit codes of sRGB.

    Raises:
        ValueError: If the query is not one picture.
    """
    if len(query) != 1:
        raise ValueError(f"a panel shows one photograph, got {len(query)}")
    truth = query.exposure[0]
    show = GlobalToneMap.of(truth)
    tiles = {"photo": _codes(query.ldr[0])}
    tiles |= {heading: _codes(show(exposure)) for heading, exposure in reconstructions.items()}
    tiles["truth"] = _codes(show(truth))
    for heading, exposure in reconstructions.items():
        tiles[f"error, {heading.partition(':')[0]}"] = colour_errors(error_stops(exposure, truth))
    return _in_a_row(tiles, f"{title} · {_HOW_TO_READ}")


def encode_srgb(linear: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Clip linear light to [0, 1] and encode it for a screen.

    References:
        IEC 61966-2-1.

    Example:
        >>> encode_srgb(torch.tensor([0.0, 0.001, 0.18, 1.0, 9.0]))
        tensor([0.0000, 0.0129, 0.4614, 1.0000, 1.0000])
    """
    return radiometry.encode_srgb(linear.clamp(0, 1))


def error_stops(exposure: Float[Tensor, "3 h w"], truth: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
    """Error of each pixel in stops: ``log2_rmse`` of pictures of one pixel.

    Example:
        >>> error_stops(torch.full((3, 1, 2), 0.5), torch.tensor([0.5, 2.0]).expand(3, 1, 2))
        tensor([[0., 2.]])
    """
    pred, target = (picture.permute(1, 2, 0)[..., None, None] for picture in (exposure, truth))
    return log2_rmse(pred, target)


def colour_errors(stops: Float[Tensor, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """The magma colours of errors, black at 0 and pale at ``MAX_ERROR_STOPS`` and above."""
    levels = (stops / MAX_ERROR_STOPS).clamp(0, 1).mul(255).round().byte().numpy()
    return np.ascontiguousarray(cv2.applyColorMap(levels, cv2.COLORMAP_MAGMA)[..., ::-1])


def _codes(display: Float[Tensor, "3 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    return display.clamp(0, 1).mul(255).round().byte().movedim(0, -1).contiguous().numpy()


def _in_a_row(tiles: Mapping[str, UInt8[np.ndarray, "h w 3"]], foot: str) -> UInt8[np.ndarray, "height width 3"]:
    height, width = next(iter(tiles.values())).shape[:2]
    size = (_TILE_PX, max(round(_TILE_PX * height / width), 1))
    step = _TILE_PX + _GAP_PX
    whole = (_GAP_PX + len(tiles) * step + _BAR_PX, _HEAD_PX + size[1] + _FOOT_PX)
    picture = Image.new("RGB", whole, _PAPER)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(_TEXT_PX)
    for column, (heading, tile) in enumerate(tiles.items()):
        left = _GAP_PX + column * step
        # a box keeps the pixels of a small crop apart, and averages those of a large one
        picture.paste(Image.fromarray(tile).resize(size, Image.Resampling.BOX), (left, _HEAD_PX))
        draw.text((left, 4), heading, _INK, font)
    _draw_scale(picture, draw, at=_GAP_PX + len(tiles) * step, height=size[1])
    draw.text((_GAP_PX, _HEAD_PX + size[1] + 3), foot, _INK, font)
    return np.asarray(picture)


def _draw_scale(picture: Image.Image, draw: ImageDraw.ImageDraw, *, at: int, height: int) -> None:
    """The colours of 0 stops at the bottom to ``MAX_ERROR_STOPS`` at the top."""
    stops = torch.linspace(MAX_ERROR_STOPS, 0, height)[:, None].expand(height, 12)
    picture.paste(Image.fromarray(colour_errors(stops)), (at, _HEAD_PX))
    font = ImageFont.load_default(_TEXT_PX)
    draw.text((at, 4), "stops", _INK, font)
    for mark, anchor in ((0, "ls"), (MAX_ERROR_STOPS / 2, "lm"), (MAX_ERROR_STOPS, "lt")):
        low = _HEAD_PX + round(height * (1 - mark / MAX_ERROR_STOPS))
        draw.text((at + 16, low), f"{mark:g}" + "+" * (mark == MAX_ERROR_STOPS), _INK, font, anchor)
