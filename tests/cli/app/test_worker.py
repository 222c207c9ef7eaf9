"""One task at a time, told of line by line."""

import json
import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from ldr2hdr.cli.app.worker import Told, TooMany, Work


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    yield work
    work.close()


def states(told: Told) -> list[object]:
    return [json.loads(line) for line in told.lines if line.strip()]


def test_tasks_wait_for_each_other_and_too_many_are_refused(work: Work) -> None:
    gate, order = threading.Event(), []

    def task(number: int) -> Callable[[Callable[[float], None]], str]:
        def run(on_share: Callable[[float], None]) -> str:
            gate.wait(20)
            order.append(number)
            on_share(0.5)
            return f"/{number}"

        return run

    told = [work.start(task(number)) for number in range(5)]
    with pytest.raises(TooMany):
        work.start(task(5))
    gate.set()
    seen = [states(one) for one in told]
    assert order == [0, 1, 2, 3, 4]
    working = {"state": "working", "share": 0.5}
    assert seen[0] == [working, {"state": "done", "location": "/0"}]
    assert seen[3] == [{"state": "waiting", "ahead": 3}, working, {"state": "done", "location": "/3"}]
    assert states(work.start(task(6)))[-1] == {"state": "done", "location": "/6"}


def test_a_task_ends_when_nobody_wants_it(work: Work) -> None:
    is_running, goes_on = threading.Event(), threading.Event()

    def run(on_share: Callable[[float], None]) -> str:
        is_running.set()
        goes_on.wait(20)
        on_share(0.5)
        raise AssertionError("went on")

    told = work.start(run)
    is_running.wait(20)
    told.stop()
    goes_on.set()
    assert states(told)[-1] == {"state": "failed", "message": "Stopped."}


def test_refusals_are_told_and_faults_go_to_the_terminal(work: Work, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(on_share: Callable[[float], None]) -> str:
        raise ValueError("too dark: a.jpg")

    def fail(on_share: Callable[[float], None]) -> str:
        raise RuntimeError("a fault of ours")

    assert states(work.start(refuse))[-1] == {"state": "failed", "message": "too dark: a.jpg"}
    assert caplog.records == []
    with caplog.at_level(logging.ERROR):
        last = states(work.start(fail))[-1]
    assert "a fault of ours" not in str(last)
    assert "terminal" in str(last)
    assert "a fault of ours" in caplog.text


def test_short_tasks_take_their_turn(work: Work) -> None:
    assert work.wait_for(lambda: threading.current_thread().name).startswith("ldr2hdr-app")
    with pytest.raises(ValueError, match="no"):
        work.wait_for(lambda: (_ for _ in ()).throw(ValueError("no")))
