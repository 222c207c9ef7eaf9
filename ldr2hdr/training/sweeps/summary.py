"""Summary of a sweep beside its jobs: ``summary.csv``, ``summary.md`` and ``summary.png``."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ldr2hdr.io.files import replacing
from ldr2hdr.training.sweeps.folder import read_sweep
from ldr2hdr.training.sweeps.job import Job
from ldr2hdr.training.sweeps.plot import draw_sweep
from ldr2hdr.training.sweeps.table import Table, tabulate, tabulate_exactly

NOTES: Final = (
    "PU21-PSNR of validation in dB, by cameras of the ranges seen in training and of unseen ones. before: no inner "
    "step; last, best: after the inner steps, at the last and at the best validation. objective: what the sweeper was "
    "given. behind: its metric on the validation pictures at the end, less that of the job with the best objective, "
    "mean over places [95 % interval]; ? marks a tie: the interval holds 0 or is unknown. A winner, bold, ties with "
    "no job."
)


def write_summary(folder: Path) -> list[Job]:
    """Sum up the jobs of a sweep; may be called again at any time, also while it runs.

    Returns:
        The jobs.

    Raises:
        ValueError: If there is no job, or a file is not what it should be.
    """
    jobs = read_sweep(folder)
    _write(folder / "summary.csv", _as_csv(tabulate_exactly(jobs)))
    _write(folder / "summary.md", as_markdown(jobs))
    with replacing(folder / "summary.png") as temporary:
        draw_sweep(jobs).savefig(temporary, dpi=110, format="png")
    return jobs


def as_markdown(jobs: Sequence[Job]) -> str:
    """Write the main metric as a table; a winner is bold."""
    table = tabulate(jobs)
    lines = [_line(table.columns), _line(["---"] * len(table.columns))]
    for index, row in enumerate(table.rows):
        lines.append(_line([f"**{cell}**" for cell in row] if index == table.winner else row))
    return "\n".join([*lines, "", NOTES, ""])


def _as_csv(table: Table) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return text.getvalue()


def _line(cells: Sequence[str]) -> str:
    escaped = (cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
