"""Examination of a folder, with a progress bar, and its report."""

import tempfile
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ldr2hdr.data.doctor.diagnosis import Diagnosis, diagnose, list_pictures
from ldr2hdr.data.doctor.known_sets import guess_set, open_set
from ldr2hdr.data.doctor.page import write_page
from ldr2hdr.data.doctor.report import write_report


class Reported(NamedTuple):
    """Diagnosis and the files that hold it."""

    diagnosis: Diagnosis
    report: Path
    page: Path


def examine_folder(
    root: Path, out: Path, *, dataset: str | None, console: Console, test_root: Path | None = None
) -> Reported:
    """Examine a set; write ``doctor.json`` and ``doctor.html``.

    Args:
        root: Folder of the set.
        out: Folder for the report, made if missing.
        dataset: Name of its conf; None to find it by the layout.
        console: Shows a bar if it is a terminal.
        test_root: Folder of the set's test pictures, if that is another; of hdr_real alone.

    Raises:
        ValueError: If the folder does not hold such a set, or the name is unknown, or the layout does not identify one.
        OSError: If the report cannot be written.
    """
    name = dataset or guess_set(root)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # the reader wants a folder for what it decodes; nothing is to stay
    with tempfile.TemporaryDirectory() as folder:
        reader = open_set(root, name, cache_dir=Path(folder), test_root=test_root)
        out.mkdir(parents=True, exist_ok=True)
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
            task = progress.add_task("reading", total=len(list_pictures(root, test_root)))
            diagnosis = diagnose(
                reader,
                root=root,
                is_guessed=dataset is None,
                tick=lambda _: progress.advance(task),
                test_root=test_root,
            )
    reported = Reported(diagnosis, out / "doctor.json", out / "doctor.html")
    write_report(reported.report, diagnosis)
    write_page(reported.page, diagnosis)
    return reported
