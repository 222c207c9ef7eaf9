"""The summary of a sweep on the terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from ldr2hdr.training.sweeps.job import Job
from ldr2hdr.training.sweeps.standing import Standing
from ldr2hdr.training.sweeps.table import Table, describe_status, name_job, tabulate, varying_keys

_LOG_WIDTH: Final = 200


def print_summary(jobs: Sequence[Job], standing: Standing, *, folder: Path) -> bool:
    """Print the table, where the files are, and the jobs that were not completed with their reasons, these to stderr.

    Returns:
        Whether all were completed.
    """
    console = Console()
    if not console.is_terminal:  # in a log, names in pieces could not be searched for
        console = Console(width=_LOG_WIDTH)
    console.print(_as_rich(tabulate(jobs, standing)))
    console.print(f"summary.csv, summary.md and summary.png are in {folder}", soft_wrap=True, markup=False)
    bad = [job for job in jobs if job.record.status != "completed"]
    if bad:
        errors = Console(stderr=True, soft_wrap=True, highlight=False)
        errors.print(f"{len(bad)} of {len(jobs)} jobs did not end well:", markup=False)
        keys = varying_keys(jobs)
        for job in bad:
            errors.print(f"  {name_job(job, keys)}\n    {describe_status(job)}\n    {job.folder}", markup=False)
    return not bad


def _as_rich(table: Table) -> RichTable:
    found = "no job is ahead of all others by more than chance" if table.winner is None else "the winner is bold"
    shown = RichTable(title=f"PU21-PSNR of validation, dB; {found} (? marks a tie)")
    for column in table.columns:
        shown.add_column(column, overflow="fold")
    for index, row in enumerate(table.rows):
        # a reason is printed in full below
        cells = [*row[:-1], row[-1].partition(":")[0]]
        shown.add_row(*map(escape, cells), style="bold" if index == table.winner else None)
    return shown
