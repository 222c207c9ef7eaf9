"""Logged metrics as a table that outlives the process: each step is in it once, however often a run was resumed."""

import csv
import logging
import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from ldr2hdr.io.files import replacing

_log = logging.getLogger(__name__)


class MetricsTable(Logger):
    """A CSV file with a row for each time that something is logged, and its step.

    Lightning's own deletes the file when a run is resumed in its folder. Here, rows of the steps that the run takes
    again are replaced, those before stay. A row is on disk when ``save`` returns, which Lightning calls at once.

    Args:
        path: The CSV file.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self._columns: list[str] | None = None  # not known before the first row
        self._rows: list[dict[str, Any]] = []

    @property
    def name(self) -> str:
        """The file's folder."""
        return self.path.parent.name

    @property
    def version(self) -> str:
        """Return nothing: a run has one table."""
        return ""

    @property
    def save_dir(self) -> str:
        """Return the folder that the run writes to."""
        return str(self.path.parent.parent)

    @rank_zero_only
    def clear(self) -> None:
        """Forget an earlier run of the same folder."""
        self.path.unlink(missing_ok=True)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float | int], step: int | None = None) -> None:
        """Add a row."""
        self._rows.append({**metrics, "step": step})

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: object, **kwargs: object) -> None:
        """Do nothing: the manifest holds the configuration."""

    @rank_zero_only
    def save(self) -> None:
        """Write the new rows; if the disk is full, the file stays as it was and the rows are tried again next time."""
        if not self._rows:
            return
        try:
            self._write()
        except OSError as error:
            _log.warning("%d rows of %s are not written yet: %s", len(self._rows), self.path, error)
        else:
            self._rows = []

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left."""
        self.save()

    def _write(self) -> None:
        if self._columns is None:
            self._columns = self._take_up(int(self._rows[0]["step"] or 0))
        new = {key for row in self._rows for key in row} - set(self._columns)
        if new:
            columns = sorted({*self._columns, *new})
            self._rewrite(columns, [*self._read(), *self._rows])
            self._columns = columns
        else:
            self._append(self._columns)

    def _take_up(self, step: int) -> list[str]:
        """Take up a table of before, without what is logged again from this step on, or was cut off."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = [row for row in self._read() if (row.get("step") or "").isdigit() and int(row["step"]) < step]
        if not kept:
            self.clear()
            return []
        self._rewrite(list(kept[0]), kept)
        return list(kept[0])

    def _read(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def _rewrite(self, columns: list[str], rows: list[dict[str, Any]]) -> None:
        with replacing(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def _append(self, columns: list[str]) -> None:
        size = self.path.stat().st_size
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, columns).writerows(self._rows)
        except OSError:
            os.truncate(self.path, size)
            raise
