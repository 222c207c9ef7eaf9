"""A comparison on the terminal."""

from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ldr2hdr.evaluation.comparison.paired import Comparison, Difference, Verdict
from ldr2hdr.evaluation.stages import Stage

_MARKS: Final[dict[Verdict, str]] = {
    "better": "A",
    "worse": "B",
    "different": "!",
    "small": "~",
    "undecided": "?",
}
_LEGEND: Final = (
    "A, B: the better one; ! they differ, neither way is better; ? undecided, the interval holds 0; "
    "~ there, but too small to rely on viewers to agree"
)


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print a table for each pair of systems, camera family and range, then what the tables leave out."""
    groups: dict[tuple[Stage, Stage, str, str], list[Difference]] = {}
    for row in comparison.differences:
        groups.setdefault((row.stage_a, row.stage_b, row.camera_family, row.ranges), []).append(row)
    for (stage_a, stage_b, family, ranges), rows in groups.items():
        _say(console, f"{stage_a} of A - {stage_b} of B, camera={family}, {ranges} ranges")
        console.print(_table(rows))
    if groups:
        console.print(_LEGEND)
    for stage_a, stage_b in comparison.identical:
        _say(console, f"equal in every digit: {stage_a} of A and {stage_b} of B")
    for name, pictures in (("A", comparison.only_a), ("B", comparison.only_b)):
        if pictures:
            _say(console, f"{len(pictures)} picture{'s' * (len(pictures) > 1)} only in {name}, not counted:")
        for picture in pictures:
            _say(console, f"  {' / '.join(map(str, picture))}")
    for note in comparison.notes:
        _say(console, f"note: {note}")


def _table(rows: list[Difference]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("metric")
    table.add_column("region")
    for heading in ("A - B", "95 % interval", "places", ""):
        table.add_column(heading, justify="right")
    for row in rows:
        mean, low, high, count = row.interval
        between = escape(f"[{low:+.3g}, {high:+.3g}]")
        table.add_row(row.metric, row.region, f"{mean:+.3g}", between, str(count), _MARKS[row.verdict])
    return table


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
