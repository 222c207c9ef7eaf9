"""Timing: engines in turn, beside what the machine can do and what else it did meanwhile."""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from cases import ENGINES, Case, Engine, build_batch, build_learner, build_model
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

_STAT: Final = Path("/proc/stat")
# Share of the machine that others may use during a round
_MOST_OF_OTHERS: Final = 0.1
_MATRIX: Final = 2048
# (pictures, channels, px): those among which the fastest 3x3 convolution of this network is found
_CONVOLUTIONS: Final = ((4, 32, 64), (4, 64, 64), (4, 64, 32), (16, 128, 16), (4, 128, 64))


class Stopwatch:
    """Seconds of a call, on a GPU between two of its events."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self, call: Callable[[], object]) -> float:
        """Time a call once."""
        if self.device.type != "cuda":
            start = time.perf_counter()
            call()
            return time.perf_counter() - start
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(self.device)
        begin.record()
        call()
        end.record()
        torch.cuda.synchronize(self.device)
        return begin.elapsed_time(end) / 1000


class OtherWork:
    """Share of the machine that other processes used since this was made; NaN where nobody tells."""

    def __init__(self) -> None:
        self._start = self._read()

    def share(self) -> float:
        """Between 0 and 1, of all cores."""
        everybody, own, wall = (now - then for now, then in zip(self._read(), self._start, strict=True))
        return max(0.0, everybody - own) / (wall * (os.cpu_count() or 1))

    @staticmethod
    def _read() -> tuple[float, float, float]:
        own = sum(os.times()[:4])
        if not _STAT.exists():
            return float("nan"), own, time.perf_counter()
        user, nice, system, _, _, irq, softirq, steal = map(int, _STAT.read_text().split()[1:9])
        busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        return busy, own, time.perf_counter()


def time_engines(case: Case, device: torch.device, *, seconds: float, least: int) -> dict[str, Any]:
    """Time a meta-step of both engines in turn, on the same batch and the same weights.

    A round during which other processes were busy is left out, unless there would be too few.

    Args:
        case: The meta-step.
        device: Where it runs.
        seconds: Go on for about this long.
        least: Rounds at least, after one that is not counted.
    """
    batch, model, watch = build_batch(case, device), build_model(case, device), Stopwatch(device)
    learners = {engine: build_learner(case, model, engine) for engine in ENGINES}
    for learner in learners.values():
        learner.outer_step(batch)
    rounds: list[tuple[float, dict[str, float]]] = []
    while (
        len(rounds) < least
        or sum(sum(spent.values()) for _, spent in rounds) * (1 + 1 / len(rounds)) < seconds
        or (len(_undisturbed(rounds)) < least and len(rounds) < 2 * least)
    ):
        others = OtherWork()
        order = ENGINES[:: -1 if len(rounds) % 2 else 1]
        spent = {engine: watch(lambda e=engine: learners[e].outer_step(batch)) for engine in order}
        rounds.append((others.share(), spent))
    kept = _undisturbed(rounds) if len(_undisturbed(rounds)) >= least else rounds
    return {
        "seconds": {engine: [spent[engine] for _, spent in kept] for engine in ENGINES},
        "others": max(share for share, _ in kept),
        "left_out": len(rounds) - len(kept),
    }


def _undisturbed(rounds: list[tuple[float, dict[str, float]]]) -> list[tuple[float, dict[str, float]]]:
    # NaN, where nobody tells, is not above
    return [(share, spent) for share, spent in rounds if not share > _MOST_OF_OTHERS]


def time_in_sequence(case: Case, device: torch.device, first: Engine, *, rounds: int) -> dict[str, list[float]]:
    """Time one engine, then the other, then the first again: does having run the second slow the first?"""
    batch, model, watch = build_batch(case, device), build_model(case, device), Stopwatch(device)
    second = ENGINES[1 - ENGINES.index(first)]
    spent = {}
    for name, engine in (("before", first), ("between", second), ("after", first)):
        learner = build_learner(case, model, engine)
        learner.outer_step(batch)
        spent[name] = [watch(lambda it=learner: it.outer_step(batch)) for _ in range(rounds)]
    return spent


def count_flops(case: Case, engine: Engine) -> int:
    """Floating-point operations of convolutions and matrix products in a meta-step, two for each multiply-add.

    Counted on one task: with more, the operations of task threads would not be seen.
    """
    one = replace(case, tasks=1)
    device = torch.device("cpu")
    learner = build_learner(one, build_model(one, device), engine)
    with FlopCounterMode(display=False) as counter:
        learner.outer_step(build_batch(one, device))
    return int(counter.get_total_flops()) * case.tasks


def machine_rates(device: torch.device) -> dict[str, float]:
    """FLOP/s of a square float32 matrix product, and of the fastest of some 3x3 convolutions, with all threads."""
    watch = Stopwatch(device)
    a, b = (torch.randn(_MATRIX, _MATRIX, device=device) for _ in range(2))
    rates = {"matmul": 2 * _MATRIX**3 / _median_seconds(watch, lambda: a @ b, num=15)}
    rates["convolution"] = max(_convolution_rate(watch, *sizes) for sizes in _CONVOLUTIONS)
    return rates


def _convolution_rate(watch: Stopwatch, pictures: int, channels: int, px: int) -> float:
    features = torch.randn(pictures, channels, px, px, device=watch.device).to(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3, device=watch.device).to(memory_format=torch.channels_last)
    with torch.no_grad():
        seconds = _median_seconds(watch, lambda: functional.conv2d(features, weight, padding=1), num=30)
    return 2 * 9 * features.numel() * channels / seconds


def _median_seconds(watch: Stopwatch, call: Callable[[], object], *, num: int) -> float:
    for _ in range(3):
        call()
    return statistics.median(watch(call) for _ in range(num))


def peak_memory(case: Case, engine: Engine, device: torch.device) -> int:
    """Bytes that two meta-steps take at most beyond model and batch; for a process of its own."""
    batch, learner = build_batch(case, device), build_learner(case, build_model(case, device), engine)
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
    else:
        before = _resident("VmRSS")
    for _ in range(2):
        learner.outer_step(batch)
    after = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _resident("VmHWM")
    return after - before


def _resident(kind: str) -> int:
    """Of this process, by Linux; getrusage would also tell what the parent had used."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(kind))
