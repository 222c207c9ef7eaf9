"""Summary of a sweep beside its jobs: ``summary.csv``, ``summary.md`` and ``summary.png``."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ldr2hdr.io.files import replacing
from ldr2hdr.training.sweeps.job import Job
from ldr2hdr.training.sweeps.plot import draw_sweep
from ldr2hdr.training.sweeps.standing import Standing
from ldr2hdr.training.sweeps.table import Table, tabulate, tabulate_exactly

NOTES: Final = (
    "PU21-PSNR of validation in dB, by cameras of the ranges seen in training and of unseen ones. before: no inner "
    "step; last, best: after the inner steps, at the last and at the best validation. objective: what the sweeper was "
    "given. behind: its metric on the validation pictures at the end, less that of the job with the best objective, "
    "mean over places [95 % interval]; ? marks a tie: the interval holds 0 or is unknown. A winner, bold, ties with "
    "no job."
)


def write_summary(jobs: Sequence[Job], standing: Standing, *, folder: Path) -> None:
    """Sum up the jobs of a sweep in its folder; may be called again at any time, also while it runs."""
    _write(folder / "summary.csv", _as_csv(tabulate_exactly(jobs, standing)))
    _write(folder / "summary.md", as_markdown(tabulate(jobs, standing)))
    with replacing(folder / "summary.png") as temporary:
        draw_sweep(jobs).savefig(temporary, dpi=110, format="png")


def as_markdown(table: Table) -> str:
    """Write the table with a winner in bold."""
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
