"""Report: one page that needs nothing else, written by ``page.html``."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from ldr2hdr.evaluation.report.charts import places_charts, shots_charts, steps_charts, training_charts
from ldr2hdr.evaluation.report.lines import ResultTable, TableKey
from ldr2hdr.evaluation.report.pictures import (
    ERROR_COLOURS,
    ERROR_STOPS,
    SIGNED_COLOURS,
    Chosen,
    choose_scenes,
    gradient,
    viewer_data,
)
from ldr2hdr.evaluation.report.runs import Evaluation, Runs, Training, read_runs
from ldr2hdr.evaluation.report.tables import rows_of_differences, rows_of_means
from ldr2hdr.io.files import replacing
from ldr2hdr.io.html import render
from ldr2hdr.training.sweeps.standing import rank
from ldr2hdr.training.sweeps.summary import NOTES
from ldr2hdr.training.sweeps.table import Table as SweepTable
from ldr2hdr.training.sweeps.table import tabulate

DEFAULT_MAX_MB: Final = 25.0
DEFAULT_MAX_SCENES: Final = 40
_MB: Final = 10**6
_VIEWER_BYTES: Final = 20_000  # its controls, which a page without pictures lacks
# Nothing may be loaded from anywhere, by whatever a name in a run says
_POLICY: Final = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"

Tables = Mapping[TableKey, list[tuple[Evaluation, ResultTable]]]


def write_report(
    path: Path,
    folders: Iterable[Path],
    *,
    title: str = "ldr2hdr report",
    max_mb: float = DEFAULT_MAX_MB,
    max_scenes: int = DEFAULT_MAX_SCENES,
) -> Chosen:
    """Read runs and write their report, whole or not at all.

    Args:
        path: The page.
        folders: Evaluations, training runs and sweeps.
        title: Its heading.
        max_mb: Size of the page in 10**6 bytes; pictures that do not fit are left out.
        max_scenes: Most sampled pictures to show.

    Returns:
        The scenes shown, and how many there are.

    Raises:
        FileNotFoundError: If a folder, or a file of a run, is missing.
        ValueError: If a folder holds no run, or there is no room for tables and charts.
    """
    runs = read_runs(folders)
    write = functools.partial(_page, title, runs, _gather(runs.evaluations), _tabulate_sweeps(runs))
    room = int(max_mb * _MB) - _VIEWER_BYTES - len(write(Chosen([], 0)).encode(errors="replace"))
    if room < 0:
        raise ValueError(f"tables and charts alone need more than {max_mb} MB by {-room} bytes; raise --max-mb")
    chosen = choose_scenes(runs.evaluations, max_bytes=room, max_scenes=max_scenes)
    text = write(chosen)
    with replacing(path) as temporary:
        # a file name may hold bytes that are no text
        temporary.write_text(text, encoding="utf-8", errors="replace")
    return chosen


def _gather(evaluations: Sequence[Evaluation]) -> Tables:
    """Return what every evaluation says of each camera family, range and support."""
    tables: dict[TableKey, list[tuple[Evaluation, ResultTable]]] = {}
    for evaluation in evaluations:
        for key, table in evaluation.tables.items():
            tables.setdefault(key, []).append((evaluation, table))
    return tables


def _tabulate_sweeps(runs: Runs) -> list[tuple[str, SweepTable]]:
    return [(sweep.name, tabulate(sweep.jobs, rank(sweep.jobs))) for sweep in runs.sweeps]


def _page(title: str, runs: Runs, tables: Tables, sweeps: list[tuple[str, SweepTable]], chosen: Chosen) -> str:
    abouts: list[Evaluation | Training] = [*runs.evaluations, *runs.trainings]
    has_several = len({key.support for key in tables}) > 1
    return render(
        "evaluation/report/page.html",
        title=title,
        policy=_POLICY,
        tiles=_count(runs, tables),
        abouts=[(run, _facts(run)) for run in abouts],
        sweeps=sweeps,
        notes=NOTES,
        panels=[_panel(key, rows, with_support=has_several) for key, rows in tables.items()],
        with_support=has_several,
        training=training_charts(runs.trainings),
        chosen=chosen,
        data=viewer_data(chosen.scenes),
        gradients={"error": gradient(ERROR_COLOURS), "signed": gradient(SIGNED_COLOURS)},
        most=ERROR_STOPS,
        dump=lambda node: yaml.safe_dump(node, sort_keys=False, allow_unicode=True),
    )


def _count(runs: Runs, tables: Tables) -> list[tuple[int, str]]:
    """Return the numbers above the page with their names; what there is none of is left out."""
    evaluations, trainings, sweeps = runs
    judged = {(run.name, picture) for run in evaluations for picture in run.judged.pictures()}
    numbers = {
        ("evaluation", "evaluations"): len(evaluations),
        ("training run", "training runs"): len(trainings),
        ("sweep", "sweeps"): len(sweeps),
        ("table", "tables"): len(tables),
        ("system", "systems"): len({str(stage) for run in evaluations for stage in run.judged.stages()}),
        ("place", "places"): len({picture.place for _, picture in judged}),
        ("picture judged", "pictures judged"): len(judged),
    }
    return [(number, names[number != 1]) for names, number in numbers.items() if number]


def _panel(key: TableKey, rows: Sequence[tuple[Evaluation, ResultTable]], *, with_support: bool) -> dict[str, Any]:
    """Return what the page shows of one camera family, range and support."""
    return {
        "id": "/".join(filter(None, key)),
        "title": (key if with_support else key._replace(support="")).title,
        "support": key.support,
        "shots": shots_charts([(run.shots, table) for run, table in rows if run.shots is not None]),
        "rows": [
            {
                "name": f"{run.name}: " if len(rows) > 1 else "",
                "shots": run.shots,
                "places": max(row.interval.num_scenes for row in table.means),
                "means": rows_of_means(table),
                "main": table.main,
                "differences": rows_of_differences(table),
                "steps": steps_charts(table),
                "by_place": places_charts(run, table),
            }
            for run, table in rows
        ],
    }


def _facts(run: Evaluation | Training) -> dict[str, Any]:
    """Return what is known of a run, by name."""
    packages = ", ".join(f"{name} {number}" for name, number in (run.about.get("versions") or {}).items())
    facts = {"folder": run.folder, "commit": run.about.get("commit"), "packages": packages}
    facts |= {key: run.about.get(key) for key in ("checkpoint_sha256", "supervised_sha256", "trained_on_cameras")}
    return {key: value for key, value in facts.items() if value}
