"""The diagnosis for machines and for the terminal: doctor.json and a table."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ldr2hdr.data.doctor.diagnosis import Diagnosis
from ldr2hdr.data.doctor.facts import SceneFacts
from ldr2hdr.data.doctor.findings import KIND_TEXTS, SEVERITIES, Severity, group_findings
from ldr2hdr.data.scenes.places import SPLITS
from ldr2hdr.io.files import replacing

SCHEMA_VERSION: Final = 1
TABLE_WIDTH: Final = 132
_STYLE: Final[dict[Severity, str]] = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_MAX_NAMES: Final = 3


def count(diagnosis: Diagnosis) -> dict[str, int]:
    """Count scenes, files and findings, by name."""
    splits = Counter(diagnosis.split_of[record.id] for record in diagnosis.records)
    return {
        "files": diagnosis.num_files,
        "scenes": len(diagnosis.records),
        "places": len({record.place for record in diagnosis.records}),
        "cameras": len({record.camera for record in diagnosis.records}),
        "exposures": sum(len(record.exposures) for record in diagnosis.records),
        "hdr": sum(record.hdr is not None for record in diagnosis.records),
        **{split: splits[split] for split in SPLITS},
        **{severity: sum(f.severity == severity for f in diagnosis.findings) for severity in SEVERITIES},
    }


def relative(path: Path, root: Path) -> str:
    """Return a path below the root as text; the whole path if it is elsewhere."""
    if path == root:
        return "."
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def write_report(path: Path, diagnosis: Diagnosis) -> None:
    """Write ``doctor.json``, whole or not at all; numbers that are not finite or not known are null."""
    root = diagnosis.root
    content = {
        "schema_version": SCHEMA_VERSION,
        "root": str(root),
        "dataset": diagnosis.dataset,
        "is_guessed": diagnosis.is_guessed,
        "counts": count(diagnosis),
        "findings": [
            {**finding._asdict(), "path": relative(finding.path, root)}
            for group in group_findings(diagnosis.findings)
            for finding in group.findings
        ],
        "scenes": [{**_scene(scene, root), "split": diagnosis.split_of[scene.record.id]} for scene in diagnosis.scenes],
        "responses": [
            {**response._asdict(), "curve": [[round(value, 4) for value in row] for row in response.curve.tolist()]}
            for response in diagnosis.responses
        ],
    }
    with replacing(path) as temporary:
        # file names may hold bytes that are no text: escaped, they survive
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def print_report(console: Console, diagnosis: Diagnosis) -> None:
    """Print what there is, and one row for each kind of finding, the worst first."""
    numbers = count(diagnosis)
    guess = " (guessed by its layout)" if diagnosis.is_guessed else ""
    console.print(f"{escape(str(diagnosis.root))}: {diagnosis.dataset}{guess}", highlight=False)
    console.print(summarise(numbers), highlight=False)
    groups = group_findings(diagnosis.findings)
    if not groups:
        console.print("nothing is wrong", style="green")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("severity", "finding", "count", "first files"):
        table.add_column(heading, justify="right" if heading == "count" else "left", overflow="fold")
    for severity, kind, findings in groups:
        names = [escape(relative(finding.path, diagnosis.root)) for finding in findings[:_MAX_NAMES]]
        more = [f"and {len(findings) - _MAX_NAMES} more"] if len(findings) > _MAX_NAMES else []
        label = f"[{_STYLE[severity]}]{severity}[/]"
        table.add_row(label, KIND_TEXTS[kind], str(len(findings)), "\n".join(names + more))
    console.print(table)


def summarise(numbers: dict[str, int]) -> str:
    """Return one line of the numbers that matter."""
    return (
        f"{numbers['scenes']} scenes of {numbers['places']} places "
        f"({', '.join(f'{split} {numbers[split]}' for split in SPLITS)}), {numbers['exposures']} exposures, "
        f"{numbers['hdr']} HDR, {numbers['files']} picture files"
    )


def _scene(scene: SceneFacts, root: Path) -> dict[str, Any]:
    hdr = scene.hdr
    return {
        "id": scene.record.id,
        "place": scene.record.place,
        "camera": scene.record.camera,
        "height": scene.size[0],
        "width": scene.size[1],
        "is_usable": scene.is_usable,
        "exposures": [
            {key: _plain(value, root) for key, value in exposure._asdict().items()} for exposure in scene.exposures
        ],
        "hdr": None if hdr is None else {key: _plain(value, root) for key, value in hdr._asdict().items()},
    }


def _plain(value: object, root: Path) -> object:
    if isinstance(value, Path):
        return relative(value, root)
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
