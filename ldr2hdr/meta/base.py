"""Meta-learners in common: adapt a model to a task, and turn a batch of tasks into a meta-gradient."""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice, starmap
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ldr2hdr.meta.folding import statistics_of
from ldr2hdr.meta.inner_loop import AbstractEngine, Adaptation, FastEngine, InnerLoop, Loss
from ldr2hdr.meta.inner_optimizers import SGD, AbstractDescent, AbstractRule
from ldr2hdr.meta.task_threads import TaskThreads
from ldr2hdr.tasks import Shots, Statistics, TaskBatch

Predictor = Callable[[Tensor], Tensor]

_log = logging.getLogger(__name__)


class TaskGradient(NamedTuple):
    """One task's share of the meta-gradient, with its query loss before and after adaptation."""

    gradient: tuple[Tensor, ...]
    loss_before: Tensor
    loss_after: Tensor


class OuterStep(NamedTuple):
    """Meta-gradient of a batch of tasks.

    Attributes:
        gradient_sum: Per trainable parameter, the sum over the counted tasks; divide by their number over all
            processes.
        num_counted: Tasks whose numbers stayed finite.
        loss_before: Mean query loss of the counted tasks at theta; NaN if none is left.
        loss_after: Mean query loss of the counted tasks at phi; NaN if none is left.
    """

    gradient_sum: tuple[Tensor, ...]
    num_counted: int
    loss_before: Tensor
    loss_after: Tensor


class AbstractMetaLearner(nn.Module, ABC):
    """A model, an inner loop that adapts it, and a meta-gradient of what adapting it is worth.

    The model maps ``(ldr, statistics)`` to a prediction, and has ``sufficient_statistics(support)``, which makes the
    statistics that its closed-form part needs; nothing else is asked of it.

    Args:
        model: Holds theta.
        loss: ``(prediction, target) -> scalar``.
        inner: The inner loop.

    Raises:
        ValueError: If nothing adapts.
        ModuleNotFoundError: If learn2learn is to take the inner steps, and is not installed.
    """

    def __init__(self, model: nn.Module, loss: Loss, *, inner: InnerLoop) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.inner = inner
        self.adapted = inner.choose(model)
        self.rule = self.make_rule(inner.optimizer(lr=inner.lr))
        self._threads = TaskThreads()
        self._engines = _ThreadLocalEngines()
        if not inner.is_fast:
            self.engine()  # a library that is not installed is missed here, not at the first step

    @abstractmethod
    def task_gradient(self, support: Shots, query: Shots) -> TaskGradient:
        """Compute one task's gradient with respect to ``trainable()``; may run on several threads at once."""

    def make_rule(self, descent: AbstractDescent) -> AbstractRule:
        """Return the rule of the inner steps, called by the constructor: the inner optimiser, or more made of it."""
        return descent

    def adapting(self) -> list[nn.Parameter]:
        """Return the parameters that adapt, at theta."""
        parameters = list(self.model.parameters())
        return [parameters[index] for index in self.adapted]

    def trainable(self) -> list[nn.Parameter]:
        """Return the parameters that the outer loop learns, in a fixed order: theta, then those of the rule."""
        return [p for p in (*self.model.parameters(), *self.rule.parameters()) if p.requires_grad]

    def statistics(self, support: Shots) -> Statistics:
        """Summarise the support for the closed-form part of the model."""
        return statistics_of(self.model, support)

    def engine(self, *, lr: float | None = None) -> AbstractEngine:
        """Return this thread's engine of the inner loop.

        Args:
            lr: Plain gradient steps at this rate instead of the inner optimiser.
        """
        rule = self.rule if lr is None else SGD(lr)
        adaptation = Adaptation(self.model, self.loss, rule, self.adapted, self.inner.clip)
        return self._engines.get(adaptation, is_fast=self.inner.is_fast)

    def outer_step(self, batch: TaskBatch) -> OuterStep:
        """Sum the gradients of a batch of tasks, in their order, and leave out those that are not finite."""
        total = [torch.zeros_like(parameter) for parameter in self.trainable()]
        counted: list[TaskGradient] = []
        for index, result in enumerate(self._task_gradients(batch)):
            if _is_finite(result):
                torch._foreach_add_(total, list(result.gradient))
                counted.append(result)
            else:
                _log.warning(
                    "task %d (camera %s, places %s) left the finite range: query loss %.3g before and %.3g after "
                    "%d inner steps; it is left out of the meta-gradient",
                    *(index, batch.cameras[index], "+".join(batch.query_places[index])),
                    *(result.loss_before, result.loss_after, self.inner.steps),
                )
        before, after = _mean([task.loss_before for task in counted]), _mean([task.loss_after for task in counted])
        return OuterStep(tuple(total), len(counted), before, after)

    def _task_gradients(self, batch: TaskBatch) -> Iterable[TaskGradient]:
        """Yield the gradient of each task, in order; on a CPU several at a time."""
        tasks = (batch.shots(index) for index in range(len(batch)))
        is_threaded = self.inner.is_fast and batch.support.ldr.device.type == "cpu"
        if is_threaded and len(batch) > 1 and torch.get_num_threads() > 1:
            # autocasting is a matter of each thread, and ours are not the one that Lightning set up
            is_mixed, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
            return self._threads.map(partial(self._task_gradient_in, is_mixed, dtype), tasks)
        return starmap(self.task_gradient, tasks)

    def _task_gradient_in(self, is_mixed: bool, dtype: torch.dtype, task: tuple[Shots, Shots]) -> TaskGradient:
        with torch.autocast("cpu", dtype=dtype, enabled=is_mixed):
            return self.task_gradient(*task)

    def single_shot(self) -> Predictor:
        """Predict without support, at theta."""
        return self.model

    def adapt(self, support: Shots, *, steps: int | None = None, lr: float | None = None) -> Predictor:
        """Adapt to a task; theta is left as it was.

        Args:
            support: K examples ``(K, 3, H, W)``.
            steps: Gradient steps, as many as wanted; the number trained with if None.
            lr: Rate of plain gradient steps; the inner optimiser trained with if None.

        Returns:
            ``ldr -> exposure`` by the adapted parameters phi.
        """
        steps = self.inner.steps if steps is None else steps
        return next(islice(self.trajectory(support, lr=lr), steps, None))

    def trajectory(self, support: Shots, *, lr: float | None = None) -> Iterator[Predictor]:
        """Yield the predictor after 0, 1, 2, ... inner steps, without end.

        Each is good until the next one is asked for: the steps share one set of parameters.
        """
        statistics = self.statistics(support)
        for adapted in self.engine(lr=lr).unroll(support, statistics, order="none"):
            yield partial(_predict, adapted.predict, statistics)


class _ThreadLocalEngines(threading.local):
    """Engines of each thread: they hold copies of the model, which two threads must not share."""

    def __init__(self) -> None:
        self._fast: FastEngine | None = None

    def get(self, adaptation: Adaptation, *, is_fast: bool) -> AbstractEngine:
        """Return the engine asked for; the copy of the model is kept for as long as it is the same model."""
        if not is_fast:
            # needs learn2learn, which nothing else here does
            from ldr2hdr.meta.learn2learn_engine import Learn2LearnEngine

            return Learn2LearnEngine(adaptation)
        if self._fast is None or self._fast.adaptation.model is not adaptation.model:
            self._fast = FastEngine(adaptation)
        self._fast.adaptation = adaptation
        return self._fast

    def __reduce__(self) -> tuple[type["_ThreadLocalEngines"], tuple[()]]:
        return _ThreadLocalEngines, ()


def _predict(predict: Callable[[Tensor, Statistics], Tensor], statistics: Statistics, ldr: Tensor) -> Tensor:
    return predict(ldr, statistics)


def _mean(losses: list[Tensor]) -> Tensor:
    return torch.stack(losses).mean() if losses else torch.tensor(float("nan"))


def _is_finite(result: TaskGradient) -> bool:
    norms = torch.stack(torch._foreach_norm(list(result.gradient)))
    return bool(torch.isfinite(norms).all() & torch.isfinite(result.loss_before) & torch.isfinite(result.loss_after))
