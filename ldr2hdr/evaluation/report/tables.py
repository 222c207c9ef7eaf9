"""Tables of means and of differences, with intervals as numbers and as pictures."""

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from ldr2hdr.evaluation.report.lines import ResultTable
from ldr2hdr.evaluation.report.svg import span
from ldr2hdr.evaluation.scoring import Summary
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.metrics.bootstrap import Interval, is_undecided

_COLUMNS: Final = (
    ("pu_psnr", "all", "all"),
    ("pu_psnr", "well_exposed", "well-exposed"),
    ("pu_psnr", "clipped", "clipped"),
    ("log2_rmse", "all", "all"),
    ("log2_rmse", "well_exposed", "well-exposed"),
    ("log2_rmse", "clipped", "clipped"),
)
_DECIMALS: Final = {"pu_psnr": 1, "log2_rmse": 2}
_BAR_WIDTH, _BAR_HEIGHT = 132, 16


def means_table(table: ResultTable) -> str:
    """Every system with its means; those that may be equal to the main one are marked."""
    shown = [stage for stage in table.stages if stage not in table.hidden]
    body = "".join(_means_row(table, stage) for stage in shown)
    hidden = [stage for stage in table.stages if stage in table.hidden]
    more = ""
    if hidden:
        rows = "".join(_means_row(table, stage) for stage in hidden)
        more = (
            f'<details class="card"><summary>{len(hidden)} more fine-tuned variants; above is the strongest'
            f'</summary><div class="scroll"><table>{_head("system")}<tbody>{rows}</tbody></table></div></details>'
        )
    return f'<div class="card scroll"><table class="means">{_head("system")}<tbody>{body}</tbody></table></div>{more}'


def differences_table(table: ResultTable) -> str:
    """The main system against each opponent; undecided differences are marked by words, not by colour alone."""
    if table.main is None:
        return ""
    bounds = _bounds(table.differences, with_zero=True)
    rows = []
    for opponent in table.opponents:
        cells = _cells(table.differences, table.main, opponent)
        bar = _bar(cells.get(("pu_psnr", "all")), bounds, has_zero=True)
        numbers = "".join(_cell(cells.get(column[:2]), column[0], is_difference=True) for column in _COLUMNS)
        rows.append(f'<tr><th scope="row">{escape(str(opponent))}</th><td class="bar">{bar}</td>{numbers}</tr>')
    table_text = f'<table class="differences">{_head("against")}<tbody>{"".join(rows)}</tbody></table>'
    return f'<div class="card scroll">{table_text}</div>'


def _head(first: str) -> str:
    names = "".join(f"<th>{label}</th>" for _, _, label in _COLUMNS)
    return (
        f'<thead><tr><th></th><th class="bar"></th><th colspan="3">PU21-PSNR, dB <span>more is better</span></th>'
        f'<th colspan="3">RMSE, stops <span>less is better</span></th></tr>'
        f'<tr><th>{first}</th><th class="bar">95 % interval, dB</th>{names}</tr></thead>'
    )


def _means_row(table: ResultTable, stage: Stage) -> str:
    cells, against_main = _cells(table.means, stage), _cells(table.differences, table.main, stage)
    bar = _bar(cells.get(("pu_psnr", "all")), _bounds(table.means, with_zero=False))
    numbers = "".join(
        _cell(cells.get((metric, region)), metric, against=against_main.get((metric, region)), main=str(table.main))
        for metric, region, _ in _COLUMNS
    )
    kind = ' class="main"' if stage == table.main else ""
    return f'<tr{kind}><th scope="row">{escape(str(stage))}</th><td class="bar">{bar}</td>{numbers}</tr>'


def _cells(
    rows: Sequence[Summary], stage: Stage | None, opponent: Stage | None = None
) -> dict[tuple[str, str], Interval]:
    return {(row.metric, row.region): row.interval for row in rows if (row.stage, row.opponent) == (stage, opponent)}


def _cell(
    interval: Interval | None,
    metric: str,
    *,
    is_difference: bool = False,
    against: Interval | None = None,
    main: str | None = None,
) -> str:
    """One number: its digits for reading, all of it in ``data-value``."""
    if interval is None or math.isnan(interval.mean):
        return '<td class="none">–</td>'
    sign, decimals = "+" if is_difference else "", _DECIMALS[metric]
    mean, low, high = (f"{value:{sign}.{decimals}f}".replace("-", "\N{MINUS SIGN}") for value in interval[:3])
    mark, kind = "", ""
    if is_difference and is_undecided(interval):
        mark, kind = '<abbr title="undecided: the interval holds 0">?</abbr>', ' class="undecided"'
    elif against is not None and is_undecided(against):
        mark = f'<abbr title="its difference from {escape(main or "")} is undecided">?</abbr>'
    elif is_difference and metric in _DECIMALS:
        kind = ' class="better"' if (interval.mean > 0) == (metric == "pu_psnr") else ' class="worse"'
    between = "" if math.isnan(interval.low) else f"<small>{low} … {high}</small>"
    return f'<td{kind} data-value="{interval.mean!r}"><b>{mean}</b>{mark}{between}</td>'


def _bounds(rows: Sequence[Summary], *, with_zero: bool) -> tuple[float, float]:
    """What every bar of a table spans."""
    intervals = [row.interval for row in rows if (row.metric, row.region) == ("pu_psnr", "all")]
    return span([number for interval in intervals for number in interval[:3]] + [0.0] * with_zero)


def _bar(interval: Interval | None, bounds: tuple[float, float], *, has_zero: bool = False) -> str:
    """The interval as a line with a dot; hollow if it holds 0."""
    if interval is None or math.isnan(interval.mean):
        return ""
    low, high = bounds
    mean, left, right = (6 + (value - low) / (high - low) * (_BAR_WIDTH - 12) for value in interval[:3])
    middle = _BAR_HEIGHT / 2
    parts = [f'<path class="grid" d="M6 {middle}H{_BAR_WIDTH - 6}"/>']
    if has_zero:
        zero = 6 - low / (high - low) * (_BAR_WIDTH - 12)
        parts.append(f'<path class="zero" d="M{zero:.1f} 0V{_BAR_HEIGHT}"/>')
    if not math.isnan(left):
        parts.append(f'<path class="range" d="M{left:.1f} {middle}H{right:.1f}"/>')
    hollow = " hollow" if has_zero and is_undecided(interval) else ""
    parts.append(f'<circle class="mean{hollow}" cx="{mean:.1f}" cy="{middle}" r="4"/>')
    return f'<svg viewBox="0 0 {_BAR_WIDTH} {_BAR_HEIGHT}" aria-hidden="true">{"".join(parts)}</svg>'
