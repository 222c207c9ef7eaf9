"""What every meta-learner does: adapt a model to a task, and turn a batch of tasks into a meta-gradient."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.meta.learn2learn import MAML
from ldr2hdr.tasks import Shots, TaskBatch

Loss = Callable[[Tensor, Tensor], Tensor]
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

    The model maps ``(ldr, context)`` to a prediction, and has ``summarize(support)``, which makes the context that
    its closed-form part needs; nothing else is asked of it.

    Args:
        model: Holds theta.
        loss: ``(prediction, target) -> scalar``.
        inner_lr: Inner learning rate alpha.
        inner_steps: Gradient steps on the support, K >= 0.

    Raises:
        ValueError: If the rate is not positive or the number of steps is negative.
    """

    def __init__(self, model: nn.Module, loss: Loss, *, inner_lr: float, inner_steps: int) -> None:
        super().__init__()
        if inner_lr <= 0 or inner_steps < 0:
            raise ValueError(
                f"algo.inner_lr must be positive and algo.inner_steps at least 0, got {inner_lr} and {inner_steps}"
            )
        self.model = model
        self.loss = loss
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps

    @abstractmethod
    def task_gradient(self, support: Shots, query: Shots) -> TaskGradient:
        """Compute one task's gradient with respect to ``trainable()``."""

    def trainable(self) -> list[nn.Parameter]:
        """The parameters that make up theta, in a fixed order."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def context(self, support: Shots) -> object:
        """What the closed-form part of the model gets to know of the support."""
        return self.model.summarize(support)  # type: ignore[operator]

    def outer_step(self, batch: TaskBatch) -> OuterStep:
        """Sum the gradients of a batch of tasks, in their order, and leave out those that are not finite."""
        total = [torch.zeros_like(parameter) for parameter in self.trainable()]
        before, after = [], []
        for index in range(len(batch)):
            result = self.task_gradient(*batch.shots(index))
            if not _is_finite(result):
                _log.warning(
                    "task %d (camera %s, places %s) left the finite range: query loss %.3g before and %.3g after "
                    "%d inner steps; it is left out of the meta-gradient",
                    *(index, batch.cameras[index], "+".join(batch.query_places[index])),
                    *(result.loss_before, result.loss_after, self.inner_steps),
                )
                continue
            torch._foreach_add_(total, result.gradient)
            before.append(result.loss_before)
            after.append(result.loss_after)
        nothing = torch.tensor(float("nan"))
        return OuterStep(
            tuple(total),
            len(after),
            torch.stack(before).mean() if before else nothing,
            torch.stack(after).mean() if after else nothing,
        )

    def single_shot(self) -> Predictor:
        """Predict without support, at theta."""
        return self.model

    @torch.enable_grad()
    def adapt(self, support: Shots, *, steps: int | None = None, lr: float | None = None) -> Predictor:
        """Adapt to a task; theta is left as it was.

        Args:
            support: K examples ``(K, 3, H, W)``.
            steps: Gradient steps; the number trained with if None.
            lr: Inner learning rate; the one trained with if None.

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
        rate = self.inner_lr if lr is None else lr
        with torch.enable_grad():
            learner = MAML(self.model, lr=rate, first_order=True, allow_nograd=True, allow_unused=True).clone()
        context = self.context(support)
        while True:
            yield lambda ldr: learner(ldr, context)
            with torch.enable_grad():
                learner.adapt(self.loss(learner(support.ldr, context), support.exposure))


def _is_finite(result: TaskGradient) -> bool:
    norms = torch.stack(torch._foreach_norm(list(result.gradient)))
    return bool(torch.isfinite(norms).all() & torch.isfinite(result.loss_before) & torch.isfinite(result.loss_after))


def grad_or_zero(loss: Float[Tensor, ""], parameters: list[nn.Parameter]) -> tuple[Tensor, ...]:
    """Differentiate a loss; parameters that it does not depend on get zeros."""
    gradient = torch.autograd.grad(loss, parameters, allow_unused=True)
    return tuple(torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradient, strict=True))
