"""The table and the figure, from the results alone."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from results import Result

from ldr2hdr.io.files import replacing


class Group(NamedTuple):
    """All seeds of a method at a rate."""

    num_runs: int
    num_finite: int
    ratio: float

    def label(self) -> str:
        """The mean ratio, or how many runs diverged."""
        if self.num_finite == self.num_runs:
            return f"{self.ratio:.2f}"
        return f"{self.num_runs - self.num_finite}/{self.num_runs} diverged"


def group(results: Sequence[Result]) -> dict[tuple[str, float], Group]:
    """By method and rate. A run is finite if no task of it ever left the finite range."""
    runs: dict[tuple[str, float], list[Result]] = {}
    for result in results:
        runs.setdefault((result.method, result.rate), []).append(result)
    groups = {}
    for key, members in runs.items():
        finite = [run for run in members if run.diverged_tasks == 0]
        ratios = [run.loss / run.untrained_loss for run in finite]
        groups[key] = Group(len(members), len(finite), statistics.mean(ratios) if ratios else math.nan)
    return groups


def as_markdown(results: Sequence[Result]) -> str:
    """One row per method, one column per rate."""
    groups, methods, rates = group(results), _methods(results), _rates(results)
    lines = ["| method | " + " | ".join(f"{rate:g}" for rate in rates) + " |", "|---" * (len(rates) + 1) + "|"]
    lines += [
        f"| {method} | "
        + " | ".join(groups[method, rate].label() if (method, rate) in groups else "" for rate in rates)
        + " |"
        for method in methods
    ]
    return "\n".join(lines)


def draw(results: Sequence[Result], path: Path) -> None:
    """A field per method and rate: blue learned, red did harm, black left the finite range."""
    groups, methods, rates = group(results), _methods(results), _rates(results)
    figure = Figure(figsize=(2.2 + 1.1 * len(rates), 1.0 + 0.42 * len(methods)), layout="constrained", dpi=120)
    figure.suptitle("Query loss after adaptation / untrained loss\n(below 1 it learned)", size=10)
    axes = figure.add_subplot(xlabel="inner rate at the start")
    colours = mpl.colormaps["RdBu_r"]
    for row, method in enumerate(methods):
        for column, rate in enumerate(rates):
            if (method, rate) not in groups:
                continue
            found = groups[method, rate]
            is_finite = found.num_finite == found.num_runs
            # a quarter of the untrained loss is as blue, four times as red as it gets
            colour = colours(0.5 + math.log2(found.ratio) / 4) if is_finite else "black"
            axes.add_patch(mpl.patches.Rectangle((column - 0.5, row - 0.5), 1, 1, color=colour, ec="white"))
            text = found.label().replace(" ", "\n")
            is_dark = not is_finite or not 1 / 3 < found.ratio < 3
            axes.text(column, row, text, ha="center", va="center", size=8, color="white" if is_dark else "black")
    axes.set(xlim=(-0.5, len(rates) - 0.5), ylim=(len(methods) - 0.5, -0.5))
    axes.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
    axes.set_yticks(range(len(methods)), methods)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _methods(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(result.method for result in results))


def _rates(results: Sequence[Result]) -> list[float]:
    return sorted({result.rate for result in results})
