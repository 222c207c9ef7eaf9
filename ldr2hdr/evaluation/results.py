"""Files and terminal tables of an evaluation: results.json and scores.csv.

Files of before format 2 name a system and its stage by one text, and a difference by ``A - B``. They are converted
where they are read, here and in ``stages.read_stage``.
"""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ldr2hdr.evaluation.scoring import Score, Summary, fine_tuned, strongest
from ldr2hdr.evaluation.stages import Stage, read_stage
from ldr2hdr.io.files import replacing, write_json
from ldr2hdr.metrics.bootstrap import Interval, is_undecided

TABLE_WIDTH: Final = 132
FORMAT: Final = 2  # 1 had no columns verb, steps and lr, and no opponents
SCORE_COLUMNS: Final = (*Stage._fields, *Score._fields[1:])
_FIRST_SCORE_COLUMNS: Final = ("system", *Score._fields[1:])
_LABELS: Final = ("camera_family", "ranges", "metric", "region")
_COLUMNS: Final = (
    ("pu_psnr", "all", "PU21-PSNR, dB\nall pixels"),
    ("pu_psnr", "well_exposed", "\nwell-exposed"),
    ("pu_psnr", "clipped", "\nclipped"),
    ("log2_rmse", "all", "RMSE, stops\nall"),
    ("log2_rmse", "well_exposed", "\nwell-exp."),
    ("log2_rmse", "clipped", "\nclipped"),
)


class Results(NamedTuple):
    """Means and differences of an evaluation."""

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
    rows = {"means": list(map(_record, summaries)), "differences": list(map(_record, differences))}
    write_json(folder / "results.json", {**about, "format": FORMAT, **rows})
    write_scores(folder / "scores.csv", scores)


def write_scores(path: Path, scores: Iterable[Score]) -> None:
    """Write a ``scores.csv``, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(SCORE_COLUMNS)
        writer.writerows((*score.stage, *score[1:]) for score in scores)


def read_scores(path: Path) -> Iterator[Score]:
    """Read a ``scores.csv``, row by row.

    Raises:
        ValueError: If it is not what ``write_scores`` writes, or wrote in format 1.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        heading = tuple(next(rows, []))
        if heading not in (SCORE_COLUMNS, _FIRST_SCORE_COLUMNS):
            raise ValueError(f"{path}: expected the columns {', '.join(SCORE_COLUMNS)}, got {', '.join(heading)}")
        for row in rows:
            try:
                fields = dict(zip(heading, row, strict=True))
                values: dict[str, Any] = {key: fields[key] for key in Score._fields[1:]}
                values |= {"picture": int(values["picture"]), "value": float(values["value"])}
                yield Score(read_stage(fields), **values)
            except ValueError:
                columns = len(heading)
                message = f"{path}, line {rows.line_num}: expected a score of {columns} fields, got {row}"
                raise ValueError(message) from None


def read_results(path: Path) -> Results:
    """Read the means and differences of a ``results.json``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not what ``write_results`` writes, or wrote in format 1, or lacks a metric of the tables.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no results at {path}; `python -m ldr2hdr.evaluate` writes them")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict) or not {"means", "differences"} <= content.keys():
        raise ValueError(f"{path} is not a results.json of ldr2hdr: it needs the keys means and differences")
    if content.get("format", 1) not in range(1, FORMAT + 1):
        raise ValueError(f"{path} is of format {content['format']}, this ldr2hdr reads up to {FORMAT}; update ldr2hdr")
    means = [_summary(path, record) for record in _rows(path, content, "means")]
    names = [str(stage) for stage in dict.fromkeys(row.stage for row in means)]
    pairs = [_with_opponent(record, names) for record in _rows(path, content, "differences")]
    results = Results(means, [_summary(path, record) for record in pairs])
    _require_complete(path, [*results.summaries, *results.differences])
    return results


def print_tables(console: Console, *, summaries: Sequence[Summary], differences: Sequence[Summary]) -> None:
    """Print one table of means and one of differences for each camera family and range.

    Of the fine-tuned systems, each with its rate and steps, the strongest is shown; the file has them all.
    """
    tuned = fine_tuned(summaries)
    shown = strongest(summaries, tuned)
    for family, ranges in dict.fromkeys((row.camera_family, row.ranges) for row in summaries):
        title = f"camera={family}, parameters {'as' if ranges == 'seen' else 'outside those'} seen in training"
        hidden = tuned - {shown.get((family, ranges))}
        means, paired = (
            [row for row in rows if (row.camera_family, row.ranges) == (family, ranges) and row.stage not in hidden]
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
    cells = {(row.name, row.metric, row.region): row for row in rows}
    for name in dict.fromkeys(row.name for row in rows):
        table.add_row(name, *(_cell(cells[name, metric, region], is_difference) for metric, region, _ in _COLUMNS))
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
    """Return the row for JSON, which has no NaN: an undefined number is null."""
    numbers = {name: None if math.isnan(value) else value for name, value in row.interval._asdict().items()}
    opponent = {} if row.opponent is None else {"opponent": row.opponent._asdict()}
    return {**row.stage._asdict(), **opponent, **{key: getattr(row, key) for key in _LABELS}, **numbers}


def _rows(path: Path, content: Mapping[str, Any], key: str) -> list[Any]:
    if not isinstance(content[key], list):
        raise ValueError(f"{path}: {key} must be a list of rows, got {content[key]!r:.200}")
    return content[key]


def _with_opponent(record: Any, names: Sequence[str]) -> Any:  # noqa: ANN401 (of JSON)
    """Part the name ``A - B`` of a difference of format 1; a name may hold the dash itself."""
    if not isinstance(record, dict) or "opponent" in record or "system" not in record:
        return record
    whole = str(record["system"])
    known = ((a, b) for a in names for b in names if f"{a} - {b}" == whole)
    system, opponent = next(known, whole.partition(" - ")[::2])
    return {**record, "system": system, "opponent": {"system": opponent}}


def _summary(path: Path, record: Any) -> Summary:  # noqa: ANN401 (of JSON)
    """Invert ``_record``."""
    columns = ("system", *_LABELS, *Interval._fields)
    if not isinstance(record, dict) or not record.keys() >= {*columns}:
        raise ValueError(f"{path}: expected rows of {', '.join(columns)}, got {record!r:.200}")
    labels = {key: record[key] for key in _LABELS}
    numbers: dict[str, Any] = {key: math.nan if record[key] is None else record[key] for key in Interval._fields}
    count = record["num_scenes"]
    is_valid = all(isinstance(text, str) for text in labels.values()) and isinstance(count, int) and count >= 0
    if not is_valid or not all(isinstance(value, int | float) for value in numbers.values()):
        raise ValueError(f"{path}: expected text, numbers (or null) and a count, got {record!r:.200}")
    try:
        opponent = read_stage(record["opponent"]) if "opponent" in record else None
        return Summary(read_stage(record), **labels, interval=Interval(**numbers), opponent=opponent)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected {', '.join(Stage._fields)} of a system, got {record!r:.200}") from error


def _require_complete(path: Path, rows: Sequence[Summary]) -> None:
    if not rows:
        raise ValueError(f"{path} holds no result")
    columns: dict[tuple[str, str, str], set[tuple[str, str]]] = {}
    for row in rows:
        columns.setdefault((row.name, row.camera_family, row.ranges), set()).add((row.metric, row.region))
    for (name, family, ranges), found in columns.items():
        missing = [f"{metric}/{region}" for metric, region, _ in _COLUMNS if (metric, region) not in found]
        if missing:
            raise ValueError(f"{path} lacks {', '.join(missing)} of {name!r}, camera={family}, {ranges} ranges")
