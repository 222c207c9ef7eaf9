"""Tables of means and of differences, with intervals as numbers and as pictures; ``tables.html`` writes them."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from ldr2hdr.evaluation.report.lines import ResultTable
from ldr2hdr.evaluation.report.svg import span
from ldr2hdr.evaluation.scoring import Summary
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.metrics.bootstrap import Interval, is_undecided

_COLUMNS: Final = [
    (metric, region) for metric in ("pu_psnr", "log2_rmse") for region in ("all", "well_exposed", "clipped")
]
_DECIMALS: Final = {"pu_psnr": 1, "log2_rmse": 2}


class Cell(NamedTuple):
    """Number of a table: its digits for reading, and all of it.

    Attributes:
        value: The number.
        mean: For reading.
        between: Its interval for reading; "" without one.
        kind: ``better``, ``worse`` or ``undecided``; "" for a mean.
        mark: Why it is marked with ``?``; "" if it is not.
    """

    value: str
    mean: str
    between: str
    kind: str
    mark: str


class Bar(NamedTuple):
    """Interval as a line with a dot, in pixels; hollow if it holds 0."""

    mean: float
    left: float
    right: float
    zero: float | None
    is_hollow: bool
    width: int = 132
    height: int = 16


class Row(NamedTuple):
    """Row of a table; None where there is no number."""

    name: str
    is_main: bool
    bar: Bar | None
    cells: list[Cell | None]


def rows_of_means(table: ResultTable) -> tuple[list[Row], list[Row]]:
    """Return every stage with its means, those that are hidden apart; what may be equal to the main one is marked."""
    shown = [_means_row(table, stage) for stage in table.stages if stage not in table.hidden]
    return shown, [_means_row(table, stage) for stage in table.stages if stage in table.hidden]


def rows_of_differences(table: ResultTable) -> list[Row]:
    """Return the main stage against each opponent; what is undecided is marked by words, not by colour alone."""
    bounds = _bounds(table.differences, with_zero=True)
    rows = []
    for opponent in table.opponents:
        cells = _cells(table.differences, table.main, opponent)
        numbers = [_difference(cells.get(column), column[0]) for column in _COLUMNS]
        rows.append(Row(str(opponent), False, _bar(cells.get(_COLUMNS[0]), bounds, has_zero=True), numbers))
    return rows


def _means_row(table: ResultTable, stage: Stage) -> Row:
    cells, against_main = _cells(table.means, stage), _cells(table.differences, table.main, stage)
    bar = _bar(cells.get(_COLUMNS[0]), _bounds(table.means, with_zero=False))
    numbers = [_mean(cells.get(column), column[0], against_main.get(column), table.main) for column in _COLUMNS]
    return Row(str(stage), stage == table.main, bar, numbers)


def _cells(
    rows: Sequence[Summary], stage: Stage | None, opponent: Stage | None = None
) -> dict[tuple[str, str], Interval]:
    return {(row.metric, row.region): row.interval for row in rows if (row.stage, row.opponent) == (stage, opponent)}


def _mean(interval: Interval | None, metric: str, against: Interval | None, main: Stage | None) -> Cell | None:
    is_marked = against is not None and is_undecided(against)
    return _cell(interval, metric, mark=f"its difference from {main} is undecided" if is_marked else "")


def _difference(interval: Interval | None, metric: str) -> Cell | None:
    if interval is not None and is_undecided(interval):
        return _cell(interval, metric, sign="+", kind="undecided", mark="undecided: the interval holds 0")
    is_better = interval is not None and (interval.mean > 0) == (metric == "pu_psnr")
    return _cell(interval, metric, sign="+", kind="better" if is_better else "worse")


def _cell(interval: Interval | None, metric: str, *, sign: str = "", kind: str = "", mark: str = "") -> Cell | None:
    if interval is None or math.isnan(interval.mean):
        return None
    form = f"{sign}.{_DECIMALS[metric]}f"
    mean, low, high = (f"{value:{form}}".replace("-", "\N{MINUS SIGN}") for value in interval[:3])
    return Cell(repr(interval.mean), mean, "" if math.isnan(interval.low) else f"{low} … {high}", kind, mark)


def _bounds(rows: Sequence[Summary], *, with_zero: bool) -> tuple[float, float]:
    """Return what every bar of a table spans."""
    intervals = [row.interval for row in rows if (row.metric, row.region) == _COLUMNS[0]]
    return span([number for interval in intervals for number in interval[:3]] + [0.0] * with_zero)


def _bar(interval: Interval | None, bounds: tuple[float, float], *, has_zero: bool = False) -> Bar | None:
    if interval is None or math.isnan(interval.mean):
        return None
    low, high = bounds
    width = Bar._field_defaults["width"] - 12
    mean, left, right, zero = (6 + (value - low) / (high - low) * width for value in (*interval[:3], 0.0))
    return Bar(mean, left, right, zero if has_zero else None, has_zero and is_undecided(interval))
