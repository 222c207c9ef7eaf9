"""Small charts as inline SVG: axes, lines with intervals, dots. Colours are classes of the page's style sheet."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, NamedTuple

NUM_COLOURS: Final = 8
_GAP: Final = 0.06  # of the span, around the points


class Point(NamedTuple):
    """A place on a chart, with the interval around it; NaN for none."""

    x: float
    y: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Series:
    """Points that belong together.

    Attributes:
        name: For the legend and for pointing at.
        points: From left to right.
        colour: Number of a colour of the style sheet.
        style: ``line`` with dots, ``dashed`` without, ``faint`` for what another one smooths.
    """

    name: str
    points: Sequence[Point]
    colour: int
    style: str = "line"


@dataclass(frozen=True)
class Frame:
    """Where numbers lie on a chart; sizes in CSS pixels of the narrowest column.

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
        """Position of a point."""
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        inner_width, inner_height = self.width - self.left - self.right, self.height - self.top - self.bottom
        return self.left + across * inner_width, self.top + (1 - up) * inner_height

    def wrap(self, parts: Iterable[str], label: str) -> str:
        """The drawing with its name for those who do not see it."""
        box = f"0 0 {self.width} {self.height}"
        return f'<svg viewBox="{box}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


class Tick(NamedTuple):
    """A number on an axis."""

    value: float
    text: str


def span(values: Iterable[float]) -> tuple[float, float]:
    """Lowest and highest finite number with some room; (0, 1) without any.

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
    """Round numbers between two.

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


def axes(frame: Frame, *, x_ticks: Sequence[Tick], y_ticks: Sequence[Tick], x_label: str) -> str:
    """Grid lines with their numbers, and what lies along the bottom."""
    parts = []
    bottom = frame.height - frame.bottom
    for tick in y_ticks:
        _, y = frame.at(frame.x[0], tick.value)
        parts.append(f'<path class="grid" d="M{frame.left} {y:.1f}H{frame.width - frame.right}"/>')
        parts.append(f'<text x="{frame.left - 6}" y="{y + 3.5:.1f}" text-anchor="end">{escape(tick.text)}</text>')
    for tick in x_ticks:
        x, _ = frame.at(tick.value, frame.y[0])
        parts.append(f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{escape(tick.text)}</text>')
    middle = (frame.left + frame.width - frame.right) / 2
    parts.append(
        f'<text class="label" x="{middle:.1f}" y="{frame.height - 5}" text-anchor="middle">{escape(x_label)}</text>'
    )
    return "".join(parts)


def draw_series(frame: Frame, series: Series, *, unit: str = "") -> str:
    """A line through the points that have a number; dots with intervals on it if its style is ``line``."""
    seen = [point for point in series.points if math.isfinite(point.y)]
    if not seen:
        return ""
    colour = f"c{series.colour % NUM_COLOURS}"
    places = [frame.at(point.x, point.y) for point in seen]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    parts = [f'<path class="{series.style} {colour}" d="{line}"><title>{escape(series.name)}</title></path>']
    if series.style == "line":
        for point in seen:
            parts += [draw_whisker(frame, point, colour), draw_dot(frame, point, colour, f"{series.name}", unit)]
    return "".join(parts)


def draw_whisker(frame: Frame, point: Point, colour: str) -> str:
    """The interval of a point, upright; nothing without one."""
    if not (math.isfinite(point.low) and math.isfinite(point.high)):
        return ""
    x, low = frame.at(point.x, point.low)
    _, high = frame.at(point.x, point.high)
    return f'<path class="whisker {colour}" d="M{x:.1f} {low:.1f}V{high:.1f}"/>'


def draw_dot(frame: Frame, point: Point, colour: str, name: str, unit: str) -> str:
    """A dot that tells its number when pointed at."""
    x, y = frame.at(point.x, point.y)
    title = escape(f"{name}: {point.y:.3g} {unit}".strip())
    return f'<circle class="dot {colour}" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{title}</title></circle>'


def legend(entries: Iterable[tuple[str, int, str]]) -> str:
    """Names beside their colours: (name, colour, style)."""
    items = "".join(
        f'<li><svg viewBox="0 0 22 10" aria-hidden="true"><path class="{style} c{colour % NUM_COLOURS}" '
        f'd="M1 5H21"/></svg>{escape(name)}</li>'
        for name, colour, style in entries
    )
    return f'<ul class="legend">{items}</ul>'
