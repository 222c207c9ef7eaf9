"""Table of the adaptation on each validation scene, when training ends."""

import math
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

import lightning as L
from torch import Tensor
from torch import distributed as dist

from ldr2hdr.data.loading.datamodule import VAL_NAMES
from ldr2hdr.meta.base import AbstractMetaLearner, Predictor
from ldr2hdr.metrics.hdr import blacken_diverged, evaluate_pictures
from ldr2hdr.tasks import Shots, TaskBatch
from ldr2hdr.training.callbacks.judging import judging, showing_loggers
from ldr2hdr.training.loggers.surviving import Cell, Table

# As they are logged
_METRICS: Final = {"pu_psnr": "all", "log2_rmse": "well_exposed"}
_LABELS: Final = ("set", "task", "camera", "place", "picture")


class TaskScoreLogger(L.Callback):
    """Judge every validation task once more when training ends, by steps of adaptation, one row a query picture.

    Each process judges its share, the first one shows the table to every logger that shows tables. The metrics are
    those of validation: without support (@single), and after 0, 1, ... K steps.
    """

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Judge the tasks and show the table."""
        loggers = showing_loggers(trainer)
        if not loggers or not trainer.val_dataloaders:
            return
        with judging(trainer, pl_module) as learner:
            rows = [row for task in _tasks(trainer) for row in _rows(learner, task)]
        rows = _of_all_processes(rows)
        if not trainer.is_global_zero:
            return
        keys = [f"{metric}@{stage}" for metric in _METRICS for stage in ("single", *range(learner.inner.steps + 1))]
        table = Table("task_scores", trainer.global_step, (*_LABELS, *keys), rows)
        for logger in loggers:
            logger.show_table(table)


class _NumberedTask(NamedTuple):
    """Validation task and its number in its set."""

    set_index: int
    number: int
    support: Shots
    query: Shots
    camera: str
    places: tuple[str, ...]


def _tasks(trainer: L.Trainer) -> Iterator[_NumberedTask]:
    """Yield the validation tasks of this process, on its device."""
    limited = zip(trainer.val_dataloaders or (), trainer.num_val_batches, strict=True)
    for set_index, (loader, limit) in enumerate(limited):
        number = trainer.global_rank
        for packed in islice(loader, None if limit == math.inf else int(limit)):
            batch: TaskBatch = trainer.strategy.batch_to_device(packed, dataloader_idx=set_index)
            for index in range(len(batch)):
                yield _NumberedTask(
                    set_index, number, *batch.shots(index), batch.cameras[index], batch.query_places[index]
                )
                number += trainer.world_size  # tasks are dealt out like cards


def _rows(learner: AbstractMetaLearner, task: _NumberedTask) -> Iterator[tuple[Cell, ...]]:
    """Yield the rows of one task's query pictures."""
    scores = [evaluate_pictures(_reconstruct(predictor, task), task.query) for predictor in _stages(learner, task)]
    columns = [stage[metric, region].tolist() for metric, region in _METRICS.items() for stage in scores]
    for picture, (place, values) in enumerate(zip(task.places, zip(*columns, strict=True), strict=True)):
        labels = (VAL_NAMES[task.set_index], task.number, task.camera, place, picture)
        yield *labels, *(value if math.isfinite(value) else None for value in values)


def _stages(learner: AbstractMetaLearner, task: _NumberedTask) -> Iterator[Predictor]:
    """Yield the predictor without support, then after each step; each is used before the next one is asked for."""
    yield learner.single_shot()
    yield from islice(learner.trajectory(task.support), learner.inner.steps + 1)


def _reconstruct(predictor: Predictor, task: _NumberedTask) -> Tensor:
    return blacken_diverged(predictor(task.query.ldr)).to(task.query.exposure.dtype)


def _of_all_processes(rows: list[tuple[Cell, ...]]) -> list[tuple[Cell, ...]]:
    """Return the rows of all processes, in the order of the tasks."""
    shares = [rows]
    if dist.is_available() and dist.is_initialized():
        shares *= dist.get_world_size()
        dist.all_gather_object(shares, rows)
    order = {name: index for index, name in enumerate(VAL_NAMES)}
    return sorted((row for share in shares for row in share), key=lambda row: (order[str(row[0])], row[1], row[4]))
