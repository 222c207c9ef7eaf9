"""TensorBoard."""

from collections.abc import Iterable
from typing import Final

from lightning.pytorch import loggers

from ldr2hdr.training.loggers.surviving import AbstractSurvivingLogger, Cell, Panel, Table

# What Markdown would take for an end of the cell, or for markup
_ESCAPED: Final = str.maketrans(
    {character: f"\\{character}" for character in "\\|`*[]"} | {"<": "&lt;", "&": "&amp;", "\n": " ", "\r": " "}
)


class TensorBoardLogger(AbstractSurvivingLogger, loggers.TensorBoardLogger):
    """Lightning's TensorBoard logger, with panels under IMAGES and tables under TEXT."""

    def show_panel(self, panel: Panel) -> None:
        """Add an image."""
        self.experiment.add_image(f"panels/{panel.series}", panel.picture, panel.step, dataformats="HWC")

    def show_table(self, table: Table) -> None:
        """Add a table in Markdown."""
        rule = ["---"] * len(table.columns)
        text = "\n".join(_line(row) for row in (table.columns, rule, *table.rows))
        self.experiment.add_text(table.name, text, table.step)


def _line(cells: Iterable[Cell]) -> str:
    """A row in Markdown.

    Example:
        >>> _line(["a", 1, 0.25, None])
        '| a | 1 | 0.250 |  |'
    """
    return f"| {' | '.join(map(_show, cells))} |"


def _show(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.3f}"
    return "" if cell is None else str(cell).translate(_ESCAPED)
