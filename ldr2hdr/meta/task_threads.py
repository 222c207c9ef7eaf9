"""Threads that each work on whole tasks: on a CPU, better use of the cores than several on one small operation."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class TaskThreads:
    """Run a function on several items at once, each by one core; results come in the order of the items.

    The threads start at the first use, as many as torch then has threads; a copy or an unpickled one starts its own.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._size = 0

    def map(self, function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
        """Like the built-in ``map``; an exception of the function is raised here."""
        return self._start(torch.get_num_threads()).map(function, items)

    def __getstate__(self) -> dict[str, Any]:
        return {"_pool": None, "_size": 0}

    def _start(self, size: int) -> ThreadPoolExecutor:
        if self._pool is None or self._size != size:
            self._pool, self._size = ThreadPoolExecutor(size, thread_name_prefix="task"), size
            # Each thread takes torch's number of threads over at its first parallel operation. It must be 1 then, and
            # no pool of OpenMP be made: more of its threads than cores make those of the main thread sleep.
            torch.set_num_threads(1)
            try:
                meeting = threading.Barrier(size)
                list(self._pool.map(lambda _: _touch_parallel_code(meeting), range(size)))
            finally:
                torch.set_num_threads(size)
        return self._pool


def _touch_parallel_code(meeting: threading.Barrier) -> None:
    torch.zeros(1 << 17).add_(1)
    meeting.wait()
