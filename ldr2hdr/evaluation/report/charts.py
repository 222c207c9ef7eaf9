"""The charts of a report: quality against inner steps and shots, places, training curves."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Final

from ldr2hdr.evaluation.report.lines import REGIONS, ResultTable, place_means
from ldr2hdr.evaluation.report.runs import Evaluation, Training
from ldr2hdr.evaluation.report.svg import (
    NUM_COLOURS,
    Frame,
    Point,
    Series,
    Tick,
    axes,
    draw_dot,
    draw_series,
    legend,
    span,
    ticks,
)
from ldr2hdr.evaluation.stages import ADAPTED, Stage
from ldr2hdr.metrics.bootstrap import Interval
from ldr2hdr.training.sweeps.curves import LoggedPoint

_ROW: Final = 19
_MOST_POINTS: Final = 300
_SMOOTHING: Final = 0.1  # of the curve's length
_UNITS: Final = {"pu_psnr": "PU21-PSNR, dB", "log2_rmse": "log2 RMSE, stops", "loss": "loss"}


def steps_charts(table: ResultTable) -> str:
    """PU21-PSNR against inner steps, one chart per region; systems without steps are dashed lines."""
    adapted = [stage for stage in table.stages if stage.verb == ADAPTED]
    steps = sorted(set(map(_steps, adapted)))
    if len(steps) < 2:
        return ""
    at = {step: float(index) for index, step in enumerate(steps)}
    families: dict[str, list[Stage]] = {}
    for stage in adapted:
        families.setdefault(stage.system, []).append(stage)
    lines = {name: sorted(stages, key=_steps) for name, stages in families.items() if len(stages) > 1}
    flat = [stage for stage in table.compared if stage.verb != ADAPTED or stage.system not in lines]
    best = {name: table.main if table.main in stages else stages[-1] for name, stages in lines.items()}
    kept = _strongest(table, [*best.values(), *flat])
    left_out = len(lines) + len(flat) - len(kept)

    def series(region: str) -> list[Series]:
        drawn = [
            (
                f"{name}, {ADAPTED}",
                [_point(at[_steps(stage)], table.interval(stage, "pu_psnr", region)) for stage in stages],
                "line",
            )
            for name, stages in lines.items()
            if best[name] in kept
        ]
        for stage in flat:
            if stage in kept:
                level = _point(0.0, table.interval(stage, "pu_psnr", region)).y
                drawn.append((str(stage), [Point(0.0, level), Point(len(steps) - 1.0, level)], "dashed"))
        return [Series(name, points, colour, style) for colour, (name, points, style) in enumerate(drawn)]

    marks = [Tick(at[step], str(step)) for step in steps]
    return _by_region(series, marks, "inner steps", "against inner steps") + _note(left_out)


def shots_charts(tables: Sequence[tuple[int, ResultTable]]) -> str:
    """PU21-PSNR against the number of shots K, where evaluations differ in it: (K, table) of each."""
    shots = sorted({count for count, _ in tables})
    if len(shots) < 2:
        return ""
    at = {count: float(index) for index, count in enumerate(shots)}
    ordered = sorted(tables, key=lambda pair: pair[0])
    stages = dict.fromkeys(stage for _, table in tables for stage in table.compared)

    def series(region: str) -> list[Series]:
        return [
            Series(
                str(stage),
                [_point(at[count], table.interval(stage, "pu_psnr", region)) for count, table in ordered],
                colour,
            )
            for colour, stage in enumerate(stages)
        ]

    return _by_region(series, [Tick(at[count], str(count)) for count in shots], "shots K", "against shots")


def places_charts(evaluation: Evaluation, table: ResultTable) -> str:
    """Mean of every place, a row each, hardest for the main system first."""
    kept = _strongest(table, table.compared)
    stages = [stage for stage in table.compared if stage in kept]
    drawings = []
    order: list[str] = []
    for region, words in REGIONS.items():
        means = place_means(evaluation.judged, table.key, metric="pu_psnr", region=region)
        main = means.get(table.main or stages[0], {})
        order = order or sorted(main, key=lambda place: main[place])
        shown = {str(stage): means.get(stage, {}) for stage in stages}
        if any(shown.values()):
            drawings.append(_figure(words, _draw_places(order, shown, words)))
    if not drawings:
        return ""
    entries = [(str(stage), colour, "line") for colour, stage in enumerate(stages)]
    note = _note(len(table.compared) - len(stages))
    return legend(entries) + f'<div class="charts">{"".join(drawings)}</div>' + note


def training_charts(trainings: Sequence[Training]) -> str:
    """One chart per quantity and split; runs by colour if there are several, else what is after the ``@``."""
    names = list(dict.fromkeys(name for run in trainings for name in run.curves))
    charts: dict[str, list[str]] = {}
    for name in names:
        charts.setdefault(name.partition("@")[0], []).append(name)
    colours: dict[str, int] = {}
    drawings = [
        _draw_training(quantity, members, trainings, colours)
        for quantity, members in charts.items()
        if quantity.rpartition("/")[2] in _UNITS
    ]
    entries = [(label, colour, "line") for label, colour in colours.items()]
    return f'{legend(entries)}<div class="charts">{"".join(drawings)}</div>' if drawings else ""


def smooth(points: Sequence[LoggedPoint]) -> list[LoggedPoint]:
    """Mean over a window of a tenth of the curve around each point, cut at the ends.

    Example:
        >>> [point.value for point in smooth([LoggedPoint(i, i % 2) for i in range(20)])][8:10]
        [0.6666666666666666, 0.3333333333333333]
    """
    half = max(1, round(len(points) * _SMOOTHING / 2))
    windows = [points[max(0, i - half) : i + half + 1] for i in range(len(points))]
    return [
        LoggedPoint(point.step, math.fsum(p.value for p in window) / len(window))
        for point, window in zip(points, windows, strict=True)
    ]


def _strongest(table: ResultTable, stages: Iterable[Stage]) -> set[Stage]:
    """Return as many stages as there are colours: the main one, then those of the highest PU21-PSNR on all pixels."""

    def rank(stage: Stage) -> tuple[bool, float]:
        interval = table.interval(stage, "pu_psnr", "all")
        return stage != table.main, math.inf if interval is None else -interval.mean

    return set(sorted(stages, key=rank)[:NUM_COLOURS])


def _steps(stage: Stage) -> int:
    return stage.steps or 0


def _note(left_out: int) -> str:
    if not left_out:
        return ""
    return f'<p class="soft">The strongest {NUM_COLOURS}; {left_out} more in the table.</p>'


def _point(x: float, interval: Interval | None) -> Point:
    return Point(x, math.nan) if interval is None else Point(x, *interval[:3])


def _figure(caption: str, drawing: str) -> str:
    return f'<figure class="card"><figcaption>{escape(caption)}</figcaption>{drawing}</figure>'


def _by_region(series: Callable[[str], list[Series]], x_ticks: Sequence[Tick], x_label: str, label: str) -> str:
    drawings = []
    for region, words in REGIONS.items():
        drawn = series(region)
        numbers = [number for one in drawn for point in one.points for number in point[1:]]
        if not any(math.isfinite(number) for number in numbers):
            continue
        frame = Frame(x=(-0.15, len(x_ticks) - 0.85), y=span(numbers))
        parts = [axes(frame, x_ticks=x_ticks, y_ticks=ticks(*frame.y), x_label=x_label)]
        parts += [draw_series(frame, one, unit="dB") for one in reversed(drawn)]
        drawings.append(_figure(words, frame.wrap(parts, f"PU21-PSNR of {words} {label}")))
    entries = [(one.name, one.colour, one.style) for one in series("all")]
    return legend(entries) + f'<div class="charts">{"".join(drawings)}</div>' if drawings else ""


def _draw_places(order: Sequence[str], means: Mapping[str, Mapping[str, float]], words: str) -> str:
    frame = Frame(
        x=span(value for places in means.values() for value in places.values()),
        y=(len(order) - 0.5, -0.5),
        height=len(order) * _ROW + 44,
        left=122,
    )
    x_ticks = ticks(*frame.x, most=5)
    parts = [axes(frame, x_ticks=x_ticks, y_ticks=[], x_label="PU21-PSNR, dB")]
    for row, place in enumerate(order):
        seen = {name: places[place] for name, places in means.items() if place in places}
        _, y = frame.at(frame.x[0], float(row))
        parts.append(f'<path class="grid" d="M{frame.left} {y:.1f}H{frame.width - frame.right}"/>')
        short = place if len(place) < 20 else f"{place[:18]}…"
        parts.append(
            f'<text x="{frame.left - 8}" y="{y + 3.5:.1f}" text-anchor="end">{escape(short)}'
            f"<title>{escape(place)}</title></text>"
        )
        for colour, (name, value) in reversed(list(enumerate(seen.items()))):
            parts.append(
                draw_dot(frame, Point(value, float(row)), f"c{colour % NUM_COLOURS}", f"{place}, {name}", "dB")
            )
    return frame.wrap(parts, f"PU21-PSNR of {words} by place")


def _draw_training(
    quantity: str, members: Sequence[str], trainings: Sequence[Training], colours: dict[str, int]
) -> str:
    """One chart; ``colours`` by label grows, so that a label has one colour in all charts."""
    split, _, kind = quantity.rpartition("/")
    is_loss = kind == "loss"
    series: list[Series] = []
    for run in trainings:
        for name in members:
            points = run.curves.get(name, [])
            if not points:
                continue
            after = name.partition("@")[2]
            words = {"": "adapted", "single": "single-shot"}.get(after, f"{after} steps")
            label = " · ".join([run.name] * (len(trainings) > 1) + [words])
            series += _curves(label, points, colours.setdefault(label, len(colours)), is_loss=is_loss)
    numbers = [point.y for one in series for point in one.points]
    last = max((point.x for one in series for point in one.points), default=0.0) or 1.0
    frame = Frame(x=(0.0, last), y=span(numbers))
    y_ticks = ticks(*frame.y, most=5)
    if is_loss:
        y_ticks = _powers(*frame.y) or [Tick(tick.value, f"{10**tick.value:.2g}") for tick in y_ticks]
    parts = [axes(frame, x_ticks=ticks(0.0, last, most=5), y_ticks=y_ticks, x_label="outer step")]
    parts += [draw_series(frame, one) for one in series]
    caption = f"{split or 'run'}: {_UNITS[kind]}"
    return _figure(caption, frame.wrap(parts, f"{caption} against outer steps"))


def _curves(label: str, points: Sequence[LoggedPoint], colour: int, *, is_loss: bool) -> list[Series]:
    """A loss on a logarithmic axis, faint below its running mean; other numbers as they are."""
    stride = -(-len(points) // _MOST_POINTS)
    if not is_loss:
        style = "line" if len(points) < 2 * _ROW else "plain"
        return [Series(label, [Point(float(step), value) for step, value in points[::stride]], colour, style)]
    positive = [point for point in points if point.value > 0]
    return [
        Series(label, [Point(float(step), math.log10(value)) for step, value in drawn[::stride]], colour, style)
        for drawn, style in ((positive, "faint"), (smooth(positive), "plain"))
    ]


def _powers(low: float, high: float) -> list[Tick]:
    """Ticks at 1, 2 and 5 times powers of ten, for an axis of decimal logarithms; none if fewer than two fit."""
    values = [m * 10.0**e for e in range(math.floor(low), math.ceil(high) + 1) for m in (1, 2, 5)]
    fitting = [Tick(math.log10(value), f"{value:g}") for value in values if low <= math.log10(value) <= high]
    return fitting if 2 <= len(fitting) <= 8 else []
