"""At which inner rates does MAML diverge, and what keeps it finite? Runs what is missing, then draws and tabulates.

Usage: python experiments/inner_rate_stability/study.py [--results FILE] [--figure FILE] [--seeds SEED ...]

A row is added to the results after every run, so that the same command goes on with a study that was interrupted.
"""

import argparse
import contextlib
import copy
import itertools
import logging
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from reporting import as_markdown, draw
from results import Cell, Result, append_result, missing, read_results

from ldr2hdr.build import CONF_DIR, Training, build_training
from ldr2hdr.tasks import TaskBatch
from ldr2hdr.training.module import MetaModule

HERE = Path(__file__).parent
# nothing but the loss of each outer step is asked for
QUIET = (
    *("~callbacks.best", "~callbacks.last", "~callbacks.manifest", "~callbacks.progress", "logger=csv"),
    *("+trainer.limit_val_batches=0", "+trainer.enable_checkpointing=false", "+trainer.enable_progress_bar=false"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=HERE / "results.csv")
    parser.add_argument("--figure", type=Path, default=HERE / "stability.png")
    parser.add_argument("--seeds", type=int, nargs="+", help="fewer than the study asks for")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    for name in ("ldr2hdr.meta.base", "lightning.pytorch.utilities.rank_zero"):  # a task that diverges is no news here
        logging.getLogger(name).setLevel(logging.ERROR)
    study = OmegaConf.load(HERE / "study.yaml")
    # seed by seed: a study that is cut short has fewer seeds, but every method and rate
    every = itertools.product(options.seeds or study.seeds, study.methods, study.rates)
    cells = [Cell(method, rate, seed) for seed, method, rate in every]
    for cell in missing(cells, read_results(options.results)):
        result = run(study, cell)
        append_result(options.results, result)
        print(f"{cell.method}, rate {cell.rate:g}, seed {cell.seed}: loss {result.loss:.3f}", flush=True)
    results = [result for result in read_results(options.results) if result.cell in cells]
    results.sort(key=lambda result: cells.index(result.cell))
    draw(results, options.figure)
    print(as_markdown(results))


def run(study: DictConfig, cell: Cell) -> Result:
    """Train once, until the end or until the guard stops it."""
    record = RecordLosses()
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        training = build(study, cell, folder)
        training.trainer.callbacks.append(record)
        # a run that the guard stops is told by its number of steps
        with contextlib.suppress(FloatingPointError):
            training.trainer.fit(training.module, training.datamodule)
    last = study.last_steps
    finite = [loss for loss in record.losses[-last:] if math.isfinite(loss)]
    return Result(
        *cell,
        steps=len(record.losses),
        diverged_steps=sum(not math.isfinite(loss) for loss in record.losses),
        diverged_tasks=training.module.num_skipped_tasks,
        loss=statistics.mean(finite) if finite else math.nan,
        untrained_loss=statistics.mean(record.untrained[-last:]),
        cpu_s=round(time.process_time() - start, 2),
    )


def build(study: DictConfig, cell: Cell, folder: str) -> Training:
    """The run as the command line would make it, with the initial weights of the method."""
    overrides = [*study.common, *study.methods[cell.method], f"algo.inner.lr={cell.rate}", f"seed={cell.seed}"]
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("train", overrides=[*overrides, *QUIET, f"paths.output_dir={folder}"])
    training = build_training(cfg)
    scale = study.initial_scale.get(cell.method, 1.0)
    with torch.no_grad():
        for name, parameter in training.module.learner.model.named_parameters():
            if name.endswith("weight"):
                parameter.mul_(scale)
    return training


class RecordLosses(L.Callback):
    """Keep the loss of every outer step, and that of the untrained network on the same query."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.untrained: list[float] = []

    def on_fit_start(self, trainer: L.Trainer, pl_module: MetaModule) -> None:
        """Keep the untrained network."""
        self.model = copy.deepcopy(pl_module.learner.model)

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: MetaModule, outputs: Any, batch: TaskBatch, batch_idx: int
    ) -> None:
        """Keep the losses of one step."""
        is_finite = pl_module.num_bad_steps == 0
        self.losses.append(trainer.callback_metrics["train/loss"].item() if is_finite else math.nan)
        queries = (batch.shots(index)[1] for index in range(len(batch)))
        losses = [pl_module.learner.loss(self.model(query.ldr), query.exposure).item() for query in queries]
        self.untrained.append(statistics.mean(losses))


if __name__ == "__main__":
    main()
