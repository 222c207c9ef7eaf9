"""The figure: every system in every column, without and with support."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from contenders import Contender
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from tabulating import Column

from ldr2hdr.io.files import replacing

# Okabe and Ito's colours, told apart by everybody
_COLOURS: Final = {
    **{"ours": "#d55e00", "trained": "#0072b2", "closed": "#cc79a7"},
    **{"classical": "#555555", "merge": "#009e73", "reference": "#e69f00"},
}
_KINDS: Final = {
    "ours": "ours",
    "trained": "trained, the same budget",
    "closed": "closed form, not trained",
    "classical": "classical",
    "merge": "merge of the whole bracket",
    "reference": "reference",
}


def draw(path: Path, table: Mapping[str, Column], entries: Sequence[Contender]) -> None:
    """Draw one panel per column: hollow without support, filled with it, bars for the intervals.

    Args:
        path: The picture to write.
        table: By column, then by label.
        entries: The rows, from the top.
    """
    figure = Figure(figsize=(3.6 + 2.0 * len(table), 1.5 + 0.27 * len(entries)), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(table), sharey=True, squeeze=False)[0]
    for axes, (name, column) in zip(panels, table.items(), strict=True):
        _draw_column(axes, column, entries)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("PU21-PSNR, dB" if column.gauge.sign > 0 else "error, stops: less is better", fontsize=9)
    panels[0].set_yticks(range(len(entries)), [entry.label for entry in entries], fontsize=9)
    panels[0].set_ylim(len(entries) - 0.5, -0.5)
    for tick, entry in zip(panels[0].get_yticklabels(), entries, strict=True):
        tick.set_color(_COLOURS[entry.kind])
        tick.set_fontweight("bold" if entry.kind == "ours" else "normal")
    figure.legend(handles=_handles(), loc="outside lower center", ncols=6, fontsize=9, frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_column(axes: Axes, column: Column, entries: Sequence[Contender]) -> None:
    for row, entry in enumerate(entries):
        if entry.label not in column.cells:
            continue
        cell, colour = column.cells[entry.label], _COLOURS[entry.kind]
        shown = (cell.after or cell.before).summary.interval
        if cell.after is not None:
            before = cell.before.summary.interval.mean
            axes.plot([before, shown.mean], [row, row], color=colour, lw=0.8, ls=":")
            axes.plot(before, row, "o", mfc="white", mec=colour, ms=5)
        axes.plot([shown.low, shown.high], [row, row], color=colour, lw=2.2, alpha=0.45, solid_capstyle="butt")
        axes.plot(shown.mean, row, "D" if cell.after is None else "o", color=colour, ms=5)
        if entry.kind == "ours":
            axes.axvline(shown.mean, color=colour, lw=0.8, zorder=0)
    if column.gauge.sign < 0:
        axes.invert_xaxis()
    axes.grid(axis="x", color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _handles() -> list[Line2D]:
    kinds = [Line2D([], [], color=_COLOURS[kind], lw=3, label=label) for kind, label in _KINDS.items()]
    plain = {"color": "0.3", "ls": "", "ms": 6}
    stages = [
        Line2D([], [], marker="o", mfc="white", label="without support", **plain),
        Line2D([], [], marker="o", label="with support", **plain),
    ]
    return [*kinds, *stages]
