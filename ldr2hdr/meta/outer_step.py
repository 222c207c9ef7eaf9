"""Contributions of tasks to the outer step: a gradient each, and their sum over those that stayed finite."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class TaskGradient(NamedTuple):
    """One task's share of the meta-gradient, or that of T tasks, along a first dimension of everything.

    Attributes:
        gradient: Of each trainable parameter.
        loss_before: Query loss at theta.
        loss_after: Query loss at phi.
    """

    gradient: tuple[Tensor, ...]
    loss_before: Tensor
    loss_after: Tensor


class OuterStep(NamedTuple):
    """Meta-gradient of a batch of tasks, on the device that computed it: nothing here has waited for its numbers.

    Attributes:
        gradient_sum: Per trainable parameter, the sum over the counted tasks; divide by their number over all
            processes.
        is_counted: Whether the numbers of each task stayed finite.
        losses_before: Query loss of each task at theta.
        losses_after: Query loss of each task at phi.
    """

    gradient_sum: tuple[Tensor, ...]
    is_counted: Bool[Tensor, " t"]
    losses_before: Float[Tensor, " t"]
    losses_after: Float[Tensor, " t"]

    @property
    def num_counted(self) -> Tensor:
        """Number of tasks whose numbers stayed finite."""
        return self.is_counted.sum()

    @property
    def loss_before(self) -> Tensor:
        """Mean query loss of the counted tasks at theta; NaN if none is left."""
        return self._mean(self.losses_before)

    @property
    def loss_after(self) -> Tensor:
        """Mean query loss of the counted tasks at phi; NaN if none is left."""
        return self._mean(self.losses_after)

    def _mean(self, losses: Tensor) -> Tensor:
        return torch.where(self.is_counted, losses, 0).sum() / self.num_counted


def sum_finite(results: Iterable[TaskGradient], parameters: Sequence[nn.Parameter]) -> OuterStep:
    """Sum the gradients of tasks in their order, without those whose gradient or losses are not finite."""
    total: list[Tensor] | None = None
    facts: list[Tensor] = []
    for result in results:
        losses = torch.stack([result.loss_before, result.loss_after])
        is_alone = losses.ndim == 1 and losses.device.type == "cpu"
        kept, is_finite = _keep_finite(result, losses) if is_alone else _sum_of_stack(result, losses, parameters)
        total = kept if total is None else list(torch._foreach_add(total, kept))
        facts.append(torch.cat([losses.reshape(2, -1), is_finite.reshape(1, -1).to(losses.dtype)]))
    if total is None:
        raise ValueError("an outer step needs at least one task, got none")
    before, after, is_counted = torch.cat(facts, dim=1).unbind()
    return OuterStep(tuple(total), is_counted.bool(), before, after)


def _keep_finite(result: TaskGradient, losses: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return a task's gradient, or zeros, and whether it is finite; for a CPU, which may be asked without waiting."""
    norms = torch.stack(torch._foreach_norm(result.gradient))
    is_finite = torch.linalg.vector_norm(norms).isfinite() & losses.isfinite().all()
    gradient = result.gradient if is_finite else map(torch.zeros_like, result.gradient)
    return list(gradient), is_finite


def _sum_of_stack(
    result: TaskGradient, losses: Tensor, parameters: Sequence[nn.Parameter]
) -> tuple[list[Tensor], Tensor]:
    """Return the sum over the tasks of a stack that are finite, and which are; without waiting for a device."""
    num_tasks = losses[0].numel()
    gradients = torch.cat([part.reshape(num_tasks, -1) for part in result.gradient], dim=1)
    is_finite = torch.linalg.vector_norm(gradients, dim=1).isfinite() & losses.reshape(2, -1).isfinite().all(dim=0)
    total = torch.where(is_finite[:, None], gradients, 0).sum(dim=0)
    pieces = torch.split(total, [parameter.numel() for parameter in parameters])
    return [piece.view_as(p) for piece, p in zip(pieces, parameters, strict=True)], is_finite
