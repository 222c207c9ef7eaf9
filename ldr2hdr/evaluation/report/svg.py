"""Small charts: axes, lines with intervals, dots. ``charts.html`` draws them, the style sheet has their colours."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

NUM_COLOURS: Final = 8
_GAP: Final = 0.06  # of the span, around the points


class Point(NamedTuple):
    """Place on a chart, with the interval around it; NaN for none."""

    x: float
    y: float
    low: float = math.nan
    high: float = math.nan

    @property
    def has_interval(self) -> bool:
        """Return whether the interval is known."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True)
class Series:
    """Points that belong together.

    Attributes:
        name: For the legend and for pointing at.
        points: From left to right; for ``dots`` one in each row, from the top.
        colour: Number of a colour of the style sheet.
        style: ``line`` with dots, ``dashed`` and ``plain`` without, ``faint`` for what another one smooths, and
            ``dots`` alone.
    """

    name: str
    points: Sequence[Point]
    colour: int
    style: str = "line"

    @property
    def seen(self) -> list[Point]:
        """Return the points that have a number."""
        return [point for point in self.points if math.isfinite(point.x) and math.isfinite(point.y)]


@dataclass(frozen=True)
class Frame:
    """Map of numbers to a chart; sizes in CSS pixels of the narrowest column.

    Attributes:
        x: Lowest and highest number from left to right.
        y: Lowest and highest number from bottom to top.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    width: int = 340
    height: int = 210
    left: int = 38
    right: int = 10
    top: int = 10
    bottom: int = 34

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the position of a point."""
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        inner_width, inner_height = self.width - self.left - self.right, self.height - self.top - self.bottom
        return self.left + across * inner_width, self.top + (1 - up) * inner_height

    def path(self, points: Iterable[Point]) -> str:
        """Return the path through some points."""
        return "M" + "L".join("{:.1f} {:.1f}".format(*self.at(point.x, point.y)) for point in points)


class Tick(NamedTuple):
    """Number on an axis."""

    value: float
    text: str


@dataclass(frozen=True)
class Drawing:
    """Chart.

    Attributes:
        caption: Above it.
        label: For those who do not see it.
        frame: Where its numbers lie.
        x_ticks: Numbers along the bottom.
        x_label: Words along the bottom.
        series: What it shows, the last on top.
        y_ticks: Numbers along the left.
        rows: Names along the left instead.
        unit: Of the numbers.
    """

    caption: str
    label: str
    frame: Frame
    x_ticks: Sequence[Tick]
    x_label: str
    series: Sequence[Series]
    y_ticks: Sequence[Tick] = ()
    rows: Sequence[str] = ()
    unit: str = ""


class Charts(NamedTuple):
    """Charts side by side under one legend of (name, colour, style), and how many lines they leave out."""

    drawings: Sequence[Drawing]
    legend: Sequence[tuple[str, int, str]]
    left_out: int = 0
    num_colours: int = NUM_COLOURS


def span(values: Iterable[float]) -> tuple[float, float]:
    """Return the lowest and the highest finite number with some room; (0, 1) without any.

    Example:
        >>> span([float("nan")]), span([3.0, 3.0])
        ((0.0, 1.0), (2.5, 3.5))
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    if low == high:
        return low - 0.5, high + 0.5
    return low - _GAP * (high - low), high + _GAP * (high - low)


def ticks(low: float, high: float, *, most: int = 6) -> list[Tick]:
    """Return round numbers between two.

    Example:
        >>> [tick.text for tick in ticks(0.2, 10.3)], [tick.text for tick in ticks(0.11, 0.28)]
        (['2', '4', '6', '8', '10'], ['0.15', '0.20', '0.25'])
    """
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [Tick(number * step, f"{number * step:.{digits}f}") for number in range(first, last + 1)]
