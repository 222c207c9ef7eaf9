"""What an evaluation leaves behind: results.json, scores.csv and a table on the terminal."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ldr2hdr.evaluation.scoring import Score, Summary, strongest
from ldr2hdr.io.files import replacing
from ldr2hdr.metrics.bootstrap import Interval, is_undecided
from ldr2hdr.training.callbacks import write_json

TABLE_WIDTH: Final = 132
_COLUMNS: Final = (
    ("pu_psnr", "all", "PU21-PSNR, dB\nall pixels"),
    ("pu_psnr", "well_exposed", "\nwell-exposed"),
    ("pu_psnr", "clipped", "\nclipped"),
    ("log2_rmse", "all", "RMSE, stops\nall"),
    ("log2_rmse", "well_exposed", "\nwell-exp."),
    ("log2_rmse", "clipped", "\nclipped"),
)


class Results(NamedTuple):
    """What of an evaluation its tables show."""

    summaries: list[Summary]
    differences: list[Summary]


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


def read_results(path: Path) -> Results:
    """Read the means and differences of a ``results.json``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not what ``write_results`` writes, or lacks a metric of the tables.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no results at {path}; `python -m ldr2hdr.evaluate` writes them")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict) or not {"means", "differences"} <= content.keys():
        raise ValueError(f"{path} is not a results.json of ldr2hdr: it needs the keys means and differences")
    results = Results(*(_summaries(path, key, content[key]) for key in ("means", "differences")))
    _require_complete(path, [*results.summaries, *results.differences])
    return results


def print_tables(console: Console, *, summaries: Sequence[Summary], differences: Sequence[Summary]) -> None:
    """Print one table of means and one of differences for each camera family and range.

    Of the fine-tuned systems, each with its rate and steps, the strongest is shown; the file has them all.
    """
    fine_tuned = {row.system for row in summaries if ", fine-tuned, " in row.system}
    shown = strongest(summaries, fine_tuned)
    for family, ranges in dict.fromkeys((row.camera_family, row.ranges) for row in summaries):
        title = f"camera={family}, parameters {'as' if ranges == 'seen' else 'outside those'} seen in training"
        hidden = fine_tuned - {shown.get((family, ranges), "")}
        means, paired = (
            [row for row in rows if (row.camera_family, row.ranges) == (family, ranges) and row.system not in hidden]
            for rows in (summaries, differences)
        )
        places = max(row.interval.num_scenes for row in means)
        console.print(_table(f"{title}: means over {places} places [95 % interval]", means, is_difference=False))
        if paired:
            console.print(_table("paired differences [95 % interval], ? = undecided", paired, is_difference=True))
        console.print(f"With {places} places the true coverage of these intervals is below 95 %.\n")


def _table(title: str, rows: Sequence[Summary], *, is_difference: bool) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
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
    sign = "+" if is_difference else ""
    mark = "" if not is_difference else " ?" if is_undecided(row.interval) else "  "
    if row.metric != "pu_psnr":  # its intervals are in the file
        return f"{mean:{sign}.2f}{mark}"
    return f"{mean:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]{mark}"


def _record(row: Summary) -> dict[str, Any]:
    """JSON has no NaN: an undefined number is null."""
    numbers = {name: None if math.isnan(value) else value for name, value in row.interval._asdict().items()}
    labels = {k: v for k, v in row._asdict().items() if k != "interval"}
    return {**labels, **numbers}


def _summaries(path: Path, key: str, records: object) -> list[Summary]:
    if not isinstance(records, list):
        raise ValueError(f"{path}: {key} must be a list of rows, got {records!r:.200}")
    return [_summary(path, record) for record in records]


def _summary(path: Path, record: object) -> Summary:
    """Invert ``_record``."""
    labels, numbers = Summary._fields[:-1], Interval._fields[:-1]
    if not isinstance(record, dict) or record.keys() != {*labels, *Interval._fields}:
        raise ValueError(f"{path}: expected rows of {', '.join((*labels, *Interval._fields))}, got {record!r:.200}")
    texts = [record[key] for key in labels]
    values = [math.nan if record[key] is None else record[key] for key in numbers]
    count = record[Interval._fields[-1]]
    is_valid = all(isinstance(text, str) for text in texts) and isinstance(count, int) and count >= 0
    if not is_valid or not all(isinstance(value, int | float) for value in values):
        raise ValueError(f"{path}: expected text, numbers (or null) and a count, got {record!r:.200}")
    interval = Interval(**dict(zip(numbers, values, strict=True)), num_scenes=count)
    return Summary(**dict(zip(labels, texts, strict=True)), interval=interval)


def _require_complete(path: Path, rows: Sequence[Summary]) -> None:
    if not rows:
        raise ValueError(f"{path} holds no result")
    columns: dict[tuple[str, str, str], set[tuple[str, str]]] = {}
    for row in rows:
        columns.setdefault((row.system, row.camera_family, row.ranges), set()).add((row.metric, row.region))
    for (system, family, ranges), found in columns.items():
        missing = [f"{metric}/{region}" for metric, region, _ in _COLUMNS if (metric, region) not in found]
        if missing:
            raise ValueError(f"{path} lacks {', '.join(missing)} of {system!r}, camera={family}, {ranges} ranges")
