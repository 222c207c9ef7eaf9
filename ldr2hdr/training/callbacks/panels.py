"""Pictures of what adaptation does to a few validation tasks."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import lightning as L

from ldr2hdr.data.loading.datamodule import VAL_NAMES
from ldr2hdr.meta.base import AbstractMetaLearner, Predictor
from ldr2hdr.metrics.hdr import blacken_diverged, evaluate_pictures
from ldr2hdr.tasks import Shots, TaskBatch
from ldr2hdr.training.callbacks.judging import judging, showing_loggers
from ldr2hdr.training.loggers.surviving import Panel
from ldr2hdr.training.panels import compose_panel


class PanelLogger(L.Callback):
    """Show the first validation tasks before and after adaptation to every logger that shows pictures.

    A panel is one query picture: the photograph, single-shot, adapted, the truth, and both errors in stops. The tasks
    are the same at every time. They are drawn by the first process from what it validates on anyway.

    Args:
        every_n_val: Draw after the first validation, then after each n-th; once more when training ends.
        num_tasks: Tasks of each validation set.

    Raises:
        ValueError: If a number is not positive.
    """

    def __init__(self, *, every_n_val: int = 5, num_tasks: int = 2) -> None:
        if min(every_n_val, num_tasks) < 1:
            raise ValueError(
                "callbacks.panels.every_n_val and callbacks.panels.num_tasks must be positive, "
                f"got {every_n_val} and {num_tasks}"
            )
        self.every_n_val = every_n_val
        self.num_tasks = num_tasks
        self._tasks: dict[int, list[_ShownTask]] = {}
        self._num_validations = 0
        self._drawn_at = -1

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the tasks of an earlier training."""
        self._tasks, self._num_validations, self._drawn_at = {}, 0, -1

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's signature
        batch: TaskBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the tasks to draw, as they pass for the first time."""
        if _is_part_of_training(trainer) and self._num_validations == 0:
            kept = self._tasks.setdefault(dataloader_idx, [])
            kept += [_ShownTask.of(batch, index) for index in range(min(len(batch), self.num_tasks - len(kept)))]

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw, if it is time to."""
        if _is_part_of_training(trainer):
            if self._num_validations % self.every_n_val == 0:
                self._show(trainer, pl_module)
            self._num_validations += 1

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw what training came to."""
        if trainer.is_global_zero and self._drawn_at != trainer.global_step:
            self._show(trainer, pl_module)

    def _show(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        step = self._drawn_at = trainer.global_step
        with judging(trainer, pl_module) as learner:
            for name, task in self._named_tasks(trainer.world_size):
                panel = _draw(learner, task, name=name, step=step)
                for logger in showing_loggers(trainer):
                    logger.show_panel(panel)

    def _named_tasks(self, world_size: int) -> Iterator[tuple[str, "_ShownTask"]]:
        """The tasks by their numbers in the whole set, of which the first of n processes has every n-th one."""
        for set_index, tasks in self._tasks.items():
            for position, task in enumerate(tasks):
                yield f"{VAL_NAMES[set_index]}/task{position * world_size}", task


class _ShownTask(NamedTuple):
    """A task that is drawn again and again."""

    support: Shots
    query: Shots
    camera: str
    place: str

    @classmethod
    def of(cls, batch: TaskBatch, index: int) -> "_ShownTask":
        """Copy it: a batch's memory may serve for the next one."""
        support, query = (Shots(shots.ldr.clone(), shots.exposure.clone()) for shots in batch.shots(index))
        return cls(support, query, batch.cameras[index], batch.query_places[index][0])


def _is_part_of_training(trainer: L.Trainer) -> bool:
    return trainer.is_global_zero and trainer.state.fn == "fit" and not trainer.sanity_checking


def _draw(learner: AbstractMetaLearner, task: _ShownTask, *, name: str, step: int) -> Panel:
    truth = Shots(task.query.ldr[:1].float().cpu(), task.query.exposure[:1].float().cpu())
    reconstructions, scores = {}, []
    for heading, predictor in _stages(learner, task.support):
        # all of the query, as when it is judged
        pred = blacken_diverged(predictor(task.query.ldr))[:1].float().cpu()
        scores.append(f"{evaluate_pictures(pred, truth)['pu_psnr', 'all'].item():.1f} dB")
        reconstructions[f"{heading}: {scores[-1]}"] = pred[0]
    title = f"{name} · {task.place} · camera {task.camera} · after {step} outer steps"
    picture = compose_panel(truth, reconstructions=reconstructions, title=title)
    return Panel(name, step, picture, f"{title} · PU21-PSNR single-shot {scores[0]}, adapted {scores[1]}")


def _stages(learner: AbstractMetaLearner, support: Shots) -> Iterator[tuple[str, Predictor]]:
    steps = learner.inner.steps
    yield "single-shot", learner.single_shot()
    yield f"adapted, {steps} step{'s' * (steps != 1)}", learner.adapt(support, steps=steps)
