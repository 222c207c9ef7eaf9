"""Pictures and tables as plain files, which need no program to look at them."""

import csv
from argparse import Namespace
from pathlib import Path
from typing import Any

from PIL import Image

from ldr2hdr.io.files import replacing
from ldr2hdr.training.loggers.surviving import AbstractSurvivingLogger, Panel, Table


class FileLogger(AbstractSurvivingLogger):
    """Panels as PNG in ``panels/``, tables as CSV; numbers are for others.

    Args:
        save_dir: The run's folder.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__()
        self.folder = Path(save_dir)

    @property
    def name(self) -> str:
        """Return the name of the run's folder."""
        return self.folder.name

    @property
    def version(self) -> str:
        """Return nothing: a folder holds one run."""
        return ""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Do nothing: numbers are for others."""

    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Do nothing: numbers are for others."""

    def show_panel(self, panel: Panel) -> None:
        """Write a PNG."""
        folder = self.folder / "panels"
        folder.mkdir(parents=True, exist_ok=True)
        # the series first: sorted by name, a program for pictures shows how one task changes
        with replacing(folder / f"{panel.series.replace('/', '_')}_step_{panel.step:06d}.png") as temporary:
            Image.fromarray(panel.picture).save(temporary)

    def show_table(self, table: Table) -> None:
        """Write a CSV file."""
        path = self.folder / f"{table.name}.csv"
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(table.columns)
            writer.writerows(table.rows)
