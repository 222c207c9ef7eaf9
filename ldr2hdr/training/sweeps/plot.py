"""The plot of a sweep: every job while it trained, and what adaptation gave each."""

import textwrap
from collections.abc import Sequence
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ldr2hdr.training.sweeps.job import Job
from ldr2hdr.training.sweeps.table import MAIN_METRIC, describe_status, name_job, varying_keys

_ROW_INCHES: Final = 0.3
_LEAST_SPAN: Final = 0.5  # dB: less would show noise as if it were large
_NAME_LETTERS: Final = 48
_REASON_LETTERS: Final = 44


def draw_sweep(jobs: Sequence[Job]) -> Figure:
    """Left each job's PU21-PSNR by outer step, right its last one before and after the inner steps.

    A job that logged nothing has its status in place of a value.
    """
    names = [textwrap.shorten(name_job(job, varying_keys(jobs)), _NAME_LETTERS, placeholder="…") for job in jobs]
    height = max(3.4, 1.4 + _ROW_INCHES * len(jobs))
    figure = Figure(figsize=(11.0, height), layout="constrained")
    curves, rows = figure.subplots(1, 2)
    colours = [mpl.colormaps["viridis"](0.9 * index / max(1, len(jobs) - 1)) for index in range(len(jobs))]
    for job, colour in zip(jobs, colours, strict=True):
        points = job.adapted(MAIN_METRIC)
        curves.plot([p.step for p in points], [p.value for p in points], ".-", color=colour, linewidth=1)
    curves.set(title="while training, after the inner steps", xlabel="outer step", ylabel="PU21-PSNR, dB")
    _draw_rows(rows, jobs, names, colours)
    for axes in (curves, rows):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    return figure


def _draw_rows(
    axes: Axes, jobs: Sequence[Job], names: Sequence[str], colours: Sequence[tuple[float, float, float, float]]
) -> None:
    for row, (job, colour) in enumerate(zip(jobs, colours, strict=True)):
        before, last, _ = job.reached(MAIN_METRIC, is_more_better=True)
        if last is None:
            reason = textwrap.shorten(describe_status(job), _REASON_LETTERS, placeholder="…")
            # beside the axis, wherever the others' values are
            axes.text(0.02, row, reason, transform=axes.get_yaxis_transform(), va="center", color="#b2182b", size=8)
            continue
        start = last if before is None else before
        axes.plot([start, last], [row, row], color=colour, linewidth=2)
        axes.plot([start], [row], "o", markerfacecolor="white", color=colour)
        axes.plot([last], [row], "o", color=colour)
    axes.set_yticks(range(len(jobs)), names, fontsize=8)
    axes.set(ylim=(len(jobs) - 0.5, -0.5), title="at the end: hollow without, full after the inner steps")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, high - _LEAST_SPAN), max(high, low + _LEAST_SPAN))
    axes.set_xlabel("PU21-PSNR, dB")
