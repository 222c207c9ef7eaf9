"""Figures of the studies: means with their intervals, as lines over a number or as rows of dots."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from omegaconf import DictConfig
from pooling import Cell, Pooled, Row, cells

from ldr2hdr.io.files import replacing

# Okabe and Ito's colours, which the colour-blind tell apart
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_GREY: Final = "#777777"
_LEAST_GAP: Final = 0.055  # between labels, of the height of the axes


class Point(NamedTuple):
    """A mean at a place on the axis."""

    x: float
    row: Row


def draw(path: Path, figure: DictConfig, pooled: Pooled, records: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw what ``figure`` describes, with 95 % intervals over places.

    Args:
        path: The PNG to write.
        figure: ``title`` and ``panels``, which have one scale and the same rows if ``is_shared``. A panel of
            ``kind: lines`` has ``x`` and ``series``, of which each names a ``system`` and a ``set`` (or the panel
            does), with ``{x}`` for the number; one of ``kind: dots`` has ``rows`` likewise.
        pooled: The means.
        records: What the runs cost, for labels with ``{parameters}`` and ``{ms}`` (of an outer step) of the run that a
            row names.
    """
    panels = figure.panels
    sheet = Figure(figsize=(figure.get("width", 5.2 * len(panels)), figure.get("height", 4.4)), layout="constrained")
    sheet.set_dpi(120)
    sheet.suptitle(figure.title, fontsize=11)
    found = cells(pooled.means)
    is_shared = figure.get("is_shared", False)
    grid = sheet.subplots(1, len(panels), squeeze=False, sharex=is_shared)[0]
    for axes, panel in zip(grid, panels, strict=True):
        axes.set_title(panel.title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        (_draw_lines if panel.kind == "lines" else _draw_dots)(axes, panel, found, records)
    for axes in grid[1:] if is_shared else ():
        axes.set_yticklabels([])
    with replacing(path) as temporary:
        sheet.savefig(temporary, format="png")


def _draw_lines(
    axes: Axes, panel: DictConfig, found: Mapping[Cell, Row], records: Mapping[str, Mapping[str, Any]]
) -> None:
    """One line per series, named at its right end."""
    positions = {x: index for index, x in enumerate(panel.x)}
    ends = []
    colours = iter(_COLOURS)
    for label, series in panel.series.items():
        is_reference = bool(series.get("reference"))
        colour = _GREY if is_reference else next(colours)
        points = [
            Point(positions[x], found[_cell(series, panel, x)]) for x in panel.x if _cell(series, panel, x) in found
        ]
        shift = 0.0 if is_reference else 0.05 * (len(ends) - (len(panel.series) - 1) / 2)
        x, means = [point.x + shift for point in points], [point.row.summary.interval.mean for point in points]
        axes.errorbar(x, means, yerr=_arms(points), color=colour, marker="o", ms=4, lw=1.6, elinewidth=0.9, capsize=2)
        ends.append((means[-1], label, colour))
    axes.set_xticks(list(positions.values()), [f"{x:g}" for x in panel.x])
    axes.set(xlabel=panel.xlabel, ylabel=panel.get("ylabel", "PU21-PSNR, dB"))
    axes.set_xlim(-0.3, len(positions) - 1 + panel.get("room", 1.3))
    _label_ends(axes, ends, x=len(positions) - 1 + 0.2)


def _draw_dots(
    axes: Axes, panel: DictConfig, found: Mapping[Cell, Row], records: Mapping[str, Mapping[str, Any]]
) -> None:
    """One row per system, the first on top."""
    labels = []
    for position, (label, row) in enumerate(panel.rows.items()):
        point = Point(position, found[_cell(row, panel, None)])
        interval = point.row.summary.interval
        colour = _GREY if row.get("reference") else _COLOURS[row.get("colour", 0)]
        left, right = _arms([point])
        axes.errorbar(interval.mean, position, xerr=[left, right], color=colour, marker="o", ms=5, capsize=2)
        axes.annotate(f"{interval.mean:.1f}", (interval.mean, position), (0, 5), textcoords="offset points", fontsize=7,
                      ha="center", color=colour)  # fmt: skip
        labels.append(_fill(label, row, records))
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set(ylim=(len(labels) - 0.5, -0.6), xlabel=panel.get("xlabel", "PU21-PSNR, dB"))


def _cell(series: DictConfig, panel: DictConfig, x: float | None) -> Cell:
    metric, region = panel.get("metric", ("pu_psnr", "all"))
    number = "" if x is None else f"{x:g}"
    system, test_set = (text.replace("{x}", number) for text in (series.system, series.get("set") or panel.set))
    return re.sub(r"\b1 steps$", "1 step", system), test_set, metric, region


def _arms(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    """Return the reach of the intervals below and above the means."""
    intervals = [point.row.summary.interval for point in points]
    return [i.mean - i.low for i in intervals], [i.high - i.mean for i in intervals]


def _label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]], *, x: float) -> None:
    """Write the names of the lines beside their ends, apart from each other."""
    low, high = axes.get_ylim()
    gap = _LEAST_GAP * (high - low)
    ordered = sorted(ends)
    heights = [height for height, *_ in ordered]
    for _ in range(50):
        for below, above in pairwise(range(len(heights))):
            overlap = gap - (heights[above] - heights[below])
            if overlap > 0:
                heights[below] -= overlap / 2
                heights[above] += overlap / 2
    for height, (_, label, colour) in zip(heights, ordered, strict=True):
        axes.text(x, height, label, color=colour, fontsize=9, va="center")


def _fill(label: str, row: DictConfig, records: Mapping[str, Mapping[str, Any]]) -> str:
    if "run" not in row:
        return label
    of_run = [record for name, record in records.items() if name.startswith(f"{row.run}, seed")]
    milliseconds = 1000 * sum(r["cpu_s"] for r in of_run) / sum(r["steps"] for r in of_run)
    return label.format(parameters=of_run[0]["parameters"], ms=milliseconds)
