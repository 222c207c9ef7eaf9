"""Cost of Lightning: ``trainer.fit`` beside a bare loop over the same engine and batches, in turn.

Usage: python experiments/engine_speed/lightning_overhead.py [--rounds N] [--steps N]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from telling import with_spread
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from training_runs import SILENT, build_run, seconds_per_step

from ldr2hdr.build import Training

# The default configuration, and one whose steps are so short that what Lightning adds can be read in milliseconds
_CONFIGS: Final = {"default": (), "tiny": ("backbone.widths=[4,8]", "task.crop_px=16", "algo.inner.steps=1")}
_KINDS: Final = ("bare", "fit, logger off", "fit, logger on")
_FEWEST_STEPS: Final = 3
# Weights of the same steps differ by rounding alone
_SAME: Final = 1e-5


def main(argv: Sequence[str] | None = None) -> None:
    """Print the cost of a step, and Lightning's share of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=12, help="of each run; the first two are not timed")
    options = parser.parse_args(argv)
    if options.steps < _FEWEST_STEPS:
        parser.error(f"--steps must be at least {_FEWEST_STEPS}, of which one is timed; got {options.steps}")
    print("| configuration | loop | ms per step | against the bare loop | ms more |")
    print("|---|---|---|---|---|")
    for name, overrides in _CONFIGS.items():
        steps = options.steps if name == "default" else 10 * options.steps
        spent = compare(overrides, rounds=options.rounds, steps=steps)
        for kind, seconds in spent.items():
            print(f"| {name} | {kind} | {' | '.join(cells(seconds, spent['bare']))} |", flush=True)


def cells(seconds: Sequence[float], bare: Sequence[float]) -> list[str]:
    """Milliseconds, ratio and difference of neighbouring runs."""
    told = [with_spread([1000 * value for value in seconds], form="{:.1f}")]
    if seconds is bare:
        return [*told, "", ""]
    told.append(with_spread([a / b for a, b in zip(seconds, bare, strict=True)], form="{:.3f}"))
    return [*told, f"{1000 * statistics.median(a - b for a, b in zip(seconds, bare, strict=True)):.2f}"]


def compare(overrides: Sequence[str], *, rounds: int, steps: int) -> dict[str, list[float]]:
    """Seconds per step of each kind of loop, which take turns.

    Raises:
        ValueError: If they do not end with the same weights.
    """
    spent: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    for turn in range(rounds):
        ends = {}
        for kind in _KINDS[:: -1 if turn % 2 else 1]:
            seconds, ends[kind] = run(kind, overrides, steps=steps)
            spent[kind].append(seconds)
        for kind, weights in ends.items():
            error = ((weights - ends["bare"]).norm() / ends["bare"].norm()).item()
            if not error < _SAME:
                raise ValueError(
                    f"after {steps} steps the weights of {kind!r} differ by {error:.1e} from the bare loop's"
                )
    return spent


def run(kind: str, overrides: Sequence[str], *, steps: int) -> tuple[float, Tensor]:
    """Train from the same weights on the same tasks; returns seconds per step and the weights in the end."""
    with tempfile.TemporaryDirectory() as folder:
        silent = () if kind == "fit, logger on" else SILENT
        training, clock = build_run(Path(folder), [*overrides, *silent], steps=steps)
        if kind == "bare":
            moments = train_bare(training)
        else:
            training.trainer.fit(training.module, training.datamodule)
            moments = clock.moments
    parameters = training.module.learner.trainable()
    return seconds_per_step(moments), torch.cat([parameter.detach().flatten() for parameter in parameters])


def train_bare(training: Training) -> list[float]:
    """The outer loop as one would write it down; returns the moment at which each step was done."""
    module, learner = training.module, training.module.learner
    parameters = learner.trainable()
    optimizer = module.make_optimizer(parameters)
    scheduler = module.make_scheduler(optimizer)
    moments = []
    for batch in training.datamodule.train_dataloader():
        result = learner.outer_step(batch)
        for parameter, gradient in zip(parameters, result.gradient_sum, strict=True):
            parameter.grad = gradient / result.num_counted
        clip_grad_norm_(parameters, module.gradient_clip)
        optimizer.step()
        scheduler.step()
        moments.append(time.perf_counter())
    return moments


if __name__ == "__main__":
    main()
