"""The diagnosis for people: one page that needs nothing else, doctor.html."""

import base64
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Final

from ldr2hdr.data.doctor.charts import draw_response
from ldr2hdr.data.doctor.diagnosis import Diagnosis
from ldr2hdr.data.doctor.facts import SceneFacts
from ldr2hdr.data.doctor.findings import KIND_TEXTS, Finding, Group, group_findings
from ldr2hdr.data.doctor.measures import Row, measure_exposures, measure_hdrs
from ldr2hdr.data.doctor.report import count, relative, summarise
from ldr2hdr.data.doctor.style import CSS
from ldr2hdr.io.files import replacing

_MAX_LISTED: Final = 50
_MAX_CHARTS: Final = 6


def write_page(path: Path, diagnosis: Diagnosis) -> None:
    """Write the page, whole or not at all. Of each kind of finding the first 50 are listed."""
    with replacing(path) as temporary:
        # a file name may hold bytes that are no text
        temporary.write_text(_page(diagnosis), encoding="utf-8", errors="replace")


def _page(diagnosis: Diagnosis) -> str:
    title = escape(f"{diagnosis.dataset}: {diagnosis.root.name or diagnosis.root}")
    groups = group_findings(diagnosis.findings)
    sections = [
        _head(diagnosis, groups),
        _findings(groups, diagnosis.root),
        _table("Exposures: nominal against measured EV", _EV_TEXT, measure_exposures(diagnosis.scenes)),
        _table("HDR: scale, linearity and range", _HDR_TEXT, measure_hdrs(diagnosis.scenes)),
        _responses(diagnosis),
        _scenes(diagnosis),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{CSS}</style></head>\n<body><main>\n{''.join(sections)}\n</main></body></html>\n"
    )


_EV_TEXT: Final = (
    "Measured through the response that the HDR tells; without an HDR, as if it were sRGB, which is rough. "
    "Black and white are mean shares of pixels."
)
_HDR_TEXT: Final = (
    "The residual is how far the well-exposed pixels are from a linear HDR seen by one response. The scale brings the "
    "HDR to sensor exposure, 1 where the photograph clips."
)


def _head(diagnosis: Diagnosis, groups: list[Group]) -> str:
    numbers = count(diagnosis)
    severity = groups[0].severity if groups else "good"
    words = {
        "error": "would break training",
        "warning": "usable, with doubts",
        "note": "sound",
        "good": "sound: nothing to tell",
    }
    shown = ("scenes", "places", "exposures", "hdr", "cameras", "train", "val", "test")
    tiles = "".join(
        f'<div class="tile"><b>{numbers[name]}</b><span>{_label(name, numbers[name])}</span></div>' for name in shown
    )
    guess = ", guessed by its layout" if diagnosis.is_guessed else ""
    return (
        f"<h1>{escape(diagnosis.root.name or str(diagnosis.root))}</h1>"
        f'<div class="soft">Data set <b>{escape(diagnosis.dataset)}</b>{guess} · '
        f'<span class="path">{escape(str(diagnosis.root))}</span></div>'
        f'<div class="verdict {"good" if severity == "note" else severity}">{words[severity]}</div>'
        f'<div class="tiles" title="{escape(summarise(numbers))}">{tiles}</div>'
    )


def _label(name: str, number: int) -> str:
    if name == "hdr":
        return "HDR"
    return name.removesuffix("s") if number == 1 else name


def _findings(groups: list[Group], root: Path) -> str:
    if not groups:
        return ""
    rows = []
    for severity, kind, findings in groups:
        items = "".join(
            f'<li><span class="path">{escape(relative(f.path, root))}</span>{_short(f, root)}</li>'
            for f in findings[:_MAX_LISTED]
        )
        more = len(findings) - _MAX_LISTED
        items += f'<li class="soft">and {more} more, in doctor.json</li>' if more > 0 else ""
        is_open = " open" if severity == "error" else ""
        rows.append(
            f'<details{is_open}><summary><span class="label {severity}">{severity}</span>'
            f'<span class="kind">{KIND_TEXTS[kind]}</span><span class="count">{len(findings)}</span></summary>'
            f"<ul>{items}</ul></details>"
        )
    return f'<h2>Findings</h2><div class="card">{"".join(rows)}</div>'


def _short(finding: Finding, root: Path) -> str:
    """The message without the path that stands beside it."""
    message = finding.message.removesuffix(f": {finding.path}")
    return escape(message.replace(f"{root}/", ""))


def _table(heading: str, text: str, rows: Iterable[Row]) -> str:
    head, *body = rows
    if not body:
        return ""
    headings = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in body)
    return (
        f'<h2>{heading}</h2><p class="soft">{text}</p>'
        f'<div class="card scroll"><table><thead><tr>{headings}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _responses(diagnosis: Diagnosis) -> str:
    shown = diagnosis.responses[:_MAX_CHARTS]
    if not shown:
        return ""
    charts = "".join(
        f'<figure class="card"><figcaption>{escape(response.camera)} <span class="soft">{response.num_scenes} '
        f"scene{'s' if response.num_scenes > 1 else ''}</span></figcaption>{draw_response(response)}</figure>"
        for response in shown
    )
    hidden = len(diagnosis.responses) - len(shown)
    more = f" {hidden} more cameras are in doctor.json." if hidden else ""
    return (
        '<h2>Response by camera</h2><p class="soft">8-bit level over light in red, green and blue, the median over '
        f'scenes; dashed: sRGB.{more}</p><div class="charts">{charts}</div>'
    )


def _scenes(diagnosis: Diagnosis) -> str:
    of_scene: dict[str, list[Finding]] = {}
    for finding in diagnosis.findings:
        if finding.scene is not None:
            of_scene.setdefault(finding.scene, []).append(finding)
    shown = [scene for scene in diagnosis.scenes if scene.thumbnails]
    if not shown:
        return ""
    shown.sort(key=lambda scene: scene.record.id not in of_scene)
    cards = "".join(_scene(scene, of_scene.get(scene.record.id, []), diagnosis) for scene in shown)
    text = f"{len(shown)} of {len(diagnosis.records)}, those with findings first."
    return f'<h2>Scenes</h2><p class="soft">{text}</p>{cards}'


def _scene(scene: SceneFacts, findings: list[Finding], diagnosis: Diagnosis) -> str:
    record, (height, width) = scene.record, scene.size
    # ids may be hashes: a file name is what one can look for
    title = relative(record.paths[-1], diagnosis.root)
    strip = "".join(
        f'<figure><img alt="{escape(caption)}" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, data in scene.thumbnails
    )
    words = (f"{width} × {height}", diagnosis.split_of[record.id], record.camera, *_facts(scene), f"id {record.id}")
    items = "".join(
        f'<li><b class="{f.severity}">{f.severity}</b> {KIND_TEXTS[f.kind]}: {escape(f.path.name)}, '
        f"{_short(f, diagnosis.root)}</li>"
        for f in findings
    )
    return (
        f'<article class="card scene"><h3>{escape(title)}</h3><div class="soft">{escape(" · ".join(words))}</div>'
        f'<div class="strip">{strip}</div>{f"<ul>{items}</ul>" if items else ""}</article>'
    )


def _facts(scene: SceneFacts) -> Iterator[str]:
    hdr = scene.hdr
    if hdr is None:
        return
    yield f"{hdr.range_stops:.1f} stops"
    if hdr.residual_stops is not None:
        yield f"residual {hdr.residual_stops:.2f} stops"
    if hdr.peak_stops is not None:
        yield f"brightest {hdr.peak_stops:+.1f} stops from white"
