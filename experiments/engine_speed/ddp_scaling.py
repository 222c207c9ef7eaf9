"""Two processes of one thread beside one process of two threads: the same gradient, how fast, with what traffic?

Usage: python experiments/engine_speed/ddp_scaling.py [--rounds N] [--steps N]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import lightning as L
import torch
from telling import with_spread
from torch.profiler import ProfilerActivity, profile
from training_runs import SILENT, build_run, seconds_per_step

# (processes, threads of each)
_ALONE, _THREADS, _PROCESSES = (1, 1), (1, 2), (2, 1)
_FEWEST_STEPS: Final = 4
_MOST_ERROR: Final = 1e-6


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
    parser.add_argument("--train", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.steps < _FEWEST_STEPS:
        parser.error(f"--steps must be at least {_FEWEST_STEPS}, of which one is timed; got {options.steps}")
    if options.train:
        processes, threads, dtype, folder = options.train
        train(int(processes), int(threads), getattr(torch, dtype), Path(folder), steps=options.steps)
        return
    compare_gradients(options)
    compare_speed(options)


def compare_gradients(options: argparse.Namespace) -> None:
    """Print how far the gradients of one and of two processes are apart, and what the processes sent each other.

    Raises:
        ValueError: If they are further apart than rounding.
    """
    one, two = (launch(layout, "float64", options) for layout in (_THREADS, _PROCESSES))
    errors = [(b - a).norm() / a.norm() for a, b in zip(one["gradients"], two["gradients"], strict=True)]
    error = max(errors).item()
    print(f"meta-gradient of 2 processes against 1, float64, {len(errors)} steps: largest relative error {error:.1e}")
    print(f"collective operations in one step, by process: {two['collectives']}")
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
    overrides = (*SILENT, "data.num_val_tasks=2", f"trainer.devices={processes}", f"num_threads={threads}", *strategy)
    training, clock = build_run(folder, overrides, steps=steps, dtype=dtype)
    record = Record(last=steps - 1)
    training.trainer.callbacks.append(record)
    training.trainer.fit(training.module, training.datamodule)
    if training.trainer.global_rank == 0:
        seconds = seconds_per_step(clock.moments[:-1])
        content = {"seconds": seconds, "gradients": record.gradients, "collectives": record.collectives}
        torch.save(content, folder / "record.pt")


if __name__ == "__main__":
    main()
