"""What every meta-learner does: adapt a model to a task, and turn a batch of tasks into a meta-gradient."""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ldr2hdr.meta.folding import statistics_of
from ldr2hdr.meta.inner_loop import AbstractInnerLoop, Adaptation, FastInnerLoop, Loss
from ldr2hdr.meta.inner_optimizers import SGD, AbstractDescent, AbstractRule
from ldr2hdr.meta.learn2learn_loop import Learn2LearnInnerLoop
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
    """What a batch of tasks says about theta.

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
    """A model with a rule that adapts it, and a rule that learns from adapting it.

    The model maps ``(ldr, statistics)`` to a prediction, and has ``sufficient_statistics(support)``, which makes the
    statistics that its closed-form part needs; nothing else is asked of it.

    Args:
        model: Holds theta.
        loss: ``(prediction, target) -> scalar``.
        inner_lr: Inner learning rate alpha.
        inner_steps: Gradient steps on the support, K >= 0.
        inner_optimizer: Makes the inner optimiser from ``lr=inner_lr``; None for plain gradient steps.
        inner_clip: Largest norm of an inner gradient; None for no limit.
        adapts: Which parameters adapt, as patterns of their names (``backbone.head.*``); the others are learned by the
            outer loop alone.
        engine: Who runs the inner loops: ``learn2learn``, our ``fast`` one, or ``auto`` for the faster of both.

    Raises:
        ValueError: If the rate is not positive, the number of steps negative, the engine unknown, or nothing adapts.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        *,
        inner_lr: float,
        inner_steps: int,
        inner_optimizer: Callable[..., AbstractDescent] | None = None,
        inner_clip: float | None = None,
        adapts: Sequence[str] = ("*",),
        engine: str = "auto",
    ) -> None:
        super().__init__()
        if inner_lr <= 0 or inner_steps < 0:
            raise ValueError(
                f"algo.inner_lr must be positive and algo.inner_steps at least 0, got {inner_lr} and {inner_steps}"
            )
        if engine not in ("auto", "learn2learn", "fast"):
            raise ValueError(f"algo.engine must be one of auto, learn2learn, fast, got {engine!r}")
        self.model = model
        self.loss = loss
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.inner_clip = inner_clip
        self.engine = engine
        self.adapted = _choose(model, adapts)
        self.rule = self.make_rule((inner_optimizer or SGD)(lr=inner_lr))
        self._threads = TaskThreads()
        self._loops = _ThreadLocalLoops()

    @abstractmethod
    def task_gradient(self, support: Shots, query: Shots) -> TaskGradient:
        """Compute one task's gradient with respect to ``trainable()``; may run on several threads at once."""

    def make_rule(self, descent: AbstractDescent) -> AbstractRule:
        """What takes the inner steps: here the inner optimiser itself, elsewhere what an algorithm makes of it.

        Called by the constructor.
        """
        return descent

    def adapting(self) -> list[nn.Parameter]:
        """The parameters that adapt, at theta."""
        parameters = list(self.model.parameters())
        return [parameters[index] for index in self.adapted]

    def trainable(self) -> list[nn.Parameter]:
        """What the outer loop learns, in a fixed order: theta, then parameters of the inner optimiser."""
        return [p for p in (*self.model.parameters(), *self.rule.parameters()) if p.requires_grad]

    def statistics(self, support: Shots) -> Statistics:
        """What the closed-form part of the model gets to know of the support."""
        return statistics_of(self.model, support)

    def inner_loop(self, *, lr: float | None = None) -> AbstractInnerLoop:
        """This thread's inner loop.

        Args:
            lr: Plain gradient steps at this rate instead of the inner optimiser.
        """
        rule = self.rule if lr is None else SGD(lr)
        adaptation = Adaptation(self.model, self.loss, rule, self.adapted, self.inner_clip)
        return self._loops.get(adaptation, is_fast=self.engine != "learn2learn")

    def outer_step(self, batch: TaskBatch) -> OuterStep:
        """Sum the gradients of a batch of tasks, in their order, and leave out those that are not finite."""
        total = [torch.zeros_like(parameter) for parameter in self.trainable()]
        before, after = [], []
        for index, result in enumerate(self._task_gradients(batch)):
            if not _is_finite(result):
                _log.warning(
                    "task %d (camera %s, places %s) left the finite range: query loss %.3g before and %.3g after "
                    "%d inner steps; it is left out of the meta-gradient",
                    *(index, batch.cameras[index], "+".join(batch.query_places[index])),
                    *(result.loss_before, result.loss_after, self.inner_steps),
                )
                continue
            torch._foreach_add_(total, list(result.gradient))
            before.append(result.loss_before)
            after.append(result.loss_after)
        nothing = torch.tensor(float("nan"))
        return OuterStep(
            tuple(total),
            len(after),
            torch.stack(before).mean() if before else nothing,
            torch.stack(after).mean() if after else nothing,
        )

    def _task_gradients(self, batch: TaskBatch) -> Iterable[TaskGradient]:
        """The gradient of each task, in order; on a CPU several at a time."""
        tasks = (batch.shots(index) for index in range(len(batch)))
        is_threaded = self.engine != "learn2learn" and batch.support.ldr.device.type == "cpu"
        if is_threaded and len(batch) > 1 and torch.get_num_threads() > 1:
            # autocasting is a matter of each thread, and ours are not the one that Lightning set up
            is_mixed, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
            return self._threads.map(partial(self._task_gradient_in, is_mixed, dtype), tasks)
        return (self.task_gradient(*task) for task in tasks)

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
        steps = self.inner_steps if steps is None else steps
        *_, last = (predictor for _, predictor in zip(range(steps + 1), self.trajectory(support, lr=lr), strict=False))
        return last

    def trajectory(self, support: Shots, *, lr: float | None = None) -> Iterator[Predictor]:
        """Yield the predictor after 0, 1, 2, ... inner steps, without end.

        Each is good until the next one is asked for: the steps share one set of parameters.
        """
        statistics = self.statistics(support)
        for adapted in self.inner_loop(lr=lr).unroll(support, statistics, order="none"):
            yield partial(_predict, adapted.predict, statistics)


class _ThreadLocalLoops(threading.local):
    """The inner loops of each thread: they hold copies of the model, which two threads must not share."""

    def __init__(self) -> None:
        self._fast: FastInnerLoop | None = None

    def get(self, adaptation: Adaptation, *, is_fast: bool) -> AbstractInnerLoop:
        """The loop of the kind asked for; the copy of the model is kept for as long as it is the same model."""
        if not is_fast:
            return Learn2LearnInnerLoop(adaptation)
        if self._fast is None or self._fast.adaptation.model is not adaptation.model:
            self._fast = FastInnerLoop(adaptation)
        self._fast.adaptation = adaptation
        return self._fast

    def __reduce__(self) -> tuple[type["_ThreadLocalLoops"], tuple[()]]:
        return _ThreadLocalLoops, ()


def _predict(predict: Callable[[Tensor, Statistics], Tensor], statistics: Statistics, ldr: Tensor) -> Tensor:
    return predict(ldr, statistics)


def _choose(model: nn.Module, patterns: Sequence[str]) -> tuple[int, ...]:
    """Positions of the parameters that a pattern names and that are not frozen.

    Raises:
        ValueError: If a pattern names none, or nothing is left.
    """
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"algo.adapts={pattern!r} names no parameter; there are {', '.join(names)}")
    chosen = tuple(
        index
        for index, (name, parameter) in enumerate(model.named_parameters())
        if parameter.requires_grad and any(fnmatchcase(name, pattern) for pattern in patterns)
    )
    if not chosen:
        raise ValueError(f"nothing adapts: algo.adapts={list(patterns)} must name a parameter that is not frozen")
    return chosen


def _is_finite(result: TaskGradient) -> bool:
    norms = torch.stack(torch._foreach_norm(list(result.gradient)))
    return bool(torch.isfinite(norms).all() & torch.isfinite(result.loss_before) & torch.isfinite(result.loss_after))
