"""Meta-learners in common: adapt a model to a task, and turn a batch of tasks into a meta-gradient."""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import partial
from itertools import islice, starmap

import torch
from torch import Tensor, nn

from ldr2hdr.meta.folding import statistics_of
from ldr2hdr.meta.inner_loop import AbstractEngine, Adaptation, FastEngine, InnerLoop, Loss
from ldr2hdr.meta.inner_optimizers import SGD, AbstractDescent, AbstractRule
from ldr2hdr.meta.outer_step import OuterStep, TaskGradient, sum_finite
from ldr2hdr.meta.stacked import StackedEngine, stack_statistics
from ldr2hdr.meta.step_graph import GraphedSteps
from ldr2hdr.meta.task_threads import TaskThreads
from ldr2hdr.tasks import Shots, Statistics, TaskBatch

Predictor = Callable[[Tensor], Tensor]

_log = logging.getLogger(__name__)


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
        descent = inner.optimizer(lr=inner.lr)
        self._warns_of_rounding = descent.is_rounding_sensitive
        self.rule = self.make_rule(descent)
        self._threads = TaskThreads()
        self._engines = _ThreadLocalEngines()
        self._graphs = GraphedSteps()
        if not inner.is_fast:
            self.engine()  # a library that is not installed is missed here, not at the first step

    @abstractmethod
    def differentiate(self, engine: AbstractEngine, support: Shots, query: Shots) -> TaskGradient:
        """Compute the gradient of one task, or of each of a stack, with respect to ``engine.copies(trainable())``.

        Args:
            engine: Takes the inner steps; what it returns has a first dimension of T if the shots have.
            support: Adapted on, ``(K, 3, H, W)`` or ``(T, K, 3, H, W)``.
            query: Judged on, likewise.
        """

    def task_gradient(self, support: Shots, query: Shots) -> TaskGradient:
        """Compute the gradient of one task; may run on several threads at once."""
        return self.differentiate(self.engine(), support, query)

    def stacked_gradient(self, support: Shots, query: Shots) -> TaskGradient:
        """Compute the gradients of a stack of tasks at once, with a first dimension of T."""
        return self.differentiate(self._engines.stacked(self._adaptation(self.rule), len(support.ldr)), support, query)

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
        """Summarise the support, or each of a stack of them, for the closed-form part of the model."""
        summarise = partial(statistics_of, self.model)
        return summarise(support) if support.ldr.ndim == 4 else stack_statistics(summarise, support)

    def engine(self, *, lr: float | None = None) -> AbstractEngine:
        """Return this thread's engine of the inner loop.

        Args:
            lr: Plain gradient steps at this rate instead of the inner optimiser.
        """
        return self._engines.get(self._adaptation(self.rule if lr is None else SGD(lr)), is_fast=self.inner.is_fast)

    def _adaptation(self, rule: AbstractRule) -> Adaptation:
        return Adaptation(self.model, self.loss, rule, self.adapted, self.inner.clip)

    def outer_step(self, batch: TaskBatch) -> OuterStep:
        """Sum the gradients of a batch of tasks, in their order, and leave out those that are not finite."""
        if self._warns_of_rounding and torch.is_autocast_enabled(batch.support.ldr.device.type):
            self._warns_of_rounding = False
            _log.warning(
                "inner_optimizer=adam in 16 bits: the meta-gradient has a cosine of .35 to .6 with that in 32 (other "
                "inner optimisers: .99); trainer.precision=32-true keeps it"
            )
        if self.inner.cuda_graph:
            step = lambda tasks: sum_finite(self._task_gradients(tasks), self.trainable())  # noqa: E731
            return self._graphs(step, batch, settings=self.settings())
        return sum_finite(self._task_gradients(batch), self.trainable())

    def settings(self) -> Hashable:
        """Return what the operations of an outer step depend on beside the shapes of its batch."""
        return None

    def warn_of_skipped(self, batch: TaskBatch, result: OuterStep) -> None:
        """Log the tasks of a batch that were left out; waits for the device."""
        facts = zip(*(part.tolist() for part in result[1:]), strict=True)
        for index, (is_counted, before, after) in enumerate(facts):
            if not is_counted:
                _log.warning(
                    "task %d (camera %s, places %s) left the finite range: query loss %.3g before and %.3g after "
                    "%d inner steps; it is left out of the meta-gradient",
                    *(index, batch.cameras[index], "+".join(batch.query_places[index])),
                    *(before, after, self.inner.steps),
                )

    def _task_gradients(self, batch: TaskBatch) -> Iterable[TaskGradient]:
        """Yield the gradient of each task, or of each stack of them, in order; on a CPU several at a time."""
        device = batch.support.ldr.device.type
        if self.inner.is_stacked(device) and len(batch) > 1:
            size = self.inner.task_chunk or len(batch)
            return starmap(self.stacked_gradient, (batch.stack(at, at + size) for at in range(0, len(batch), size)))
        tasks = (batch.shots(index) for index in range(len(batch)))
        if self.inner.is_fast and device == "cpu" and len(batch) > 1 and torch.get_num_threads() > 1:
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

    def trajectory(
        self, support: Shots, *, lr: float | None = None, statistics: Statistics = None
    ) -> Iterator[Predictor]:
        """Yield the predictor after 0, 1, 2, ... inner steps, without end.

        Each is good until the next one is asked for: the steps share one set of parameters.

        Args:
            support: K examples ``(K, 3, H, W)``.
            lr: As for ``adapt``.
            statistics: For the closed-form part; of the support if None.
        """
        statistics = self.statistics(support) if statistics is None else statistics
        for adapted in self.engine(lr=lr).unroll(support, statistics, order="none"):
            yield partial(_predict, adapted.predict, statistics)


class _ThreadLocalEngines(threading.local):
    """Engines of each thread: they hold copies of the model, which two threads must not share."""

    def __init__(self) -> None:
        self._fast: FastEngine | None = None
        self._stacked: StackedEngine | None = None

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

    def stacked(self, adaptation: Adaptation, num_tasks: int) -> StackedEngine:
        """Return the engine for T tasks at once, which begin at the parameters as they are now."""
        known = self._stacked
        if known is None or (known.adaptation.model, known.adaptation.rule) != (adaptation.model, adaptation.rule):
            known = self._stacked = StackedEngine(adaptation)
        known.adaptation = adaptation
        known.stack(num_tasks)
        return known

    def __reduce__(self) -> tuple[type["_ThreadLocalEngines"], tuple[()]]:
        return _ThreadLocalEngines, ()


def _predict(predict: Callable[[Tensor, Statistics], Tensor], statistics: Statistics, ldr: Tensor) -> Tensor:
    return predict(ldr, statistics)
