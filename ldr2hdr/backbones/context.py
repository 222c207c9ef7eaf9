"""Features of every pixel in the light of the whole picture, for a last layer that is solved for."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.backbones.base import AbstractHeadedBackbone
from ldr2hdr.backbones.blocks import LogHead, conv_block, pad_to_multiple
from ldr2hdr.layers.resampling import UpsampleConcat
from ldr2hdr.radiometry import CLIPPED_LEVEL, LOG_OFFSET

# Standard deviations of blurs, as shares of the picture's longer side
_TONE_REACHES: Final = (0.04, 0.12, 0.3)
_GLARE_REACHES: Final = (0.02, 0.08, 0.25)
_WHITE_REACH: Final = 0.12
_DISPLAY_GAMMA: Final = 2.2
_NUM_SHARED: Final = 1 + len(_TONE_REACHES) + len(_GLARE_REACHES) + 1
_NUM_BY_CHANNEL: Final = 5
NUM_GIVEN: Final = _NUM_SHARED + 3 * _NUM_BY_CHANNEL
_BOUND: Final = 5.0


class ContextFeatures(AbstractHeadedBackbone):
    """Features that are given, and features learned from them and from the whole picture at low resolution.

    Given are what a camera multiplies by, as logarithms: vignetting (squared radius), local tone mapping (mean tone
    around), glare (light around over light here), colour and curve (tone of each channel and its square, how far the
    display gamma would be from the response stage), white. A U-Net sees the picture at a fixed size, whatever its
    own, and two layers look at each pixel with what it found there.

    Args:
        widths: Features of the U-Net at each resolution.
        num_learned: Learned features.
        hidden: Features of the layers that look at single pixels.
        context_px: Longer side of the picture that the U-Net sees.
        norm: ``pixel``, ``group`` or ``none``; see ``blocks.norm_layer``.

    Raises:
        ValueError: If a number is not positive, or there are fewer than two widths.
    """

    multiple: int | None = None

    def __init__(
        self,
        widths: Sequence[int] = (16, 24, 32, 32),
        num_learned: int = 12,
        hidden: int = 32,
        context_px: int = 64,
        norm: str = "group",
    ) -> None:
        super().__init__()
        if len(widths) < 2 or min(*widths, num_learned, hidden, context_px) < 1:
            raise ValueError(
                "backbone.widths needs at least two positive numbers, backbone.num_learned, backbone.hidden and "
                f"backbone.context_px must be positive, got {list(widths)}, {num_learned}, {hidden} and {context_px}"
            )
        self.context_px = context_px
        inputs = NUM_GIVEN + 3
        self.stem = nn.Conv2d(inputs, widths[0], 4, stride=2, padding=1)
        self.first = conv_block(widths[0], widths[0], norm=norm)
        self.down = nn.ModuleList(conv_block(fine, coarse, norm=norm) for fine, coarse in pairwise(widths))
        self.up = nn.ModuleList(conv_block(fine + coarse, fine, norm=norm) for fine, coarse in pairwise(widths))
        self.join = UpsampleConcat()
        self.pixel = nn.Sequential(
            nn.Conv2d(inputs + widths[0], hidden, 1), nn.SiLU(), nn.Conv2d(hidden, hidden, 1), nn.SiLU(),
            nn.Conv2d(hidden, num_learned, 1),
        )  # fmt: skip
        self.head = LogHead(NUM_GIVEN + num_learned)

    def features(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """Compute the features that the head looks at; arguments as for ``forward``."""
        given = _given_features(ldr, linear, _small_size(ldr, self.context_px))
        inputs = torch.cat([2 * ldr - 1, given], dim=1)
        learned = self.pixel(torch.cat([inputs, self._context(inputs)], dim=1))
        return torch.cat([learned / (1 + learned.abs() / _BOUND), given], dim=1)

    def _context(self, inputs: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Look at the picture at low resolution."""
        size = _small_size(inputs, self.context_px)
        multiple = 2 ** (len(self.down) + 1)
        seen = pad_to_multiple(_shrink(inputs, size), multiple)
        found = self.first(F.silu(self.stem(seen)))
        skips = []
        for block in self.down:
            skips.append(found)
            found = block(F.avg_pool2d(found, 2))
        for block in reversed(self.up):
            found = block(self.join(skips.pop(), found))
        context = _resize(found, (seen.shape[2], seen.shape[3]))[..., : size[0], : size[1]]
        return _resize(context, (inputs.shape[2], inputs.shape[3]))


def _given_features(
    ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"], size: tuple[int, int]
) -> Float[Tensor, "b c h w"]:
    """Compute logarithms of what cameras multiply light by; all about as large as 1."""
    log_light = torch.log(linear + LOG_OFFSET)
    tone = 2 * log_light / math.log(1 / LOG_OFFSET) + 1
    grey, light = tone.mean(dim=1, keepdim=True), linear.mean(dim=1, keepdim=True)
    white = ((ldr - CLIPPED_LEVEL / 255) * 255 / 4).clamp(0, 1)
    small = _shrink(torch.cat([grey, light, white], dim=1), size)
    full = (ldr.shape[2], ldr.shape[3])
    around = [_resize(_blur(small[:, :1], reach), full) for reach in _TONE_REACHES]
    lit = [_resize(_blur(small[:, 1:2], reach), full) for reach in _GLARE_REACHES]
    glare = [torch.log((here + LOG_OFFSET) / (light + LOG_OFFSET)) / 2 for here in lit]
    white_around = _resize(_blur(small[:, 2:], _WHITE_REACH), full)
    to_display_gamma = torch.log(ldr.pow(_DISPLAY_GAMMA) + LOG_OFFSET) - log_light
    shared = [_squared_radius(ldr), *around, *glare, white.amin(dim=1, keepdim=True)]
    return torch.cat([*shared, tone, tone.square() - 1 / 3, to_display_gamma, white, white * white_around], dim=1)


def _squared_radius(like: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Compute twice the squared distance from the centre, 1 in the corners, less a third."""
    sides = like.shape[2:]
    row, column = (
        torch.linspace(-1, 1, side, dtype=like.dtype, device=like.device) * side / math.hypot(*sides) for side in sides
    )
    return (2 * (row[:, None].square() + column.square() - 1 / 3)).expand(len(like), 1, *sides)


def _small_size(picture: Tensor, longer_px: int) -> tuple[int, int]:
    height, width = picture.shape[-2:]
    scale = min(1.0, longer_px / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _shrink(picture: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c _ _"]:
    return picture if picture.shape[2:] == size else F.adaptive_avg_pool2d(picture, size)


def _resize(picture: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c _ _"]:
    return picture if picture.shape[2:] == size else F.interpolate(picture, size=size, mode="bilinear")


def _blur(picture: Float[Tensor, "b c h w"], reach: float) -> Float[Tensor, "b c h w"]:
    """Blur by a Gaussian, its weights renormalised at the borders."""
    sigma_px = reach * max(picture.shape[2:])
    rows, columns = (
        torch.softmax(-0.5 * ((at[:, None] - at) / sigma_px) ** 2, dim=1)
        for at in (torch.arange(side, dtype=picture.dtype, device=picture.device) for side in picture.shape[2:])
    )
    return rows @ picture @ columns.mT
