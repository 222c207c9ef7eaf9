"""Charts of a report: quality against inner steps and shots, places, training curves."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from ldr2hdr.evaluation.report.lines import REGIONS, ResultTable, place_means
from ldr2hdr.evaluation.report.runs import Evaluation, Training
from ldr2hdr.evaluation.report.svg import NUM_COLOURS, Charts, Drawing, Frame, Point, Series, Tick, span, ticks
from ldr2hdr.evaluation.stages import ADAPTED, Stage
from ldr2hdr.metrics.bootstrap import Interval
from ldr2hdr.training.sweeps.curves import LoggedPoint

_ROW: Final = 19
_MOST_POINTS: Final = 300
_SMOOTHING: Final = 0.1  # of the curve's length
_UNITS: Final = {"pu_psnr": "PU21-PSNR, dB", "log2_rmse": "log2 RMSE, stops", "loss": "loss"}


def steps_charts(table: ResultTable) -> Charts | None:
    """Chart PU21-PSNR against inner steps, one chart per region; systems without steps are dashed lines."""
    adapted = [stage for stage in table.stages if stage.verb == ADAPTED]
    steps = sorted(set(map(_steps, adapted)))
    if len(steps) < 2:
        return None
    at = {step: float(index) for index, step in enumerate(steps)}
    families: dict[str, list[Stage]] = {}
    for stage in adapted:
        families.setdefault(stage.system, []).append(stage)
    lines = {name: sorted(stages, key=_steps) for name, stages in families.items() if len(stages) > 1}
    flat = [stage for stage in table.compared if stage.verb != ADAPTED or stage.system not in lines]
    best = {name: next((s for s in stages if s == table.main), stages[-1]) for name, stages in lines.items()}
    kept = _strongest(table, [*best.values(), *flat])
    left_out = len(lines) + len(flat) - len(kept)

    def series(region: str) -> list[Series]:
        drawn: list[Series] = []
        for name, stages in lines.items():
            if best[name] in kept:
                points = [_point(at[_steps(stage)], table.interval(stage, "pu_psnr", region)) for stage in stages]
                drawn.append(Series(f"{name}, {ADAPTED}", points, len(drawn)))
        for stage in flat:
            if stage in kept:
                level = _point(0.0, table.interval(stage, "pu_psnr", region)).y
                ends = [Point(0.0, level), Point(len(steps) - 1.0, level)]
                drawn.append(Series(str(stage), ends, len(drawn), "dashed"))
        return drawn

    marks = [Tick(at[step], str(step)) for step in steps]
    return _by_region(series, marks, "inner steps", "against inner steps", left_out=left_out)


def shots_charts(tables: Sequence[tuple[int, ResultTable]]) -> Charts | None:
    """Chart PU21-PSNR against the number of shots K, where evaluations differ in it: (K, table) of each."""
    shots = sorted({count for count, _ in tables})
    if len(shots) < 2:
        return None
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


def places_charts(evaluation: Evaluation, table: ResultTable) -> Charts | None:
    """Chart the mean of every place, a row each, hardest for the main system first."""
    kept = _strongest(table, table.compared)
    stages = [stage for stage in table.compared if stage in kept]
    drawings = []
    order: list[str] = []
    for region, words in REGIONS.items():
        means = place_means(evaluation.judged, table.key, metric="pu_psnr", region=region)
        main = means.get(table.main or stages[0], {})
        order = order or sorted(main, key=lambda place: main[place])
        if any(means.get(stage) for stage in stages):
            drawings.append(_draw_places(order, [(str(stage), means.get(stage, {})) for stage in stages], words))
    entries = [(str(stage), colour, "line") for colour, stage in enumerate(stages)]
    return Charts(drawings, entries, len(table.compared) - len(stages)) if drawings else None


def training_charts(trainings: Sequence[Training]) -> Charts | None:
    """Chart each quantity and split; runs by colour if there are several, else what is after the ``@``."""
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
    return Charts(drawings, entries) if drawings else None


def smooth(points: Sequence[LoggedPoint]) -> list[LoggedPoint]:
    """Return the mean over a window of a tenth of the curve around each point, cut at the ends.

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


def _point(x: float, interval: Interval | None) -> Point:
    return Point(x, math.nan) if interval is None else Point(x, *interval[:3])


def _by_region(
    series: Callable[[str], list[Series]], x_ticks: Sequence[Tick], x_label: str, label: str, *, left_out: int = 0
) -> Charts | None:
    drawings = []
    for region, words in REGIONS.items():
        drawn = series(region)
        numbers = [number for one in drawn for point in one.points for number in point[1:]]
        if any(math.isfinite(number) for number in numbers):
            frame, name = Frame(x=(-0.15, len(x_ticks) - 0.85), y=span(numbers)), f"PU21-PSNR of {words} {label}"
            y_ticks = ticks(*frame.y)
            drawings.append(Drawing(words, name, frame, x_ticks, x_label, drawn[::-1], y_ticks, unit="dB"))
    entries = [(one.name, one.colour, one.style) for one in series("all")]
    return Charts(drawings, entries, left_out) if drawings else None


def _draw_places(order: Sequence[str], means: Sequence[tuple[str, Mapping[str, float]]], words: str) -> Drawing:
    frame = Frame(
        x=span(value for _, places in means for value in places.values()),
        y=(len(order) - 0.5, -0.5),
        height=len(order) * _ROW + 44,
        left=122,
    )
    series = [
        Series(
            name, [Point(places.get(place, math.nan), float(row)) for row, place in enumerate(order)], colour, "dots"
        )
        for colour, (name, places) in enumerate(means)
    ]
    x_ticks = ticks(*frame.x, most=5)
    name = f"PU21-PSNR of {words} by place"
    return Drawing(words, name, frame, x_ticks, "PU21-PSNR, dB", series[::-1], rows=order, unit="dB")


def _draw_training(
    quantity: str, members: Sequence[str], trainings: Sequence[Training], colours: dict[str, int]
) -> Drawing:
    """Draw one chart; ``colours`` by label grows, so that a label has one colour in all charts."""
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
    caption, x_ticks = f"{split or 'run'}: {_UNITS[kind]}", ticks(0.0, last, most=5)
    return Drawing(caption, f"{caption} against outer steps", frame, x_ticks, "outer step", series, y_ticks)


def _curves(label: str, points: Sequence[LoggedPoint], colour: int, *, is_loss: bool) -> list[Series]:
    """Return a loss on a logarithmic axis, faint below its running mean; other numbers as they are."""
    stride = -(-len(points) // _MOST_POINTS)
    if not is_loss:
        drawn = [Point(float(step), value) for step, value in points[::stride]]
        return [Series(label, drawn, colour, "line" if len(points) < 2 * _ROW else "plain")]
    positive = [point for point in points if point.value > 0]
    return [
        Series(label, [Point(float(step), math.log10(value)) for step, value in kept[::stride]], colour, style)
        for kept, style in ((positive, "faint"), (smooth(positive), "plain"))
    ]


def _powers(low: float, high: float) -> list[Tick]:
    """Return ticks at 1, 2 and 5 times powers of ten, for an axis of decimal logarithms; none if fewer than two fit."""
    values = [m * 10.0**e for e in range(math.floor(low), math.ceil(high) + 1) for m in (1, 2, 5)]
    fitting = [Tick(math.log10(value), f"{value:g}") for value in values if low <= math.log10(value) <= high]
    return fitting if 2 <= len(fitting) <= 8 else []
