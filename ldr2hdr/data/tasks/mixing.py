"""Several data sets of tasks as one, in fixed shares."""

from collections.abc import Mapping
from typing import Final

from torch.utils.data import Dataset

from ldr2hdr.tasks import Task

_PERIOD: Final = 1000


class MixedTasks(Dataset[Task]):
    """Tasks of several data sets that take turns: a pure function of the index, like each of them.

    In every 1000 tasks each data set has its share, to a thousandth, and at no time is it more than two tasks ahead or
    behind. The tasks of each data set come in its own order, none left out.

    Args:
        tasks: Data sets of tasks by name.
        weights: Their shares, in any unit; equal ones if None.

    Raises:
        ValueError: If there is no data set, or the weights name others, are not positive, or are too small to be dealt.
    """

    def __init__(self, tasks: Mapping[str, Dataset[Task]], weights: Mapping[str, float] | None = None) -> None:
        if not tasks:
            raise ValueError("dataset must name at least one data set, got none")
        weights = dict.fromkeys(tasks, 1.0) if weights is None else weights
        if weights.keys() != tasks.keys() or min(weights.values()) <= 0:
            raise ValueError(
                "dataset.weights must be a positive number for each data set, "
                f"{', '.join(tasks)}, got {dict(weights)}; leave a data set out by not naming it in dataset"
            )
        self.tasks = dict(tasks)
        shares = [weights[name] / sum(weights.values()) for name in tasks]
        self._turns, self._counts = _deal(shares)
        if min(self._counts) == 0:
            raise ValueError(
                f"each of dataset.weights must be at least a {_PERIOD}th of their sum, got {dict(weights)}"
            )

    def __getitem__(self, index: int) -> Task:
        """Make task ``index``: a task of the data set whose turn it is, the next one that it has not yet given."""
        period, position = divmod(index, _PERIOD)
        chosen, given = self._turns[position]
        return list(self.tasks.values())[chosen][period * self._counts[chosen] + given]


def _deal(shares: list[float]) -> tuple[list[tuple[int, int]], list[int]]:
    """Whose turn each position of a period is, with the number of earlier turns, and all turns of each.

    The turn is of the one that is furthest behind its share, the first of those equal.
    """
    counts = [0] * len(shares)
    turns = []
    for position in range(1, _PERIOD + 1):
        behind = [share * position - count for share, count in zip(shares, counts, strict=True)]
        chosen = behind.index(max(behind))
        turns.append((chosen, counts[chosen]))
        counts[chosen] += 1
    return turns, counts
