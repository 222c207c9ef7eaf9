"""Network that looks at a small picture of the whole, and answers with distributions for cells of 2 x 2 pixels."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.backbones.highlights.distribution import Excess
from ldr2hdr.backbones.highlights.grids import larger

DARKEST_STOPS: Final = -10.0
"""Level below which a pixel is dark: an 8-bit picture has no tones there."""
_BRIGHTEST_STOPS: Final = 0.5
_LEAST_SCALE: Final = 0.05
_NUM_PLANES: Final = 17
_NUM_TONES: Final = 8
_NUM_STATISTICS: Final = 3 * _NUM_TONES + 14 + 4
# Rows of the head: location, up, down of three channels, where all clip and then where some do. It starts at about what
# a clipped channel lost on average.
_START: Final = [1.2] * 3 + [0.0] * 3 + [-0.5] * 3 + [0.2] * 3 + [-1.0] * 6


class Small(NamedTuple):
    """Whole pictures at the working size: means over its pixels.

    Attributes:
        levels: Of the photograph, 0 to 1.
        stops: Log2 of the linearised photograph over white.
        clipped: Share of each channel that is clipped.
        full: Share of pixels whose channels are all clipped.
    """

    levels: Float[Tensor, "b 3 h w"]
    stops: Float[Tensor, "b 3 h w"]
    clipped: Float[Tensor, "b 3 h w"]
    full: Float[Tensor, "b 1 h w"]


class Pair(NamedTuple):
    """Two distributions per cell: where all three channels clip, and where others bound the answer."""

    full: Excess
    part: Excess


class HighlightNet(nn.Module):
    """U-Net of a scale per width behind a stem of stride 2, modulated by statistics of the whole picture.

    Args:
        widths: Features at each scale, from half the working size down.
        code_size: Features of the code that the whole picture's statistics become.

    References:
        Ronneberger, Fischer, Brox, "U-Net", MICCAI 2015. Perez et al., "FiLM", AAAI 2018, for the modulation.
    """

    def __init__(self, widths: Sequence[int], code_size: int) -> None:
        super().__init__()
        self.multiple = 2 ** len(widths)
        self.code = nn.Sequential(
            nn.Linear(_NUM_STATISTICS, code_size), nn.SiLU(), nn.Linear(code_size, code_size), nn.SiLU()
        )
        self.stem = nn.Conv2d(_NUM_PLANES, widths[0], 3, stride=2, padding=1)
        steps = [(widths[0], widths[0]), *pairwise(widths)]
        self.down = nn.ModuleList(_Block(fine, coarse, code_size) for fine, coarse in steps)
        self.middle = _Block(widths[-1], widths[-1], code_size)
        self.up = nn.ModuleList(_Block(fine + coarse, fine, code_size) for fine, coarse in reversed(steps[1:]))
        self.norm = _Gain(widths[0])
        self.head = nn.Conv2d(widths[0], len(_START), 3, padding=1)
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            torch.as_tensor(self.head.bias).copy_(torch.tensor(_START))

    def forward(self, small: Small) -> Pair:
        """Answer for whole pictures whose sides are even; the answer has half of them."""
        height, width = small.levels.shape[2:]
        planes, valid = self._assemble(small)
        code = self.code(_statistics(planes, valid))
        features = self.stem(torch.cat([planes, valid], dim=1))
        skips: list[Tensor] = []
        for block in self.down:
            features = block(F.avg_pool2d(features, 2) if skips else features, code)
            skips.append(features)
        features = self.middle(features, code)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            coarse = F.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
            features = block(torch.cat([coarse, skip], dim=1), code)
        full, part = self.head(F.silu(self.norm(features)))[:, :, : height // 2, : width // 2].chunk(2, dim=1)
        return Pair(_distribution(full), _distribution(part))

    def _assemble(self, small: Small) -> tuple[Float[Tensor, "b 16 H W"], Float[Tensor, "b 1 H W"]]:
        """Return what the network sees, padded to its multiple, and where that is picture."""
        height, width = small.levels.shape[2:]
        padding = (0, -width % self.multiple, 0, -height % self.multiple)
        levels, stops, clipped, full = (F.pad(plane, padding) for plane in small)
        row, column = (F.pad(plane, padding) for plane in _positions(small.levels))
        valid = F.pad(torch.ones_like(small.full), padding)
        stops = stops.clamp(DARKEST_STOPS, _BRIGHTEST_STOPS)
        some = clipped.amax(dim=1, keepdim=True) - full
        hue = _hue_bound(stops, clipped) * clipped
        return torch.cat([2 * levels - 1, stops / 4, clipped, full, some, hue, row, column], dim=1) * valid, valid


class _Gain(nn.Module):
    """Scale every pixel's features to unit mean square, then by a learned gain."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return features * torch.rsqrt(features.square().mean(dim=1, keepdim=True) + 1e-6) * self.gain


class _Block(nn.Module):
    """Residual block of two convolutions; the code of the whole picture scales and shifts in between."""

    def __init__(self, channels_in: int, channels_out: int, code_size: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.norm1, self.norm2 = _Gain(channels_in), _Gain(channels_out)
        self.film = nn.Linear(code_size, 2 * channels_out)
        self.skip = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()
        for layer in (self.film, self.second):  # a fresh block is its skip
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(torch.as_tensor(layer.bias))

    def forward(self, features: Float[Tensor, "b c h w"], code: Float[Tensor, "b k"]) -> Float[Tensor, "b d h w"]:
        scale, shift = self.film(code)[..., None, None].chunk(2, dim=1)
        inner = self.norm2(self.first(F.silu(self.norm1(features))))
        exposed: Tensor = self.skip(features) + self.second(F.silu(inner * (1 + scale) + shift))
        return exposed


def _distribution(rows: Float[Tensor, "b 9 h w"]) -> Excess:
    location, up, down = rows.chunk(3, dim=1)
    return Excess(location, _LEAST_SCALE + F.softplus(up), _LEAST_SCALE + F.softplus(down))


def _positions(like: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b 1 h w"], Float[Tensor, "b 1 h w"]]:
    """Return how far down, and how far from the middle column, in halves of the longer side."""
    batch, _, height, width = like.shape
    longer = larger(height, width)
    row = torch.linspace(-1, 1, height, dtype=like.dtype, device=like.device) * (height / longer)
    column = torch.linspace(-1, 1, width, dtype=like.dtype, device=like.device).abs() * (width / longer)
    shape = (batch, 1, height, width)
    return row[None, None, :, None].expand(shape), column[None, None, None, :].expand(shape)


def _statistics(planes: Float[Tensor, "b 16 h w"], valid: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b s"]:
    """Describe whole pictures: histograms of brightness before and after the response stage, means and shares."""
    area = valid.mean(dim=(2, 3)).clamp_min(1e-6)
    means = (planes * valid).mean(dim=(2, 3)) / area
    grey = planes[:, :3].mean(dim=1, keepdim=True)
    stops = 4 * planes[:, 3:6].mean(dim=1, keepdim=True)
    brightest = 4 * planes[:, 3:6].amax(dim=1, keepdim=True)
    histograms = [
        _histogram(grey, valid, -1.0, 1.0),
        _histogram(stops, valid, -8.0, 0.0),
        _histogram(brightest, valid, -8.0, 0.0),
    ]
    curve = (grey * stops * valid).mean(dim=(2, 3)) / area
    middle = (stops * valid).mean(dim=(2, 3), keepdim=True) / area[..., None, None]
    contrast = torch.sqrt(((stops - middle).square() * valid).mean(dim=(2, 3)) / area + 1e-4)
    shares = torch.log(means[:, 9:11] + 0.003) / 3
    return torch.cat([*histograms, means[:, :14], curve, contrast, shares], dim=1)


def _histogram(
    values: Float[Tensor, "b 1 h w"], valid: Float[Tensor, "b 1 h w"], low: float, high: float
) -> Float[Tensor, "b t"]:
    """Return the shares of pixels near equally spaced values."""
    centres = torch.linspace(low, high, _NUM_TONES, dtype=values.dtype, device=values.device)[:, None, None]
    step = (high - low) / (_NUM_TONES - 1)
    near = torch.exp(-((values - centres) / step).square()) * valid
    return near.mean(dim=(2, 3)) / valid.mean(dim=(2, 3)).clamp_min(1e-6)


def _hue_bound(stops: Float[Tensor, "b 3 h w"], clipped: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Bound clipped channels by the others: stops over white of a surface of the hue that is around it.

    For a channel and each other one: the mean of the ratio of the two around the pixel, weighted by brightness and by
    how little either clips there, times the other one here, weighted by how little that clips. 0 where all clip.
    """
    free = (1 - clipped).clamp_min(0).square()
    bounds = []
    for channel in range(3):
        total, weight = torch.zeros_like(stops[:, :1]), torch.zeros_like(stops[:, :1])
        own, is_free = stops[:, channel : channel + 1], free[:, channel : channel + 1]
        for other in (index for index in range(3) if index != channel):
            here, known = stops[:, other : other + 1], free[:, other : other + 1]
            near = is_free * known * torch.exp2(here.clamp(-6, 0)) + 1e-6
            ratio = _blur(near * (own - here)) / _blur(near)
            total, weight = total + known * (ratio + here), weight + known
        bounds.append((total / weight.clamp_min(0.5)).clamp(0, 3))
    return torch.cat(bounds, dim=1)


def _blur(plane: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    return F.avg_pool2d(F.avg_pool2d(plane, 7, 1, 3), 7, 1, 3)
