"""From a folder to the report on it, with a bar on the way."""

import tempfile
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ldr2hdr.doctor.diagnosis import Diagnosis, diagnose, list_pictures
from ldr2hdr.doctor.known_sets import guess_set, open_set
from ldr2hdr.doctor.page import write_page
from ldr2hdr.doctor.report import write_report


class Reported(NamedTuple):
    """What was found, and the files that tell it."""

    diagnosis: Diagnosis
    report: Path
    page: Path


def examine_folder(root: Path, out: Path, *, dataset: str | None, console: Console) -> Reported:
    """Examine a set; write ``doctor.json`` and ``doctor.html``.

    Args:
        root: Folder of the set.
        out: Folder for the report, made if missing.
        dataset: Name of its conf; None to tell it by the layout.
        console: Shows a bar if it is a terminal.

    Raises:
        ValueError: If the folder does not hold such a set, or the name is unknown, or the layout does not tell one.
        OSError: If the report cannot be written.
    """
    name = dataset or guess_set(root)
    out.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # fits are kept by the reader, in a folder that ends with the examination
    with tempfile.TemporaryDirectory() as folder:
        reader = open_set(root, name, cache_dir=Path(folder))
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
            task = progress.add_task("reading", total=len(list_pictures(root)))
            diagnosis = diagnose(
                reader,
                root=root,
                is_guessed=dataset is None,
                cache_dir=Path(folder),
                tick=lambda _: progress.advance(task),
            )
    reported = Reported(diagnosis, out / "doctor.json", out / "doctor.html")
    write_report(reported.report, diagnosis)
    write_page(reported.page, diagnosis)
    return reported
