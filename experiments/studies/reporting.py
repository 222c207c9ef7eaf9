"""Tables in Markdown, and results.json."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pooling import Pooled, Row, cells

from ldr2hdr.io.files import replacing

_KEPT: Final = {("pu_psnr", "all"), ("pu_psnr", "well_exposed"), ("pu_psnr", "clipped"), ("log2_rmse", "all")}


def as_markdown(pooled: Pooled, *, region: str = "all") -> str:
    """Return one table of PU21-PSNR, a column for each test set; differences in italics, ``?`` if undecided."""
    test_sets = list(dict.fromkeys(row.cell[1] for row in pooled.means))
    lines = [f"| system | {' | '.join(test_sets)} |", "|---" * (len(test_sets) + 1) + "|"]
    for rows, is_difference in ((_by_steps(pooled.means), False), (pooled.differences, True)):
        found = cells(rows)
        for name in dict.fromkeys(row.cell[0] for row in rows):
            here = [found.get((name, test_set, "pu_psnr", region)) for test_set in test_sets]
            shown = ["" if row is None else _show(row, is_difference) for row in here]
            lines.append(f"| {f'*{name}*' if is_difference else name} | {' | '.join(shown)} |")
    return "\n".join(lines)


def best_of(pooled: Pooled, *, test_set: str) -> str:
    """The system with the highest mean PU21-PSNR on all pixels of a test set."""
    rows = [row for row in pooled.means if row.cell[1:] == (test_set, "pu_psnr", "all")]
    return max(rows, key=lambda row: row.summary.interval.mean).summary.name


def write_results(path: Path, pooled: Pooled, *, about: dict[str, Any]) -> None:
    """Keep means and differences with their intervals and what each seed says, one row a line."""
    parts = [json.dumps(about, indent=1).removesuffix("\n}")]
    for key, rows in pooled._asdict().items():
        records = (json.dumps(_record(row)) for row in rows if row.cell[2:] in _KEPT)
        parts.append(f' "{key}": [\n' + ",\n".join(records) + "\n ]")
    with replacing(path) as temporary:
        temporary.write_text(",\n".join(parts) + "\n}\n", encoding="utf-8")


def _by_steps(rows: Sequence[Row]) -> list[Row]:
    """Sort the rows of one network by its number of steps; networks keep their order."""
    networks = list(dict.fromkeys(row.summary.stage._replace(steps=None) for row in rows))
    stages = {row.summary.stage: networks.index(row.summary.stage._replace(steps=None)) for row in rows}
    return sorted(rows, key=lambda row: (stages[row.summary.stage], row.summary.stage.steps or 0))


def _show(row: Row, is_difference: bool) -> str:
    sign = "+" if is_difference else ""
    mean, low, high, _ = row.summary.interval
    mark = " ?" if is_difference and row.is_undecided else ""
    return f"{mean:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]{mark}"


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
