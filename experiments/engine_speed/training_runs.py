"""Short training runs whose steps can be timed: real configurations, tasks made before the clock starts."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import lightning as L
import torch
from hydra import compose, initialize_config_dir
from torch.utils.data import Dataset

from ldr2hdr.build import CONF_DIR, Training, build_training
from ldr2hdr.tasks import Shots, Task

# Overrides for a run that tells nothing
SILENT: Final = (
    *("~logger.csv", "~logger.tensorboard", "~callbacks.progress", "~callbacks.manifest"),
    "+trainer.enable_progress_bar=false",
)


class KeptTasks(Dataset[Task]):
    """The first tasks of a data set, made once."""

    def __init__(self, tasks: Dataset[Task], num: int, *, dtype: torch.dtype = torch.float32) -> None:
        made = [tasks[index] for index in range(num)]
        self.tasks = [replace(t, support=_cast(t.support, dtype), query=_cast(t.query, dtype)) for t in made]

    def __getitem__(self, index: int) -> Task:
        """A task."""
        return self.tasks[index]


class StepClock(L.Callback):
    """The moment at which each step was done."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note the time."""
        self.moments.append(time.perf_counter())


def build_run(
    folder: Path, overrides: Sequence[str], *, steps: int, dtype: torch.dtype = torch.float32
) -> tuple[Training, StepClock]:
    """A run of one epoch of so many steps, without validation; its tasks are made here.

    Args:
        folder: Of the run.
        overrides: Of the default configuration.
        steps: Outer steps.
        dtype: Of the weights and pictures.
    """
    own = [f"paths.output_dir={folder}", f"trainer.max_steps={steps}", "+trainer.limit_val_batches=0"]
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("train", overrides=[*own, *overrides, f"data.num_train_tasks={steps * 4}"])
    training = build_training(cfg)
    training.module.to(dtype)
    training.datamodule.train_tasks = KeptTasks(training.datamodule.train_tasks, steps * 4, dtype=dtype)
    clock = StepClock()
    training.trainer.callbacks.append(clock)
    return training, clock


def seconds_per_step(moments: Sequence[float]) -> float:
    """Mean over all steps but the first two, in which threads start and memory is fetched."""
    return (moments[-1] - moments[1]) / (len(moments) - 2)


def _cast(shots: Shots, dtype: torch.dtype) -> Shots:
    return Shots(shots.ldr.to(dtype), shots.exposure.to(dtype))
