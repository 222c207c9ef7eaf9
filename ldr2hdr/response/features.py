"""What the local response stage looks at in a picture: functions of the LDR alone, bounded, any size."""

import math
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

# Knots are equally spaced in log(level + toe): the toe is about four 8-bit levels, below which noise and rounding rule.
TOE_LEVEL: Final = 4 / 255
# At and above this level a channel stands for all the light that clipped.
WHITE_LEVEL: Final = 254 / 255
# Local means are taken over this many cells a side, so that their reach is a share of the picture.
_GRIDS: Final = (3, 6, 16)
# Where all three channels clipped they stay equal, whatever local tone mapping makes of them: this near (JPEG rings),
# and this bright, a pixel counts as such.
_NEUTRAL_SPREAD: Final = 10 / 255
_NEUTRAL_TONE: Final = 0.75
NUM_LOCAL: Final = len(_GRIDS) + 4
NUM_WHITE: Final = 2 * len(_GRIDS) + 6


class Features(NamedTuple):
    """Features of pictures, each ``(B, 3, H, W)``.

    Attributes:
        tone: Logarithm of the level, 0 at black and 1 at white.
        is_white: 1 where the channel is white, else 0.
        local: Mean tone around the pixel at three reaches, squared radius, tone of the two other channels over own,
            and how much the pixel looks as if all three had clipped.
        white: One, mean tone around the pixel, share of white around it, whether each of the others is white and its
            tone if it is not, and whether all are.
    """

    tone: Float[Tensor, "b 3 h w"]
    is_white: Float[Tensor, "b 3 h w"]
    local: tuple[Float[Tensor, "b 3 h w"], ...]
    white: tuple[Float[Tensor, "b 3 h w"], ...]


def extract_features(ldr: Float[Tensor, "b 3 h w"]) -> Features:
    """Compute the features of pictures in [0, 1]."""
    tone = level_to_tone(ldr)
    is_white = (ldr >= WHITE_LEVEL).to(ldr.dtype)
    grey = tone.mean(dim=1, keepdim=True)
    brightness = [local_mean(grey, cells).expand_as(tone) - 0.5 for cells in _GRIDS]
    whiteness = [local_mean(is_white, cells) for cells in _GRIDS]
    others = [(tone.roll(shift, dims=1), is_white.roll(shift, dims=1)) for shift in (-1, 1)]
    local = (*brightness, _squared_radius(ldr), *(other - tone for other, _ in others), _neutral_white(ldr))
    beside = [part for other, white in others for part in (white, (1 - white) * (other - 1))]
    beside.append(is_white.amin(dim=1, keepdim=True).expand_as(tone))
    return Features(tone, is_white, local, (torch.ones_like(tone), *brightness, *whiteness, *beside))


def level_to_tone(ldr: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Logarithm of a level, 0 at black and 1 at white.

    Example:
        >>> level_to_tone(torch.tensor([0.0, 1.0]))
        tensor([0., 1.])
    """
    return torch.log1p(ldr / TOE_LEVEL) / math.log1p(1 / TOE_LEVEL)


def tone_to_level(tone: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Inverse of `level_to_tone`."""
    return torch.expm1(tone * math.log1p(1 / TOE_LEVEL)) * TOE_LEVEL


def hats(tone: Float[Tensor, "b 3 h w"], num_knots: int) -> list[Float[Tensor, "b 3 h w"]]:
    """Linear interpolation weights of equally spaced knots; they sum to 1."""
    position = tone * (num_knots - 1)
    return [(1 - (position - knot).abs()).clamp_min(0) for knot in range(num_knots)]


def local_mean(field: Float[Tensor, "b c h w"], cells: int) -> Float[Tensor, "b c h w"]:
    """Mean over a grid of cells, interpolated between their centres; a constant stays what it is."""
    height, width = field.shape[-2:]
    coarse = F.adaptive_avg_pool2d(field, (min(cells, height), min(cells, width)))
    return F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)


class Fold(NamedTuple):
    """Part of some pictures: which ones, and which columns of theirs."""

    pictures: slice
    columns: slice


def split_folds(pictures: Float[Tensor, "k 3 h w"]) -> list[Fold]:
    """One fold per picture; a single picture gives its left and its right half."""
    if len(pictures) > 1:
        return [Fold(slice(index, index + 1), slice(None)) for index in range(len(pictures))]
    half = pictures.shape[3] // 2
    return [Fold(slice(None), slice(0, half)), Fold(slice(None), slice(half, None))]


def _neutral_white(ldr: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """How much a pixel looks as if all three channels had clipped: bright, and equal in all of them."""
    darkest, brightest = ldr.amin(dim=1, keepdim=True), ldr.amax(dim=1, keepdim=True)
    equality = F.relu(1 - (brightest - darkest) / _NEUTRAL_SPREAD)
    return (equality * F.relu(level_to_tone(darkest) - _NEUTRAL_TONE) / (1 - _NEUTRAL_TONE)).expand_as(ldr)


def _squared_radius(ldr: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Squared distance from the centre, 1 in the corners, minus its mean over the picture."""
    height, width = ldr.shape[-2:]
    row = torch.linspace(-1, 1, height, dtype=ldr.dtype, device=ldr.device)[:, None]
    column = torch.linspace(-1, 1, width, dtype=ldr.dtype, device=ldr.device)
    return ((row.square() + column.square()) / 2 - 1 / 3).expand_as(ldr)
