"""Features of a picture for the local response stage: functions of the LDR alone, bounded, any size."""

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.radiometry import CLIPPED_LEVEL
from ldr2hdr.tasks import WHOLE, Window

# Knots are equally spaced in log(level + toe): the toe is about four 8-bit levels, below which noise and rounding rule.
TOE_LEVEL: Final = 4 / 255
# At and above this level a channel stands for all the light that clipped.
WHITE_LEVEL: Final = 254 / 255
# From here to there it does so more and more: JPEG rings around white by a few levels, and a step would show.
_NEAR_WHITE_LEVEL: Final = CLIPPED_LEVEL / 255
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
        whiteness: 1 where the channel is white, 0 where it is not, and a ramp just below white.
        local: Mean tone around the pixel at three reaches, squared radius, tone of the two other channels over own,
            and how much the pixel looks as if all three had clipped.
        white: One, mean tone around the pixel, share of white around it, whether each of the others is white and its
            tone if it is not, and whether all are.
    """

    tone: Float[Tensor, "b 3 h w"]
    whiteness: Float[Tensor, "b 3 h w"]
    local: tuple[Float[Tensor, "b 3 h w"], ...]
    white: tuple[Float[Tensor, "b 3 h w"], ...]


class Surroundings(NamedTuple):
    """Means of whole pictures, on which the features of a pixel depend however small a part is looked at.

    Attributes:
        height: Of the whole picture, in pixels.
        width: Of the whole picture, in pixels.
        means: For each grid, means over its cells of the grey tone and of where each channel is white.
    """

    height: int
    width: int
    means: tuple[Float[Tensor, "b 4 _ _"], ...]


def surroundings_of(strips: Iterable[Float[Tensor, "b 3 _ w"]], size: tuple[int, int]) -> Surroundings:
    """Look through pictures once, strip by strip.

    Args:
        strips: The pictures in [0, 1], in rows from top to bottom; together they are the whole.
        size: Height and width of the whole.
    """
    height, width = size
    totals: list[Tensor | float] = [0.0] * len(_GRIDS)
    top = 0
    for strip in strips:
        fields = _fields(*_tone_and_white(strip))
        rows = slice(top, top + strip.shape[2])
        for index, cells in enumerate(_GRIDS):
            over_columns = fields @ _cell_weights(width, cells, like=strip).T
            totals[index] = totals[index] + _cell_weights(height, cells, like=strip)[:, rows] @ over_columns
        top = rows.stop
    return Surroundings(height, width, tuple(torch.as_tensor(total) for total in totals))


def extract_features(
    ldr: Float[Tensor, "b 3 h w"], surroundings: Surroundings | None = None, *, window: Window = WHOLE
) -> Features:
    """Compute the features of pictures in [0, 1], or of a part of them.

    Args:
        ldr: The pictures, or the part.
        surroundings: Of the whole pictures; None if they are given whole.
        window: Where in the pictures the part lies.
    """
    tone, whiteness = _tone_and_white(ldr)
    if surroundings is None:
        whole = Surroundings(ldr.shape[2], ldr.shape[3], ())
        around = [local_mean(_fields(tone, whiteness), cells) for cells in _GRIDS]
    else:
        whole = surroundings
        around = [_spread(means, whole, window) for means in whole.means]
    brightness = [mean[:, :1].expand_as(tone) - 0.5 for mean in around]
    white_around = [mean[:, 1:] for mean in around]
    others = [(tone.roll(shift, dims=1), whiteness.roll(shift, dims=1)) for shift in (-1, 1)]
    radius = _squared_radius(whole, window, like=tone)
    local = (*brightness, radius, *(other - tone for other, _ in others), _neutral_white(ldr))
    beside = [part for other, white in others for part in (white, (1 - white) * (other - 1))]
    beside.append(whiteness.amin(dim=1, keepdim=True).expand_as(tone))
    return Features(tone, whiteness, local, (torch.ones_like(tone), *brightness, *white_around, *beside))


def level_to_tone(ldr: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Take the logarithm of a level, 0 at black and 1 at white.

    Example:
        >>> level_to_tone(torch.tensor([0.0, 1.0]))
        tensor([0., 1.])
    """
    return torch.log1p(ldr / TOE_LEVEL) / math.log1p(1 / TOE_LEVEL)


def tone_to_level(tone: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Invert `level_to_tone`."""
    return torch.expm1(tone * math.log1p(1 / TOE_LEVEL)) * TOE_LEVEL


def hats(position: Float[Tensor, "*s"], num_knots: int) -> Float[Tensor, "*s j"]:
    """Compute linear interpolation weights of knots at 0, 1, 2 and so on; between the first and the last they sum to 1.

    Example:
        >>> hats(torch.tensor([0.25]), 3)
        tensor([[0.7500, 0.2500, 0.0000]])
    """
    knots = torch.arange(num_knots, dtype=position.dtype, device=position.device)
    return (1 - (position[..., None] - knots).abs()).clamp_min(0)


def interpolate(tone: Float[Tensor, "3 n"], curve: Float[Tensor, "3 j"]) -> Float[Tensor, "3 n"]:
    """Evaluate curves at tones, linear between equally spaced knots.

    The derivative of a look-up adds up in no fixed order on a GPU. There, where one is wanted, it is the product with
    the interpolation weights instead, which takes more memory and, on a CPU, several times as long.
    """
    position = tone * (curve.shape[1] - 1)
    if torch.is_grad_enabled() and tone.device.type != "cpu":
        return (hats(position, curve.shape[1]) @ curve[..., None])[..., 0]
    knot = position.long().clamp(0, curve.shape[1] - 2)
    return torch.lerp(curve.gather(1, knot), curve.gather(1, knot + 1), position - knot)


def local_mean(field: Float[Tensor, "b c h w"], cells: int) -> Float[Tensor, "b c h w"]:
    """Average over a grid of cells, interpolated between their centres; a constant stays what it is."""
    height, width = field.shape[-2:]
    coarse = F.adaptive_avg_pool2d(field, (min(cells, height), min(cells, width)))
    return F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)


class Fold(NamedTuple):
    """Part of some pictures: which ones, and which columns of theirs."""

    pictures: slice
    columns: slice


def split_folds(pictures: Float[Tensor, "k 3 h w"]) -> list[Fold]:
    """Make one fold of each picture; of a single picture, its left and its right half."""
    if len(pictures) > 1:
        return [Fold(slice(index, index + 1), slice(None)) for index in range(len(pictures))]
    half = pictures.shape[3] // 2
    return [Fold(slice(None), slice(0, half)), Fold(slice(None), slice(half, None))]


def _neutral_white(ldr: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Measure how much a pixel looks as if all three channels had clipped: bright, and equal in all of them."""
    darkest, brightest = ldr.amin(dim=1, keepdim=True), ldr.amax(dim=1, keepdim=True)
    equality = F.relu(1 - (brightest - darkest) / _NEUTRAL_SPREAD)
    return (equality * F.relu(level_to_tone(darkest) - _NEUTRAL_TONE) / (1 - _NEUTRAL_TONE)).expand_as(ldr)


def _squared_radius(whole: Surroundings, window: Window, *, like: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Compute the squared distance from the centre, 1 in the corners, minus its mean over the picture."""
    row, column = (
        torch.linspace(-1, 1, length, dtype=like.dtype, device=like.device)[part]
        for length, part in zip((whole.height, whole.width), window, strict=True)
    )
    return ((row[:, None].square() + column.square()) / 2 - 1 / 3).expand_as(like)


def _tone_and_white(ldr: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 3 h w"]]:
    return level_to_tone(ldr), ((ldr - _NEAR_WHITE_LEVEL) / (WHITE_LEVEL - _NEAR_WHITE_LEVEL)).clamp(0, 1)


def _fields(tone: Float[Tensor, "b 3 h w"], whiteness: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 4 h w"]:
    """Stack what local means are taken of."""
    return torch.cat([tone.mean(dim=1, keepdim=True), whiteness], dim=1)


def _cell_weights(length: int, cells: int, *, like: Tensor) -> Float[Tensor, "n length"]:
    """Build the matrix of means over the cells of a side; neighbours share a pixel where they do not divide it."""
    count = min(cells, length)
    cell, position = (torch.arange(size, device=like.device) for size in (count, length))
    cell = cell[:, None]
    first, last = cell * length // count, ((cell + 1) * length - 1) // count
    is_inside = (position >= first) & (position <= last)
    return (is_inside.double() / (last - first + 1)).to(like)


def _spread(means: Float[Tensor, "b c n m"], whole: Surroundings, window: Window) -> Float[Tensor, "b c h w"]:
    """Interpolate linearly between the centres of the cells, and constantly outside."""
    height, width = (
        _centre_weights(length, count, part, like=means)
        for length, count, part in zip((whole.height, whole.width), means.shape[2:], window, strict=True)
    )
    return height @ means @ width.T


def _centre_weights(length: int, count: int, part: slice, *, like: Tensor) -> Float[Tensor, "part n"]:
    """Build the matrix that interpolates between the centres of the cells of a side, at some of its pixels."""
    pixel = torch.arange(length, dtype=torch.float64, device=like.device)[part]
    return hats(((pixel + 0.5) * count / length - 0.5).clamp(0, count - 1), count).to(like)
