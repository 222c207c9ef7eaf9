"""Backbone that gives clipped channels the light they lost, and leaves every other one as it is."""

import copy
import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.backbones.base import AbstractBackbone, PreparedT, Strip
from ldr2hdr.backbones.highlights.distribution import Answer, Excess, Statistic, require_statistic
from ldr2hdr.backbones.highlights.grids import blocks, cell_means, larger, smaller, spread_out
from ldr2hdr.backbones.highlights.network import DARKEST_STOPS, HighlightNet, Pair, Small
from ldr2hdr.backbones.locality import Locality
from ldr2hdr.radiometry import CLIPPED_LEVEL
from ldr2hdr.tasks import Window

# Levels where a channel begins to count as clipped, and where it counts in full. Below the first nothing changes.
_RAMP: Final = (247.0, 254.0)
# The light above white enters where a channel is past the first, by the larger of two: how much of what is bright
# around, by the second, is clipped, which is all in a lamp of few pixels with a hard edge; and how much is clipped
# wherever one looks next to it, which is all within an area, and nothing along its edge, so that no level shows there.
_GATE: Final = (247.0, 250.0)
_BRIGHT: Final = (100.0, 250.0)
# Clipped share of what is bright around where it begins to enter.
_BEGIN: Final = 0.5
# The guide is this much finer than the working size, if the photograph is: 768 pixels on its longer side for 128.
# Clipped areas rise over two or three of its cells, whatever the photograph's size, as real ones do.
_GUIDE: Final = 6
_BLOCK_PX: Final = 512
_LEAST_SHARE: Final = 1e-3
# Farther from the typical exposure no photograph was measured.
_MOST_OVER_STOPS: Final = 6.0
BackboneT = TypeVar("BackboneT", bound="AbstractHighlightBackbone[Any]")


class AbstractHighlightBackbone(AbstractBackbone[PreparedT]):
    """Backbone that knows a distribution of what clipped channels lost.

    Attributes:
        statistic: Number of that distribution which the reconstruction shows.
    """

    statistic: Statistic

    def reporting(self: BackboneT, statistic: Statistic) -> BackboneT:
        """Return a backbone of the same parameters that shows another number of its distribution.

        Raises:
            ValueError: If there is no such number.
        """
        other = copy.copy(self)
        other.statistic = require_statistic(statistic)
        return other

    def taken_at(self: BackboneT, ev: float) -> BackboneT:
        """Return a backbone of the same parameters for photographs of this exposure; itself if all are alike to it.

        Args:
            ev: ``t / N**2 * ISO / 100`` in stops: the less, the brighter is what it shows as white.
        """
        return self

    @abstractmethod
    def distribution(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Excess:
        """Return the distribution of log2 exposure over white in every channel, where that is clipped.

        Args:
            ldr: Whole pictures in [0, 1].
            linear: The same linearised.
        """

    @abstractmethod
    def spread(self, ldr: Float[Tensor, "b 3 h w"], *, prepared: PreparedT, window: Window) -> Float[Tensor, "b 3 h w"]:
        """Return the standard deviation to expect of what was added in a part of pictures, in stops; 0 for nothing.

        Args:
            ldr: The part, in [0, 1].
            prepared: What ``prepare`` made of the whole pictures.
            window: Rows and columns of the part in the whole.
        """


class Looked(NamedTuple):
    """Whole pictures after a look at them.

    Attributes:
        size: Height and width, in pixels.
        pair: Distributions per cell.
        weights: Per cell, the share of pixels that are clipped in full, and in part; never quite 0.
        guide: How far the light enters at each of the guide's cells, per channel.
        full: Soft share of pixels around each of the guide's cells whose channels are all clipped.
    """

    size: tuple[int, int]
    pair: Pair
    weights: tuple[Float[Tensor, "b 3 n m"], Float[Tensor, "b 3 n m"]]
    guide: Float[Tensor, "b 3 gh gw"]
    full: Float[Tensor, "b 1 gh gw"]


class Highlights(AbstractHighlightBackbone[Looked]):
    """Look at the whole picture at a fixed size, and lift what is clipped by what is likely there.

    The network sees means over the working size's pixels, and answers for cells of two by two of them. Cells are joined
    by their shares of clipped pixels, so that nothing comes from where nothing is clipped. The result enters a pixel
    by its own level and by how much is clipped around it: at level 247 and below, a channel stays as it is to the bit.

    Args:
        work_px: Longer side of what the network looks at.
        widths: Features at each scale of the network.
        code_size: Features of what it makes of the whole picture's statistics.
        statistic: Number of the distribution to show: ``median``, ``mean``, or a quantile.
        calibration: Factors on the scales where all channels clip, and where some do, by which the inner 68 % hold 68 %
            of held-out pixels.
        gain: What a stop of the network's answer counts where all channels clip, and where some do. Real photographs
            lose light that views of panoramas do not tell of: there an answer near a constant has less error.
        offset_stops: What is added to it, likewise.
        stops_per_ev: What is added besides, likewise, for each stop of absolute exposure above ``typical_ev``, see
            ``taken_at``: white is dark in a dim room, and lamps and windows are as bright there as elsewhere.
        typical_ev: Exposure at which nothing is added, and of photographs that do not say theirs: 1/5 s at f/5.6.
        clipped_level_stops: What the response stage makes of level 250, in stops over its white; below 0 where it has
            its white at level 255.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        work_px: int = 128,
        widths: Sequence[int] = (16, 32, 48, 64, 96),
        code_size: int = 64,
        statistic: Statistic = "median",
        calibration: Sequence[float] = (1.0, 1.0),
        gain: Sequence[float] = (1.0, 1.0),
        offset_stops: Sequence[float] = (0.0, 0.0),
        stops_per_ev: Sequence[float] = (0.0, 0.0),
        typical_ev: float = -7.3,
        clipped_level_stops: float = 0.0,
    ) -> None:
        super().__init__()
        if work_px < 16 or len(widths) < 2 or min(*widths, code_size) < 1:
            raise ValueError(
                "backbone.work_px must be at least 16, backbone.widths two positive numbers or more, and "
                f"backbone.code_size positive, got {work_px}, {list(widths)} and {code_size}"
            )
        if len(calibration) != 2 or min(calibration) <= 0:
            raise ValueError(f"backbone.calibration must be two positive factors, got {list(calibration)}")
        if len(gain) != 2 or min(gain) < 0 or not len(offset_stops) == len(stops_per_ev) == 2:
            raise ValueError(
                "backbone.gain must be two numbers of at least 0, backbone.offset_stops and backbone.stops_per_ev two "
                f"numbers each, got {list(gain)}, {list(offset_stops)} and {list(stops_per_ev)}"
            )
        if not all(map(math.isfinite, (*offset_stops, *stops_per_ev, typical_ev))):
            raise ValueError(
                "backbone.offset_stops, backbone.stops_per_ev and backbone.typical_ev must be finite, got "
                f"{list(offset_stops)}, {list(stops_per_ev)} and {typical_ev}"
            )
        self.work_px = work_px
        self.statistic = require_statistic(statistic)
        self.calibration = tuple(calibration)
        self.gain, self.offset_stops = tuple(gain), tuple(offset_stops)
        self.stops_per_ev, self.typical_ev = tuple(stops_per_ev), typical_ev
        self._over_typical_ev = 0.0
        self.clipped_level_stops = clipped_level_stops
        self.net = HighlightNet(widths, code_size)

    def taken_at(self, ev: float) -> "Highlights":
        """Return the network that adds ``stops_per_ev``, over at most 6 stops; for the argument see the base."""
        other = copy.copy(self)
        other._over_typical_ev = min(max(ev - self.typical_ev, -_MOST_OVER_STOPS), _MOST_OVER_STOPS)
        return other

    def forward(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct sensor exposure: an `Answer`, of which a loss may ask more."""
        looked = self._look(ldr, linear)
        exposure = self.reconstruct(ldr, linear, prepared=looked, window=_all_of(looked.size))
        return Answer.of(exposure, clipped=_ramp(ldr, _RAMP), find_excess=partial(self._join, looked))

    def distribution(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Excess:
        """Return the distribution in every channel; arguments as for `AbstractHighlightBackbone`."""
        return self._join(self._look(ldr, linear))

    def locality(self) -> Locality:
        """Return that pictures may be cut anywhere: what is around a pixel comes by the guide."""
        return Locality(multiple=1, halo=0)

    def prepare(self, strips: Iterable[Strip], size: tuple[int, int]) -> Looked:
        """Shrink whole pictures, look at them, and keep a guide of what is clipped where."""
        working = self._working_size(size)
        finer = larger(1, smaller(_GUIDE, larger(*size) // self.work_px))
        cells = (working[0] * finer, working[1] * finer)
        means = self._means(strips, size, cells)
        # each of the working size's pixels is of whole cells of the guide, so that one reading makes both
        _, small = cell_means(means[:, :10], working, window=_all_of(cells), size=cells)
        seen = Small(small[:, :3], small[:, 3:6], small[:, 6:9], small[:, 9:10])
        full, part = F.avg_pool2d(seen.full, 2), F.avg_pool2d(seen.clipped - seen.full, 2)
        weights = full.expand(-1, 3, -1, -1) + _LEAST_SHARE, part.clamp_min(0) + _LEAST_SHARE
        around = _smooth(_smooth(means[:, 10:]))
        clipped, bright, choice = around[:, :3], around[:, 3:6], around[:, 6:]
        settings = zip(self.offset_stops, self.stops_per_ev, strict=True)
        offsets = [by + per_ev * self._over_typical_ev for by, per_ev in settings]
        pair = Pair(*map(Excess.moved, self.net(seen), self.gain, offsets))
        guide = torch.maximum(_least_around(means[:, 10:13]), _entering(clipped / (bright + _LEAST_SHARE)))
        return Looked(size, pair, weights, guide, choice)

    def reconstruct(
        self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"], *, prepared: Looked, window: Window
    ) -> Float[Tensor, "b 3 h w"]:
        """Lift what is clipped of a part of pictures; exact to its sides."""
        gate = _ramp(ldr, _GATE)
        if not (torch.is_grad_enabled() or torch.compiler.is_exporting() or bool(gate.any())):
            return linear
        mask = gate * spread_out(prepared.guide, window=window, size=prepared.size)
        full, part = (excess.statistic(self.statistic) for excess in prepared.pair)
        stops = _between(full, part, prepared, window).clamp_min(0)
        return linear * torch.exp2(mask * (stops + self.clipped_level_stops - _stops(linear)))

    def spread(self, ldr: Float[Tensor, "b 3 h w"], *, prepared: Looked, window: Window) -> Float[Tensor, "b 3 h w"]:
        """Return the calibrated half width of the distribution's inner 68 %, by the pixel's share of clipping."""
        full, part = (
            excess.widened(factor).spread() for excess, factor in zip(prepared.pair, self.calibration, strict=True)
        )
        return _ramp(ldr, _RAMP) * _between(full, part, prepared, window)

    def _look(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Looked:
        return self.prepare([Strip(ldr, linear)], (ldr.shape[2], ldr.shape[3]))

    def _working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return even numbers of rows and columns, nearest to the working size at the picture's shape."""
        twice = 2 * larger(*size)
        rows, columns = (2 * larger(1, (side * self.work_px + twice // 2) // twice) for side in size)
        return rows, columns

    def _means(
        self, strips: Iterable[Strip], size: tuple[int, int], cells: tuple[int, int]
    ) -> Float[Tensor, "b 17 n m"]:
        """Average what the network and the guide need over cells, reading the strips once."""
        means: Tensor | None = None
        top = 0
        for strip in strips:
            bottom = top + strip.ldr.shape[2]
            window = (slice(top, bottom), slice(0, size[1]))
            for rows, columns in [window] if torch.compiler.is_exporting() else blocks(window, _BLOCK_PX):
                within = (slice(rows.start - top, rows.stop - top), columns)
                stops = _stops(strip.linear[:, :, *within]) - self.clipped_level_stops
                planes = _planes(strip.ldr[:, :, *within], stops)
                if means is None:
                    means = planes.new_zeros(*planes.shape[:2], *cells)
                touched, added = cell_means(planes, cells, window=(rows, columns), size=size)
                means = _added(means, added, touched)
            top = bottom
        assert means is not None, "a picture has at least one strip"
        return means

    def _join(self, looked: Looked) -> Excess:
        """Bring the distributions to full size: locations, and logarithms of the scales, by the cells' weights."""
        full, part = ([pair.location, pair.up.log(), pair.down.log()] for pair in looked.pair)
        window = _all_of(looked.size)
        location, up, down = (_between(*both, looked, window) for both in zip(full, part, strict=True))
        return Excess(location + self.clipped_level_stops, up.exp(), down.exp())


def _all_of(size: tuple[int, int]) -> Window:
    return slice(0, size[0]), slice(0, size[1])


def _planes(ldr: Float[Tensor, "b 3 h w"], stops: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 17 h w"]:
    """Stack what is averaged: levels, stops, clipped channels and pixels, and softly clipped and bright channels."""
    clipped, soft = (torch.round(ldr * 255) >= CLIPPED_LEVEL).to(ldr.dtype), _ramp(ldr, _RAMP)
    full, soft_full = (plane.amin(dim=1, keepdim=True) for plane in (clipped, soft))
    return torch.cat([ldr, stops, clipped, full, soft, _ramp(ldr, _BRIGHT), soft_full], dim=1)


def _ramp(ldr: Float[Tensor, "b 3 h w"], levels: tuple[float, float]) -> Float[Tensor, "b 3 h w"]:
    """Return 0 at and below one level, 1 at and above another, and smoothly between."""
    low, high = levels
    # rounded to a hundredth of a level: 247/255 has no exact float, and must not count
    return _smoothstep(((torch.round(ldr * 25500) / 100 - low) / (high - low)).clamp(0, 1))


def _entering(share: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    return _smoothstep(((share - _BEGIN) / (1 - _BEGIN)).clamp(0, 1))


def _smoothstep(share: Tensor) -> Tensor:
    return share.square() * (3 - 2 * share)


def _stops(linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    return torch.log2(linear.clamp_min(2.0**DARKEST_STOPS))


def _added(means: Tensor, added: Tensor, touched: Window) -> Tensor:
    """Add to some cells; in place where no gradient needs what was there."""
    if added.shape == means.shape:
        return means + added
    if added.requires_grad:
        rows, columns = touched
        height, width = means.shape[2:]
        return means + F.pad(added, (columns.start, width - columns.stop, rows.start, height - rows.stop))
    means[:, :, *touched] += added
    return means


def _smooth(grid: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Average over 3 x 3 cells, those at the border repeated."""
    return F.avg_pool2d(F.pad(grid, (1, 1, 1, 1), mode="replicate"), 3, 1)


def _least_around(grid: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Return the least of each cell and the four beside it."""
    across, down = F.max_pool2d(-grid, (1, 3), 1, (0, 1)), F.max_pool2d(-grid, (3, 1), 1, (1, 0))
    return -torch.maximum(across, down)


def _between(
    full: Float[Tensor, "b 3 n m"], part: Float[Tensor, "b 3 n m"], looked: Looked, window: Window
) -> Float[Tensor, "b 3 h w"]:
    """Bring values of both distributions to the pixels of a part, each by its weights, and choose there."""
    of_full, of_part = looked.weights
    grid = torch.cat([full * of_full, of_full[:, :1], part * of_part, of_part], dim=1)
    spread = spread_out(grid, window=window, size=looked.size)
    choice = spread_out(looked.full, window=window, size=looked.size)
    in_full, in_part = spread[:, :3] / spread[:, 3:4], spread[:, 4:7] / spread[:, 7:]
    return torch.lerp(in_part, in_full, choice)
