"""Diagnosis for people: one page that needs nothing else, doctor.html, written by ``page.html``."""

import base64
from collections.abc import Iterator
from pathlib import Path

from ldr2hdr.data.doctor.charts import Axes
from ldr2hdr.data.doctor.diagnosis import Diagnosis
from ldr2hdr.data.doctor.facts import SceneFacts
from ldr2hdr.data.doctor.findings import KIND_TEXTS, Finding, group_findings
from ldr2hdr.data.doctor.measures import measure_exposures, measure_hdrs
from ldr2hdr.data.doctor.report import count, relative, summarise
from ldr2hdr.io.files import replacing
from ldr2hdr.io.html import render


def write_page(path: Path, diagnosis: Diagnosis) -> None:
    """Write the page, whole or not at all. Of each kind of finding the first 50 are listed."""
    with replacing(path) as temporary:
        # a file name may hold bytes that are no text
        temporary.write_text(_page(diagnosis), encoding="utf-8", errors="replace")


def _page(diagnosis: Diagnosis) -> str:
    numbers = count(diagnosis)
    of_scene: dict[str | None, list[Finding]] = {}
    for finding in diagnosis.findings:
        of_scene.setdefault(finding.scene, []).append(finding)
    shown = [scene for scene in diagnosis.scenes if scene.thumbnails]
    return render(
        "data/doctor/page.html",
        diagnosis=diagnosis,
        numbers=numbers,
        summary=summarise(numbers),
        groups=group_findings(diagnosis.findings),
        kinds=KIND_TEXTS,
        exposures=list(measure_exposures(diagnosis.scenes)),
        hdrs=list(measure_hdrs(diagnosis.scenes)),
        axes=Axes(),
        shown=sorted(shown, key=lambda scene: scene.record.id not in of_scene),
        of_scene=of_scene,
        relative=relative,
        facts=lambda scene: list(_facts(scene, diagnosis)),
        base64=lambda data: base64.b64encode(data).decode(),
    )


def _facts(scene: SceneFacts, diagnosis: Diagnosis) -> Iterator[str]:
    record, (height, width), hdr = scene.record, scene.size, scene.hdr
    yield from (f"{width} × {height}", diagnosis.split_of[record.id], record.camera)
    if hdr is not None:
        yield f"{hdr.range_stops:.1f} stops"
        if hdr.residual_stops is not None:
            yield f"residual {hdr.residual_stops:.2f} stops"
        if hdr.peak_stops is not None:
            yield f"brightest {hdr.peak_stops:+.1f} stops from white"
    yield f"id {record.id}"
