"""What an evaluation leaves behind: results.json, scores.csv and a table on the terminal."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ldr2hdr.callbacks import write_json
from ldr2hdr.evaluation import Score, Summary
from ldr2hdr.io.files import replacing
from ldr2hdr.metrics.bootstrap import is_undecided

_COLUMNS = (
    ("pu_psnr", "all", "PU21-PSNR all, dB"),
    ("pu_psnr", "well_exposed", "well-exposed"),
    ("pu_psnr", "clipped", "clipped"),
    ("log2_rmse", "all", "RMSE all, stops"),
    ("log2_rmse", "well_exposed", "well-exposed"),
    ("log2_rmse", "clipped", "clipped"),
)


def write_results(
    folder: Path,
    *,
    scores: Sequence[Score],
    summaries: Sequence[Summary],
    differences: Sequence[Summary],
    about: dict[str, Any],
) -> None:
    """Write ``results.json`` (means, differences, protocol) and ``scores.csv`` (one row per picture and metric)."""
    write_json(
        folder / "results.json",
        {**about, "means": [_record(row) for row in summaries], "differences": [_record(row) for row in differences]},
    )
    with replacing(folder / "scores.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Score._fields)
        writer.writerows(scores)


def print_tables(console: Console, *, summaries: Sequence[Summary], differences: Sequence[Summary]) -> None:
    """Print one table of means and one of differences for each camera family and range."""
    for family, ranges in dict.fromkeys((row.camera_family, row.ranges) for row in summaries):
        title = f"camera={family}, parameter ranges {ranges} in training"
        chosen = [row for row in summaries if (row.camera_family, row.ranges) == (family, ranges)]
        places = max(count for *_, count in (row.interval for row in chosen))
        console.print(_table(f"{title}: mean over {places} places [95 % interval]", chosen, is_difference=False))
        chosen = [row for row in differences if (row.camera_family, row.ranges) == (family, ranges)]
        if chosen:
            console.print(_table(f"{title}: paired differences, ? = undecided", chosen, is_difference=True))


def _table(title: str, rows: Sequence[Summary], *, is_difference: bool) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("system")
    for _, _, heading in _COLUMNS:
        table.add_column(heading, justify="right")
    cells = {(row.system, row.metric, row.region): row for row in rows}
    for system in dict.fromkeys(row.system for row in rows):
        shown = [_cell(cells[system, metric, region], is_difference) for metric, region, _ in _COLUMNS]
        table.add_row(system, *shown)
    return table


def _cell(row: Summary, is_difference: bool) -> str:
    mean, low, high, count = row.interval
    if count == 0:
        return "-"
    digits = 1 if row.metric == "pu_psnr" else 2
    mark = "" if not is_difference else " ?" if is_undecided(row.interval) else "  "
    sign = "+" if is_difference else ""
    return f"{mean:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]{mark}"


def _record(row: Summary) -> dict[str, Any]:
    """JSON has no NaN: an undefined number is null."""
    numbers = {name: None if math.isnan(value) else value for name, value in row.interval._asdict().items()}
    labels = {k: v for k, v in row._asdict().items() if k != "interval"}
    return {**labels, **numbers}
