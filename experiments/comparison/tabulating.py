"""Means, differences and the table of the comparison, from the scores of every picture."""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import torch
from columns import Entry

from ldr2hdr.evaluation.comparison.judged import Column, Judged
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.metrics.bootstrap import Interval, bootstrap_difference, bootstrap_mean, is_undecided

REGIONS: Final = ("all", "well_exposed", "clipped", "dark")
_METRICS: Final = ("pu_psnr", "log2_rmse")
_SEED: Final = 2


class Cell(NamedTuple):
    """One system in one column.

    Attributes:
        before: PU21-PSNR without support, all pixels.
        after: The same of its best stage with support, by the mean of this column; None if it has none.
        best: Its best stage of all, which ours is compared with.
        means: Of that stage, by metric and region.
        ours_minus: Ours minus that stage, by metric and region; empty for ours itself.
    """

    before: Interval
    after: Interval | None
    best: Stage
    means: dict[tuple[str, str], Interval]
    ours_minus: dict[tuple[str, str], Interval]


def tabulate(entries: Sequence[Entry], judged: Mapping[str, Judged]) -> dict[str, dict[str, Cell]]:
    """Every system in every column that judged it, by labels."""
    ours = next(entry for entry in entries if entry.kind == "ours")
    return {
        column: {entry.label: _cell(found, entry, ours.after[0]) for entry in entries if entry.before in found.stages()}
        for column, found in judged.items()
    }


def _cell(judged: Judged, entry: Entry, ours: Stage) -> Cell:
    before = _mean(judged, entry.before, "pu_psnr", "all")
    after = {stage: _mean(judged, stage, "pu_psnr", "all") for stage in entry.after}
    strongest = max(after, key=lambda stage: after[stage].mean, default=None)
    best = entry.before
    if strongest is not None and (entry.kind == "ours" or after[strongest].mean > before.mean):
        best = strongest
    keys = [(metric, region) for metric in _METRICS for region in REGIONS]
    return Cell(
        before,
        None if strongest is None else after[strongest],
        best,
        {key: _mean(judged, best, *key) for key in keys},
        {} if best == ours else {key: _difference(judged, ours, best, *key) for key in keys},
    )


def _scores(judged: Judged, stage: Stage, metric: str, region: str) -> tuple[torch.Tensor, list[str]]:
    rows = judged.scores.get(Column(stage, metric, region), {})
    return torch.tensor(list(rows.values()), dtype=torch.float64), [picture.place for picture in rows]


def _mean(judged: Judged, stage: Stage, metric: str, region: str) -> Interval:
    return bootstrap_mean(*_scores(judged, stage, metric, region), generator=torch.Generator().manual_seed(_SEED))


def _difference(judged: Judged, ours: Stage, other: Stage, metric: str, region: str) -> Interval:
    values, places = _scores(judged, ours, metric, region)
    baseline, _ = _scores(judged, other, metric, region)
    return bootstrap_difference(values, baseline, places, generator=torch.Generator().manual_seed(_SEED))


def as_markdown(table: Mapping[str, Mapping[str, Cell]], entries: Sequence[Entry]) -> str:
    """The tables: PU21-PSNR of all, ours minus each, and the same by region for each column."""
    parts = [
        "**PU21-PSNR, all pixels, dB: without support -> with it [95 % interval]**\n\n" + _levels(table, entries),
        "**Ours minus each at its best stage: PU21-PSNR, all pixels, dB**\n\n" + _differences(table, entries),
    ]
    parts += [f"**{column}: ours minus each**\n\n" + _regions(cells, entries) for column, cells in table.items()]
    return "\n\n".join(parts) + "\n"


def _levels(table: Mapping[str, Mapping[str, Cell]], entries: Sequence[Entry]) -> str:
    lines = [_row("system", "parameters", "core s", *table), _rule(len(table) + 3)]
    for entry in entries:
        size = (
            ("", "") if entry.trained is None else (_spaced(entry.trained.num_parameters), f"{entry.trained.cpu_s:.0f}")
        )
        lines.append(_row(entry.label, *size, *(_level(cells.get(entry.label)) for cells in table.values())))
    return "\n".join(lines)


def _level(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    shown = cell.before if cell.after is None else cell.after
    start = "" if cell.after is None else f"{cell.before.mean:.1f} -> "
    return f"{start}{shown.mean:.1f} [{shown.low:.1f}, {shown.high:.1f}]"


def _differences(table: Mapping[str, Mapping[str, Cell]], entries: Sequence[Entry]) -> str:
    lines = [_row("against", *table), _rule(len(table) + 1)]
    for entry in entries:
        cells = [column.get(entry.label) for column in table.values()]
        if entry.kind != "ours":
            lines.append(_row(entry.label, *(_difference_text(cell, ("pu_psnr", "all")) for cell in cells)))
    return "\n".join(lines)


def _regions(cells: Mapping[str, Cell], entries: Sequence[Entry]) -> str:
    keys = [("pu_psnr", region) for region in REGIONS] + [("log2_rmse", "all"), ("log2_rmse", "clipped")]
    heads = ("PU21-PSNR all, dB", "well-exposed", "clipped", "dark", "RMSE all, stops", "clipped")
    lines = [_row("against", "its stage", *heads), _rule(len(heads) + 2)]
    for entry in entries:
        cell = cells.get(entry.label)
        if entry.kind != "ours" and cell is not None:
            lines.append(_row(entry.label, cell.best.words, *(_difference_text(cell, key) for key in keys)))
    return "\n".join(lines)


def _difference_text(cell: Cell | None, key: tuple[str, str]) -> str:
    if cell is None or key not in cell.ours_minus or math.isnan(cell.ours_minus[key].mean):
        return "-"
    found, digits = cell.ours_minus[key], 1 if key[0] == "pu_psnr" else 2
    mean, low, high = (f"{value:+.{digits}f}" for value in found[:3])
    return f"{mean} [{low}, {high}]{' ?' if is_undecided(found) else ''}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(count: int) -> str:
    return "|---" * count + "|"


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")
