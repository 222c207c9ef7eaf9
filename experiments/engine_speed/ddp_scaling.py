"""Two processes of one thread beside one process of two threads: the same gradient, how fast, with what traffic?

Then what a sum over two processes costs by its size, which docs/many_gpus.md calculates with.

Usage: python experiments/engine_speed/ddp_scaling.py [--rounds N] [--steps N] [--only gradients|speed|sums]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import lightning as L
import torch
from telling import fit_line, with_spread
from torch import distributed
from torch.profiler import ProfilerActivity, profile
from training_runs import SILENT, build_run, seconds_per_step

from ldr2hdr.training.callbacks import provenance

# (processes, threads of each)
_ALONE, _THREADS, _PROCESSES = (1, 1), (1, 2), (2, 1)
_FEWEST_STEPS: Final = 4
_MOST_ERROR: Final = 1e-6
# Parts of a training run that write
_WRITERS: Final = ("~logger.files", "~callbacks.panels", "~callbacks.task_scores", "~callbacks.keeper")
# Sums of so many numbers, each so often; the first of each size is not timed
_SUM_SIZES: Final = (1, 10_000, 100_000, 300_000, 1_000_000, 3_000_000)
_NUM_SUMS: Final = 200
_FLOAT_BYTES: Final = 4


class Record(L.Callback):
    """Keep the gradient of every step, and count the collective operations of the last one."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.gradients: list[torch.Tensor] = []
        self.collectives: dict[str, int] = {}
        self._profile = profile(activities=[ProfilerActivity.CPU])

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Begin to count at the last step, which is not timed."""
        if batch_idx == self.last:
            self._profile.start()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Keep what the optimiser was given."""
        self.gradients.append(torch.cat([p.grad.flatten() for p in pl_module.learner.trainable()]).clone())
        if batch_idx == self.last:
            self._profile.stop()
            events = self._profile.key_averages()
            self.collectives = {event.key: event.count for event in events if event.key.startswith("c10d::")}


def main(argv: Sequence[str] | None = None) -> None:
    """Compare, or be one of the processes that are compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10, help="of each run; the first two and the last are not timed")
    parser.add_argument("--only", choices=("gradients", "speed", "sums"), help="one of the three parts")
    parser.add_argument("--train", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--sum", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.steps < _FEWEST_STEPS:
        parser.error(f"--steps must be at least {_FEWEST_STEPS}, of which one is timed; got {options.steps}")
    if options.train:
        processes, threads, dtype, folder = options.train
        train(int(processes), int(threads), getattr(torch, dtype), Path(folder), steps=options.steps)
        return
    if options.sum:
        time_sums(options.sum)
        return
    print(f"commit {provenance()['commit']}, torch {torch.__version__}, {os.cpu_count()} cores, 4 tasks a step")
    for name, part in {"gradients": compare_gradients, "speed": compare_speed, "sums": compare_sums}.items():
        if options.only in (None, name):
            part(options)


def compare_gradients(options: argparse.Namespace) -> None:
    """Print how far the gradients of one and of two processes are apart, and what the processes sent each other.

    Raises:
        ValueError: If they are further apart than rounding.
    """
    one, two = (launch(layout, "float64", options) for layout in (_THREADS, _PROCESSES))
    errors = [(b - a).norm() / a.norm() for a, b in zip(one["gradients"], two["gradients"], strict=True)]
    error = max(errors).item()
    print(f"meta-gradient of 2 processes against 1, float64, {len(errors)} steps: largest relative error {error:.1e}")
    print(
        f"collective operations in one step, by process: {two['collectives']}; theta has {one['gradients'][0].numel()}"
    )
    if not error < _MOST_ERROR:
        raise ValueError(f"the gradient of 2 processes must be that of 1 up to {_MOST_ERROR}, got {error:.1e}")


def compare_speed(options: argparse.Namespace) -> None:
    """Print seconds per step of the layouts, which take turns."""
    spent: dict[tuple[int, int], list[float]] = {layout: [] for layout in (_ALONE, _THREADS, _PROCESSES)}
    for _ in range(options.rounds):
        for layout, seconds in spent.items():
            seconds.append(launch(layout, "float32", options)["seconds"])
    print("| processes x threads | ms per step | faster than 1 x 1 by | efficiency |\n|---|---|---|---|")
    for (processes, threads), seconds in spent.items():
        gains = [alone / value for alone, value in zip(spent[_ALONE], seconds, strict=True)]
        efficiency = statistics.median(gains) / (processes * threads)
        told = with_spread([1000 * value for value in seconds], form="{:.0f}")
        print(f"| {processes} x {threads} | {told} | {with_spread(gains)} | {efficiency:.0%} |")


def compare_sums(options: argparse.Namespace) -> None:
    """Print seconds of an all-reduce between two processes by its size, and the line through them."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--sum", folder]
        network = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29571", "GLOO_SOCKET_IFNAME": "lo", "WORLD_SIZE": "2"}
        own = os.environ | network | {"OMP_NUM_THREADS": "1"}
        both = [subprocess.Popen(command, env=own | {"RANK": str(rank)}) for rank in range(2)]
        codes = [process.wait(timeout=120) for process in both]
        if any(codes):
            raise RuntimeError(f"the two processes that add ended with {codes}, expected 0")
        spent = torch.load(Path(folder) / "sums.pt", weights_only=True)
    print("| float32 numbers | MB | all-reduce of 2 processes over gloo, ms |\n|---|---|---|")
    for size, seconds in spent.items():
        told = with_spread([1000 * value for value in seconds], form="{:.3f}")
        print(f"| {size} | {size * _FLOAT_BYTES / 1e6:g} | {told} |")
    line = fit_line([size * _FLOAT_BYTES for size in spent], [statistics.median(values) for values in spent.values()])
    rate = 1 / line.slope / 1e9
    print(f"line: {1e6 * line.start:.0f} us + bytes / ({rate:.2f} GB/s), largest residual {line.residual:.0%}")


def time_sums(folder: Path) -> None:
    """Be one of two processes that add."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    spent: dict[int, list[float]] = {}
    for size in _SUM_SIZES:
        numbers = torch.ones(size)
        for _ in range(_NUM_SUMS + 1):
            distributed.barrier()
            before = time.perf_counter()
            distributed.all_reduce(numbers)
            spent.setdefault(size, []).append(time.perf_counter() - before)
        del spent[size][0]
    if distributed.get_rank() == 0:
        torch.save(spent, folder / "sums.pt")
    distributed.destroy_process_group()


def launch(layout: tuple[int, int], dtype: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train in new processes that meet on the loopback interface; returns the first one's record."""
    processes, threads = layout
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--steps", str(options.steps)]
        command += ["--train", str(processes), str(threads), dtype, folder]
        network = {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": str(threads)}
        subprocess.run(command, env=os.environ | network, check=True, timeout=300)
        return torch.load(Path(folder) / "record.pt", weights_only=True)


def train(processes: int, threads: int, dtype: torch.dtype, folder: Path, *, steps: int) -> None:
    """Be one of the processes; Lightning starts the others by the same command."""
    strategy = ("+trainer.strategy=ddp",) if processes > 1 else ()
    overrides = (
        *SILENT,
        *_WRITERS,
        "data.num_val_tasks=2",
        f"trainer.devices={processes}",
        f"num_threads={threads}",
        *strategy,
    )
    training, clock = build_run(folder, overrides, steps=steps, dtype=dtype)
    record = Record(last=steps - 1)
    training.trainer.callbacks.insert(
        0, record
    )  # the first to be told of a step, so that no collective comes before it
    training.trainer.fit(training.module, training.datamodule)
    if training.trainer.global_rank == 0:
        seconds = seconds_per_step(clock.moments[:-1])
        content = {"seconds": seconds, "gradients": record.gradients, "collectives": record.collectives}
        torch.save(content, folder / "record.pt")


if __name__ == "__main__":
    main()
