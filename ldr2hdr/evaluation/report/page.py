"""The report: one page that needs nothing else."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from ldr2hdr.evaluation.report.charts import places_charts, shots_charts, steps_charts, training_charts
from ldr2hdr.evaluation.report.lines import ResultTable, TableKey
from ldr2hdr.evaluation.report.pictures import Chosen, choose_scenes, viewer_blobs, viewer_data
from ldr2hdr.evaluation.report.runs import Evaluation, Runs, Training, read_runs
from ldr2hdr.evaluation.report.sweeps import sweeps_section
from ldr2hdr.evaluation.report.tables import differences_table, means_table
from ldr2hdr.evaluation.report.viewing import viewer_section
from ldr2hdr.io.files import replacing

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
    tables = _gather(runs.evaluations)
    room = int(max_mb * _MB) - _VIEWER_BYTES - len(_page(title, runs, tables, Chosen([], 0)).encode(errors="replace"))
    if room < 0:
        raise ValueError(f"tables and charts alone need more than {max_mb} MB by {-room} bytes; raise --max-mb")
    chosen = choose_scenes(runs.evaluations, max_bytes=room, max_scenes=max_scenes)
    text = _page(title, runs, tables, chosen)
    with replacing(path) as temporary:
        # a file name may hold bytes that are no text
        temporary.write_text(text, encoding="utf-8", errors="replace")
    return chosen


def _gather(evaluations: Sequence[Evaluation]) -> Tables:
    """What every evaluation says of each camera family, range and support."""
    tables: dict[TableKey, list[tuple[Evaluation, ResultTable]]] = {}
    for evaluation in evaluations:
        for key, table in evaluation.tables.items():
            tables.setdefault(key, []).append((evaluation, table))
    return tables


def _page(title: str, runs: Runs, tables: Tables, chosen: Chosen) -> str:
    sections = {
        "Sweeps": sweeps_section(runs.sweeps),
        "Results": _results(tables),
        "Pictures": viewer_section(chosen),
        "Charts": _charts(tables),
        "Training": training_charts(runs.trainings),
        "Runs": _about(runs),
    }
    shown = {heading: body for heading, body in sections.items() if body}
    links = "".join(f'<a href="#{heading.lower()}">{heading}</a>' for heading in shown)
    body = "".join(
        f'<section id="{heading.lower()}"><h2>{heading}</h2>{text}</section>' for heading, text in shown.items()
    )
    css, script = (files(__package__).joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "viewer.js"))
    blobs = "\n".join(viewer_blobs(chosen.scenes))
    data = json.dumps(viewer_data(chosen.scenes), allow_nan=False).replace("<", "\\u003c")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><link rel="icon" href="data:,">'
        f"<style>\n{css}</style></head>\n<body><main>{_head(title, runs, tables, chosen)}<nav>{links}</nav>{body}"
        f'</main>\n<script type="application/json" id="viewer-data">{data}</script>\n'
        f"{blobs}\n<script>\n{script}</script></body></html>\n"
    )


def _head(title: str, runs: Runs, tables: Tables, chosen: Chosen) -> str:
    evaluations, trainings, sweeps = runs
    places = {picture.place for run in evaluations for picture in run.judged.pictures()}
    judged = {(run.name, picture) for run in evaluations for picture in run.judged.pictures()}
    systems = {str(stage) for run in evaluations for stage in run.judged.stages()}
    numbers = {
        "evaluation": len(evaluations),
        "training run": len(trainings),
        "sweep": len(sweeps),
        "table": len(tables),
        "system": len(systems),
        "place": len(places),
        "picture judged": len(judged),
    }
    tiles = "".join(
        f'<div class="tile"><b>{number}</b><span>{_plural(name, number)}</span></div>'
        for name, number in numbers.items()
        if number
    )
    names = ", ".join(escape(run.name) for run in _all(runs))
    return f'<h1>{escape(title)}</h1><div class="soft path">{names}</div><div class="tiles">{tiles}</div>'


def _plural(name: str, number: int) -> str:
    if number == 1:
        return name
    first, _, rest = name.partition(" ")
    return f"{first}s {rest}" if rest == "judged" else f"{name}s"


def _results(tables: Tables) -> str:
    if not tables:
        return ""
    panels = []
    for key, rows in tables.items():
        parts = []
        adapted = f", adapted on {key.support}" if key.support else ""
        for evaluation, table in rows:
            places = max(row.interval.num_scenes for row in table.means)
            heading = f"{evaluation.name}: " if len(rows) > 1 else ""
            shots = f", K = {evaluation.shots}" if evaluation.shots is not None else ""
            title = f"{heading}means over {places} place{'s' * (places != 1)}{shots}{adapted}"
            parts.append(f"<h3>{escape(title)}</h3>{means_table(table)}")
            differences = differences_table(table)
            if differences:
                parts.append(f"<h3>{escape(str(table.main))}, difference picture by picture</h3>{differences}")
        panels.append(_panel(key, "".join(parts)))
    text = (
        "Below each mean its 95 % interval (bootstrap over places). <b>?</b> marks what is undecided: the interval of "
        "the paired difference holds 0. With few places the true coverage is below 95 %, about 85 % with 5."
    )
    return f'<p class="soft">{text}</p>{_chooser(tables, "results")}{"".join(panels)}'


def _charts(tables: Tables) -> str:
    panels = []
    for key, rows in tables.items():
        parts = []
        for evaluation, table in rows:
            name = f"{escape(evaluation.name)}: " if len(rows) > 1 else ""
            parts.append(_titled(f"{name}PU21-PSNR against inner steps, dB", steps_charts(table)))
            parts.append(_titled(f"{name}mean of every place", places_charts(evaluation, table)))
        with_shots = [(run.shots, table) for run, table in rows if run.shots is not None]
        parts.append(_titled("PU21-PSNR against shots K, dB", shots_charts(with_shots)))
        panels.append(_panel(key, "".join(parts)))
    return f"{_chooser(tables, 'charts')}{''.join(panels)}" if tables else ""


def _titled(title: str, body: str) -> str:
    return f"<h3>{title}</h3>{body}" if body else ""


def _chooser(tables: Tables, where: str) -> str:
    """One set of radio buttons per section, which name the support if it differs; the script keeps them equal."""
    has_several = len({key.support for key in tables}) > 1
    titles = {key: (key if has_several else key._replace(support="")).title for key in tables}
    radios = "".join(
        f'<label><input type="radio" name="table-{where}" value="{escape(_id(key))}">{escape(title)}</label>'
        for key, title in titles.items()
    )
    legend = f"<legend>Camera family{', ranges and support' if has_several else ' and ranges'}</legend>"
    return f'<fieldset class="segmented" data-choose>{legend}<div>{radios}</div></fieldset>'


def _panel(key: TableKey, body: str) -> str:
    return f'<div data-panel="{escape(_id(key))}">{body}</div>'


def _id(key: TableKey) -> str:
    return "/".join(filter(None, key))


def _about(runs: Runs) -> str:
    return "".join(map(_about_run, _all(runs)))


def _all(runs: Runs) -> list[Evaluation | Training]:
    return [*runs.evaluations, *runs.trainings]


def _about_run(run: Evaluation | Training) -> str:
    facts: dict[str, Any] = {"folder": run.folder, "commit": run.about.get("commit")}
    facts["packages"] = ", ".join(f"{name} {number}" for name, number in (run.about.get("versions") or {}).items())
    facts |= {key: run.about.get(key) for key in ("checkpoint_sha256", "supervised_sha256", "trained_on_cameras")}
    rows = "".join(f"<dt>{key}</dt><dd>{escape(str(value))}</dd>" for key, value in facts.items() if value)
    parts = [f"<dl>{rows}</dl>"]
    for key in ("protocol", "config"):
        if run.about.get(key):
            text = escape(yaml.safe_dump(run.about[key], sort_keys=False, allow_unicode=True))
            parts.append(f"<details><summary>{key}</summary><pre>{text}</pre></details>")
    return f'<details class="card"><summary><b>{escape(run.name)}</b></summary>{"".join(parts)}</details>'
