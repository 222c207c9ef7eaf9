"""Logged numbers of a training run, by name and step."""

import csv
import math
from pathlib import Path
from typing import Final, NamedTuple

METRICS: Final = ("csv/metrics.csv", "metrics.csv")
"""Paths in a run's folder where they may be."""

_COUNTERS: Final = ("epoch", "step")


class LoggedPoint(NamedTuple):
    """A number at an outer step."""

    step: int
    value: float


def read_curves(path: Path) -> dict[str, list[LoggedPoint]]:
    """Read the ``metrics.csv`` of a CSV logger; cells that are empty or not finite are left out.

    Raises:
        ValueError: If it has no column ``step``, or a cell is no number.
    """
    curves: dict[str, list[LoggedPoint]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if "step" not in (rows.fieldnames or ()):
            raise ValueError(f"{path}: expected the metrics.csv of a CSV logger, it has no column step")
        for row in rows:
            for name, cell in row.items():
                if name in _COUNTERS or not cell:
                    continue
                try:
                    point = LoggedPoint(int(row["step"]), float(cell))
                except (TypeError, ValueError):
                    raise ValueError(f"{path}, line {rows.line_num}: expected numbers, got {row}") from None
                if math.isfinite(point.value):
                    curves.setdefault(name, []).append(point)
    return curves
