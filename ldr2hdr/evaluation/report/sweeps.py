"""Sweeps on the page: a row for each job, with its values and how it ended."""

from collections.abc import Sequence
from html import escape

from ldr2hdr.evaluation.report.runs import Sweep
from ldr2hdr.training.sweeps.summary import NOTES
from ldr2hdr.training.sweeps.table import tabulate


def sweeps_section(sweeps: Sequence[Sweep]) -> str:
    """The table of every sweep; "" if there is none."""
    tables = "".join(f"<h3>{escape(sweep.name)}</h3>{_table(sweep)}" for sweep in sweeps)
    return f'<p class="soft">{NOTES}</p>{tables}' if tables else ""


def _table(sweep: Sweep) -> str:
    table = tabulate(sweep.jobs)
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = []
    for index, (number, *cells) in enumerate(table.rows):
        kind = ' class="main"' if index == table.best else ""
        rest = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        rows.append(f'<tr{kind}><th scope="row">{escape(number)}</th>{rest}</tr>')
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="card scroll"><table class="means">{body}</table></div>'
