"""Tables in Markdown, and results.json."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pooling import Pooled, Row, cells

from ldr2hdr.io.files import replacing

_COLUMNS: Final = (
    ("pu_psnr", "all", "PU21-PSNR all, dB"),
    ("pu_psnr", "well_exposed", "well-exposed"),
    ("pu_psnr", "clipped", "clipped"),
    ("log2_rmse", "all", "RMSE all, stops"),
)


def as_markdown(pooled: Pooled, *, test_set: str) -> str:
    """The table of one test set: means, then differences in italics; ``?`` marks what is undecided.

    The last column is the least and the largest PU21-PSNR of the training seeds.
    """
    lines = [f"| system | {' | '.join(heading for *_, heading in _COLUMNS)} | by seed |", "|---" * 6 + "|"]
    for rows, is_difference in ((pooled.means, False), (pooled.differences, True)):
        here = [row for row in rows if row.summary.ranges == test_set]
        found = cells(here)
        for name in dict.fromkeys(row.cell[0] for row in (here if is_difference else _by_steps(here))):
            shown = [_show(found[name, test_set, metric, region], is_difference) for metric, region, _ in _COLUMNS]
            spread = _spread(found[name, test_set, "pu_psnr", "all"], is_difference)
            lines.append(f"| {f'*{name}*' if is_difference else name} | {' | '.join(shown)} | {spread} |")
    return "\n".join(lines)


def best_of(pooled: Pooled, *, test_set: str) -> str:
    """The system with the highest mean PU21-PSNR on all pixels of a test set."""
    rows = [row for row in pooled.means if row.cell[1:] == (test_set, "pu_psnr", "all")]
    return max(rows, key=lambda row: row.summary.interval.mean).summary.name


def write_results(path: Path, pooled: Pooled, *, about: dict[str, Any]) -> None:
    """Keep the columns of the tables with their intervals and what each seed says, one row a line."""
    shown = {(metric, region) for metric, region, _ in _COLUMNS}
    parts = [json.dumps(about, indent=1).removesuffix("\n}")]
    for key, rows in pooled._asdict().items():
        records = (json.dumps(_record(row)) for row in rows if row.cell[2:] in shown)
        parts.append(f' "{key}": [\n' + ",\n".join(records) + "\n ]")
    with replacing(path) as temporary:
        temporary.write_text(",\n".join(parts) + "\n}\n", encoding="utf-8")


def _by_steps(rows: Sequence[Row]) -> list[Row]:
    """Sort the rows of one network by its number of steps; networks keep their order."""
    networks = list(dict.fromkeys(row.summary.stage._replace(steps=None) for row in rows))
    stages = {row.summary.stage: networks.index(row.summary.stage._replace(steps=None)) for row in rows}
    return sorted(rows, key=lambda row: (stages[row.summary.stage], row.summary.stage.steps or 0))


def _show(row: Row, is_difference: bool) -> str:
    digits, sign = (1 if row.summary.metric == "pu_psnr" else 2), ("+" if is_difference else "")
    mean, low, high, _ = row.summary.interval
    mark = " ?" if is_difference and row.is_undecided else ""
    return f"{mean:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]{mark}"


def _spread(row: Row, is_difference: bool) -> str:
    sign = "+" if is_difference else ""
    least, largest = min(row.by_seed), max(row.by_seed)
    return "" if least == largest else f"{least:{sign}.1f} to {largest:{sign}.1f}"


def _record(row: Row) -> dict[str, Any]:
    """JSON has no NaN: an undefined number is null."""
    stage, opponent = row.summary.stage._asdict(), row.summary.opponent
    columns = stage if opponent is None else {**stage, "opponent": opponent._asdict()}
    _, test_set, metric, region = row.cell
    numbers = {key: _number(value) for key, value in row.summary.interval._asdict().items()}
    by_seed = [_number(value) for value in row.by_seed]
    return {**columns, "test_set": test_set, "metric": metric, "region": region, **numbers, "by_seed": by_seed}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
