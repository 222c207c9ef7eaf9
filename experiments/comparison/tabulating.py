"""Means, differences and the tables of the comparison, pooled over training seeds."""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from columns import Gauge
from contenders import Contender
from pooling import Row, pool

from ldr2hdr.evaluation.scoring import Score
from ldr2hdr.evaluation.stages import SINGLE_SHOT, Stage

_SETTINGS: Final = {"seed": 2, "num_resamples": 2000}


class Cell(NamedTuple):
    """One system in one column.

    Attributes:
        before: Its mean without support, by the column's gauge.
        after: That of its best stage with support; None if it has none.
        best: Its best stage of all, which ours is compared with.
        means: Of that stage, by metric and region.
        ours_minus: Ours minus that stage, by metric and region; empty for ours itself.
    """

    before: Row
    after: Row | None
    best: Stage
    means: dict[tuple[str, str], Row]
    ours_minus: dict[tuple[str, str], Row]


class Column(NamedTuple):
    """A column: what it is read by, and its cells by label."""

    gauge: Gauge
    cells: dict[str, Cell]


def tabulate(contenders: Sequence[Contender], by_seed: Sequence[Sequence[Score]], gauge: Gauge) -> Column:
    """Return every system that a column judged, ours against each at its best."""
    stages = list(dict.fromkeys(score.stage for score in by_seed[0]))
    (ours,) = (one for one in stages if one.system == contenders[0].name and one.verb != SINGLE_SHOT)
    pooled = pool(by_seed, [(str(ours), str(other)) for other in stages if other != ours], **_SETTINGS)
    means, differences = _by_stage(pooled.means), _by_stage(pooled.differences)
    found = {}
    for one in contenders:
        own = [stage for stage in stages if stage.system == one.name]
        if own:
            found[one.label] = _cell(own, means, differences, gauge)
    return Column(gauge, found)


def _cell(
    own: Sequence[Stage],
    means: Mapping[Stage, dict[tuple[str, str], Row]],
    differences: Mapping[Stage, dict[tuple[str, str], Row]],
    gauge: Gauge,
) -> Cell:
    shown = {stage: means[stage][gauge.metric, "all"] for stage in own}
    rank = {stage: gauge.sign * row.summary.interval.mean for stage, row in shown.items()}
    before, *after = own
    strongest = max(after, key=rank.__getitem__, default=before)
    # ours, which has no difference from itself, has no choice
    best = max(before, strongest, key=rank.__getitem__) if strongest in differences else strongest
    return Cell(shown[before], shown[strongest] if after else None, best, means[best], differences.get(best, {}))


def _by_stage(rows: Sequence[Row]) -> dict[Stage, dict[tuple[str, str], Row]]:
    """Rows by the stage, or by the opponent of a difference."""
    found: dict[Stage, dict[tuple[str, str], Row]] = {}
    for row in rows:
        stage = row.summary.opponent or row.summary.stage
        found.setdefault(stage, {})[row.summary.metric, row.summary.region] = row
    return found


def as_markdown(table: Mapping[str, Column], contenders: Sequence[Contender]) -> str:
    """Return the tables: the compact one of all, levels with and without support, and differences by region."""
    parts = [
        "**Level (ours minus it)**\n\n" + as_compact(table, contenders),
        "**Without support -> with it [95 % interval], least to largest training seed**\n\n"
        + _levels(table, contenders),
    ]
    parts += [f"**{name}: ours minus each**\n\n" + _regions(column, contenders) for name, column in table.items()]
    return "\n\n".join(parts) + "\n"


def as_compact(table: Mapping[str, Column], contenders: Sequence[Contender]) -> str:
    """Return the table that a page can show: each at its best, and ours minus it."""
    shown = [(name, metric) for name, column in table.items() for metric in column.gauge.shown]
    heads = (f"{name}, {table[name].gauge.shown[metric]}" for name, metric in shown)
    lines = [_row("system", *heads), _rule(len(shown) + 1)]
    for one in contenders:
        texts = [_compact(table[name].cells.get(one.label), (metric, "all"), table[name]) for name, metric in shown]
        lines.append(_row(f"**{one.label}**" if one.kind == "ours" else one.label, *texts))
    return "\n".join(lines)


def _compact(cell: Cell | None, key: tuple[str, str], column: Column) -> str:
    if cell is None:
        return "-"
    digits = column.gauge.digits
    level = f"{cell.means[key].summary.interval.mean:.{digits}f}"
    if not cell.ours_minus:
        return f"**{level}**{_seeds(cell.means[key], digits)}"
    return f"{level} ({_difference(cell, key, digits)})"


def _levels(table: Mapping[str, Column], contenders: Sequence[Contender]) -> str:
    lines = [_row("system", "parameters", "core s", *table), _rule(len(table) + 3)]
    for one in contenders:
        cost = ("", "")
        if one.trained:
            seconds = sum(run.cpu_s for run in one.trained) / len(one.trained)
            cost = f"{one.trained[0].num_parameters:,}".replace(",", " "), f"{seconds:.0f}"
        texts = [_level(column.cells.get(one.label), column.gauge.digits) for column in table.values()]
        lines.append(_row(one.label, *cost, *texts))
    return "\n".join(lines)


def _level(cell: Cell | None, digits: int) -> str:
    if cell is None:
        return "-"
    shown = cell.after or cell.before
    mean, low, high = (f"{value:.{digits}f}" for value in shown.summary.interval[:3])
    start = f"{cell.before.summary.interval.mean:.{digits}f} -> " if cell.after else ""
    return f"{start}{mean} [{low}, {high}]{_seeds(shown, digits)}"


def _seeds(row: Row, digits: int) -> str:
    """Return the least and the largest training seed, if there are several."""
    low, high = min(row.by_seed), max(row.by_seed)
    return f", {low:.{digits}f} to {high:.{digits}f}" if high > low else ""


def _regions(column: Column, contenders: Sequence[Contender]) -> str:
    known = next(iter(column.cells.values())).means
    keys = [key for key in known if key[0] == column.gauge.metric or key[1] in ("all", "clipped")]
    heads = (f"{metric} {region.replace('_', '-')}".removesuffix(" all") for metric, region in keys)
    lines = [_row("against", "its stage", *heads), _rule(len(keys) + 2)]
    for one in contenders:
        cell = column.cells.get(one.label)
        if cell is not None and cell.ours_minus:
            digits = [1 if metric == "pu_psnr" else 2 for metric, _ in keys]
            texts = [_difference(cell, key, places) for key, places in zip(keys, digits, strict=True)]
            lines.append(_row(one.label, cell.best.words, *texts))
    return "\n".join(lines)


def _difference(cell: Cell, key: tuple[str, str], digits: int) -> str:
    row = cell.ours_minus[key]
    mean, low, high = row.summary.interval[:3]
    if math.isnan(mean):
        return "-"
    return f"{mean:+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]{' ?' if row.is_undecided else ''}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(count: int) -> str:
    return "|---" * count + "|"
