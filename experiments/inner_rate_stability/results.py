"""Outcome of one run, and the file of all runs."""

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple


class Cell(NamedTuple):
    """A run that the study asks for."""

    method: str
    rate: float
    seed: int


@dataclass(frozen=True)
class Result:
    """End of a run.

    Attributes:
        method: Name in the study.
        rate: Inner learning rate.
        seed: Of the tasks and the initial weights.
        steps: Outer steps taken before the run ended or was stopped.
        diverged_steps: Of these, steps without any finite task.
        diverged_tasks: Tasks that left the finite range.
        loss: Query loss after adaptation, mean over the last outer steps; NaN if none of them was finite.
        untrained_loss: That of the untrained network on the same tasks, without adaptation.
        cpu_s: Processor time.
    """

    method: str
    rate: float
    seed: int
    steps: int
    diverged_steps: int
    diverged_tasks: int
    loss: float
    untrained_loss: float
    cpu_s: float

    @property
    def cell(self) -> Cell:
        """The run it is of."""
        return Cell(self.method, self.rate, self.seed)


def read_results(path: Path) -> list[Result]:
    """All runs of a file; none if there is no file."""
    if not path.exists():
        return []
    kinds = {field.name: field.type for field in fields(Result)}
    with path.open(newline="") as file:
        return [Result(**{name: kinds[name](text) for name, text in row.items()}) for row in csv.DictReader(file)]


def append_result(path: Path, result: Result) -> None:
    """Add a run to a file."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Result)], lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(asdict(result))


def missing(cells: Iterable[Cell], results: Iterable[Result]) -> list[Cell]:
    """The runs that are still to be made."""
    done = {result.cell for result in results}
    return [cell for cell in cells if cell not in done]
