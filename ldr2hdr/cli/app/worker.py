"""One task after the other, each reported to the page that asked for it."""

import json
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple, TypeVar

OnShare = Callable[[float], None]
_Made = TypeVar("_Made")
# Tasks that may wait; each has its files on the disk already
_MAX_WAITING: Final = 4
_HEARTBEAT_S: Final = 1.0

_log = logging.getLogger(__name__)


class TooMany(Exception):
    """There are as many tasks waiting as may wait."""


class Stopped(Exception):
    """Whoever asked for a task is gone."""


class Told(NamedTuple):
    """A task that is under way.

    Attributes:
        lines: JSON, a line each, until the task is done; empty lines in between show that it goes on.
        stop: Ends the task soon; nothing happens if it is done.
    """

    lines: Iterator[bytes]
    stop: Callable[[], None]


class Work:
    """A thread that does one task at a time."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ldr2hdr-app")
        self._lock = threading.Lock()
        self._num_open = 0
        self._is_closing = threading.Event()

    def start(self, task: Callable[[OnShare], str]) -> Told:
        """Put a task behind those that are there.

        Args:
            task: Gets what it reports its progress to, and gives the address of its result. A ValueError or OSError of
                it is shown on the page.

        Raises:
            TooMany: If too many wait already.
        """
        events: queue.SimpleQueue[dict[str, object]] = queue.SimpleQueue()
        is_stopped = threading.Event()

        def on_share(share: float) -> None:
            if is_stopped.is_set() or self._is_closing.is_set():
                raise Stopped
            events.put({"state": "working", "share": share})

        with self._lock:
            if self._num_open > _MAX_WAITING:
                raise TooMany
            if self._num_open:
                events.put({"state": "waiting", "ahead": self._num_open})
            self._num_open += 1
        future = self._pool.submit(task, on_share)
        future.add_done_callback(lambda done: self._finish(done, events))
        return Told(_lines(events), is_stopped.set)

    def wait_for(self, task: Callable[[], _Made]) -> _Made:
        """Do a short task when its turn comes; whatever it raises is raised here."""
        return self._pool.submit(task).result()

    def close(self) -> None:
        """End all tasks; the one that is under way ends soon."""
        self._is_closing.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _finish(self, done: Future[str], events: "queue.SimpleQueue[dict[str, object]]") -> None:
        with self._lock:
            self._num_open -= 1
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or isinstance(error, Stopped):
            events.put({"state": "failed", "message": "Stopped."})
        elif error is None:
            events.put({"state": "done", "location": done.result()})
        elif isinstance(error, ValueError | OSError):
            events.put({"state": "failed", "message": str(error)})
        else:
            _log.error("a task of the page failed", exc_info=error)
            events.put(
                {"state": "failed", "message": "ldr2hdr failed on this; the terminal that it runs in says more."}
            )


def _lines(events: "queue.SimpleQueue[dict[str, object]]") -> Iterator[bytes]:
    state: object = None
    while state not in ("done", "failed"):
        try:
            event = events.get(timeout=_HEARTBEAT_S)
        except queue.Empty:
            yield b"\n"  # a browser that is gone is noticed by what cannot be sent to it
            continue
        state = event["state"]
        yield json.dumps(event).encode() + b"\n"
