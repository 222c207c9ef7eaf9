"""Findings as lines, tables and a figure."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from cases import ALGORITHMS, AXES, ENGINES, STRAIGHT, Case
from matplotlib.figure import Figure

from ldr2hdr.io.files import replacing

Row = Mapping[str, Any]

_NAMES: Final = {"learn2learn": "learn2learn", "fast": "ours"}
_TARGETS: Final = {"second": 2.2, "first": 1.8, "reptile": 1.8, "plain": 1.3}
_LIMITS: Final = ("% of the matrix product", "% of the convolution")
_SIZES: Final = ("tasks", "small", "shots", "steps", "px", "largest", "variants")
# Through so many any line goes
_FEWEST_POINTS: Final = 2
_COLOURS: Final = {"learn2learn": "#b35806", "fast": "#2166ac"}


class Line(NamedTuple):
    """A straight line through costs.

    Attributes:
        start: Seconds at 0.
        slope: Seconds for one more.
        residual: Largest distance of a point from the line, relative to the line.
    """

    start: float
    slope: float
    residual: float


def fit_line(sizes: Sequence[float], seconds: Sequence[float]) -> Line:
    """The line with the least squared relative errors, since costs range over more than a decade."""
    x, y = np.asarray(sizes, dtype=float), np.asarray(seconds)
    slope, start = np.polyfit(x, y, 1, w=1 / y)
    fitted = start + slope * x
    return Line(float(start), float(slope), float(np.abs(y / fitted - 1).max()))


def ratios(row: Row) -> list[float]:
    """Return the speed-up of our engine, in each pair of neighbouring runs."""
    return [other / ours for other, ours in zip(*(row["seconds"][engine] for engine in ENGINES), strict=True)]


def with_spread(values: Sequence[float], *, form: str = "{:.2f}") -> str:
    """Median, and least and largest in brackets."""
    return form.format(statistics.median(values)) + f" ({form.format(min(values))} to {form.format(max(values))})"


def one_line(row: Row) -> str:
    """A row for the screen."""
    return f"{row['axis']}: {Case(**row['case']).in_words()}: {_result(row)}"


def _result(row: Row) -> str:
    if "memory" in row:
        return ", ".join(f"{_NAMES[engine]} {row['memory'][engine] / 2**20:.0f} MiB" for engine in ENGINES)
    if "sequence" in row:
        return "; ".join(sequence_lines([row]))
    times = (f"{_NAMES[engine]} {1000 * median(row, engine):.0f} ms" for engine in ENGINES)
    others = f"others used at most {row['others']:.0%} of the machine, {row['left_out']} rounds left out"
    return f"{', '.join(times)}, ratio {with_spread(ratios(row))}; {others}"


def of_axis(rows: Sequence[Row], *axes: str) -> list[Row]:
    """The rows of these axes, axis by axis, in the order of their cases."""
    order = {(axis, case.in_words()): place for axis in axes for place, case in enumerate(AXES[axis])}
    found = [row for row in rows if row["axis"] in axes]
    return sorted(
        found,
        key=lambda row: (axes.index(row["axis"]), order.get((row["axis"], Case(**row["case"]).in_words()), len(order))),
    )


def median(row: Row, engine: str) -> float:
    """Seconds of a meta-step."""
    return statistics.median(row["seconds"][engine])


def write_tables(rows: Sequence[Row], folder: Path) -> None:
    """Put the tables into the README between their marks, and draw the figure beside it.

    Raises:
        ValueError: If a table has no place.
    """
    path = folder / "README.md"
    text = path.read_text()
    for table in (machine_lines, target_table, size_table, memory_table, line_table, sequence_lines):
        before, mark, after = text.partition(f"<!-- {table.__name__} -->\n")
        _, end, after = after.partition("<!-- end -->")
        if not end:
            raise ValueError(f"{path} needs a place <!-- {table.__name__} --> ... <!-- end -->")
        text = before + mark + "\n".join(table(rows)) + "\n" + end + after
    with replacing(path) as temporary:
        temporary.write_text(text)
    with replacing(folder / "cost.png") as temporary:
        draw_costs(rows).savefig(temporary, dpi=110)


def machine_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Describe the machine, its speed, and how busy others kept it."""
    machine = rows[0]["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    commits = ", ".join(sorted({str(row["machine"]["commit"]) for row in rows}))
    rates = {key: [row["rates"][key] / 1e9 for row in rows] for key in ("matmul", "convolution")}
    timed = [row for row in rows if "others" in row]
    others, left_out = with_spread([row["others"] for row in timed], form="{:.0%}"), sum(r["left_out"] for r in timed)
    yield f"- {machine.get('gpu', machine['cpu'])}, {machine['threads']} threads; {versions}; commit {commits}."
    yield f"- Square matrix product: {with_spread(rates['matmul'], form='{:.0f}')} GFLOP/s over the runs of this table."
    yield f"- Fastest 3x3 convolution found: {with_spread(rates['convolution'], form='{:.0f}')} GFLOP/s."
    yield f"- Other processes used at most {others} of the machine during a round of a row; {left_out} rounds left out."


def target_table(rows: Sequence[Row]) -> Iterator[str]:
    """The sizes that the targets are about, beside the limits of the machine."""
    yield f"| {' | '.join(('meta-step', 'learn2learn, ms', 'ours, ms', 'faster by', 'target', *_LIMITS))} |"
    yield "|---|---|---|---|---|---|---|"
    for row in of_axis(rows, *_TARGETS):
        words = Case(**row["case"]).in_words() + (", no compiler" if row["axis"] == "plain" else "")
        shares = (limit_shares(row, row["rates"][key]) for key in ("matmul", "convolution"))
        yield f"| {' | '.join((words, *times_and_ratio(row), str(_TARGETS[row['axis']]), *shares))} |"


def size_table(rows: Sequence[Row]) -> Iterator[str]:
    """One size varied at a time."""
    yield "| meta-step | learn2learn, ms | ours, ms | faster by | gradients differ by |"
    yield "|---|---|---|---|---|"
    for row in of_axis(rows, *_SIZES):
        error = f"{row['disagreement']:.0e}" if "disagreement" in row else ""
        yield f"| {' | '.join((Case(**row['case']).in_words(), *times_and_ratio(row), error))} |"


def times_and_ratio(row: Row) -> list[str]:
    """Three cells."""
    times = [f"{1000 * median(row, engine):.0f}" for engine in ENGINES]
    return [*times, with_spread(ratios(row))]


def limit_shares(row: Row, rate: float) -> str:
    """Both engines' share of a rate; neither is credited with more operations than the algorithm needs."""
    needed = min(row["flops"].values())
    shares = (needed / median(row, engine) / rate for engine in ENGINES)
    return ", ".join(f"{share:.0%}" for share in shares)


def memory_table(rows: Sequence[Row]) -> Iterator[str]:
    """Peaks of processes that ran one engine."""
    yield "| meta-step | learn2learn, MiB | ours, MiB | ours takes |"
    yield "|---|---|---|---|"
    for row in of_axis(rows, "memory"):
        other, ours = (row["memory"][engine] / 2**20 for engine in ENGINES)
        yield f"| {Case(**row['case']).in_words()} | {other:.0f} | {ours:.0f} | {ours / other:.2f} times |"


def line_table(rows: Sequence[Row]) -> Iterator[str]:
    """Straight lines through the costs."""
    yield "| against | engine | ms at 0 | ms for one more | largest residual |"
    yield "|---|---|---|---|---|"
    for axis, label in measured_axes(rows).items():
        for engine in ENGINES:
            line = fit_line(*costs(rows, axis, engine))
            cells = f"{1000 * line.start:.0f} | {1000 * line.slope:.0f} | {line.residual:.0%}"
            yield f"| {label} | {_NAMES[engine]} | {cells} |"


def measured_axes(rows: Sequence[Row]) -> dict[str, str]:
    """The axes of ``STRAIGHT`` with enough points to tell whether they are on a line."""
    return {axis: label for axis, label in STRAIGHT.items() if len(of_axis(rows, axis)) > _FEWEST_POINTS}


def costs(rows: Sequence[Row], axis: str, engine: str) -> tuple[list[int], list[float]]:
    """Sizes along an axis, and seconds."""
    found = of_axis(rows, axis)
    return [row["case"][axis] for row in found], [median(row, engine) for row in found]


def sequence_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Describe the change of an engine's time by having run the other one in the same process."""
    for row in of_axis(rows, "sequence"):
        for first, spent in row["sequence"].items():
            before, after = (
                with_spread([1000 * s for s in spent[when]], form="{:.0f}") for when in ("before", "after")
            )
            change = statistics.median(spent["after"]) / statistics.median(spent["before"])
            yield f"- {_NAMES[first]}: {before} ms before and {after} ms after the other ran, ratio {change:.2f}."


def draw_costs(rows: Sequence[Row]) -> Figure:
    """Points with their lines, one panel for each axis."""
    axes = measured_axes(rows)
    figure = Figure(figsize=(max(4.0 * len(axes), 6.5), 3.4), layout="constrained")
    panels = np.ravel(figure.subplots(1, len(axes))) if axes else []
    for (axis, name), panel in zip(axes.items(), panels, strict=True):
        for engine in ENGINES:
            sizes, seconds = costs(rows, axis, engine)
            line = fit_line(sizes, seconds)
            ends = np.array([0, max(sizes)])
            panel.plot(ends, line.start + line.slope * ends, color=_COLOURS[engine], linewidth=1)
            label = f"{_NAMES[engine]}, residual {line.residual:.0%}"
            panel.plot(sizes, seconds, "o", color=_COLOURS[engine], label=label)
        panel.set(xlabel=name, ylabel="seconds per meta-step", xlim=(0, None), ylim=(0, None))
        panel.legend(frameon=False)
        panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{ALGORITHMS['second']}, around T = 4, K = 2, Q = 2, 64 px, 3 steps")
    return figure
