"""Inner loops of several tasks at once: as many operations as one task has, each on a stack of tensors.

A small network keeps a GPU waiting for the next operation to be launched; T tasks one after another launch T times
as many. Here all tensors that differ from task to task have a first dimension of T. Network, loss and inner rule are
written for one task, and ``torch.func.vmap`` has them work on the stack; convolutions with T kernels become grouped
ones. Gradients are taken outside of it, of the sum over the tasks, of which each term depends on its own task alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import vmap

from ldr2hdr.layers.fast_layers import stack_layers
from ldr2hdr.meta.inner_loop import Adaptation, FastEngine, Order, zeros_for_none
from ldr2hdr.meta.inner_optimizers import AbstractRule, Iterate
from ldr2hdr.meta.replica import Replica
from ldr2hdr.tasks import Shots, Statistics, named_tensors, with_tensors


class StackedEngine(FastEngine):
    """Inner steps of T tasks at once, as `FastEngine` takes those of one.

    Shots have a first dimension of T, and so have all results. Each task has a copy of everything that is learned, so
    that its gradient can be distinguished from the others': one that leaves the finite range must not spoil their sum.

    Args:
        adaptation: The inner loop and its model.
    """

    def __init__(self, adaptation: Adaptation) -> None:
        super().__init__(adaptation, replica=Replica(adaptation.model, swap=stack_layers))
        self._rule = Replica(adaptation.rule)
        self._copies: dict[int, Tensor] = {}
        self._places: dict[int, Tensor] = {}

    def stack(self, num_tasks: int) -> None:
        """Copy what is learned, as it is now, for each of T tasks: two operations for all of it."""
        learned = [p for p in (*self.replica.theta(), *self._rule.theta()) if p.requires_grad]
        row = torch.cat([parameter.detach().flatten() for parameter in learned])
        if num_tasks not in self._places:
            self._places[num_tasks] = _places([p.numel() for p in learned], num_tasks).to(row.device)
        copied = row.index_select(0, self._places[num_tasks])
        pieces = _part(copied, [torch.Size((num_tasks, *p.shape)) for p in learned])
        self._copies = {id(p): piece.requires_grad_() for p, piece in zip(learned, pieces, strict=True)}

    @property
    def _is_joined(self) -> bool:
        """Whether all that adapts is one tensor, with which a step is one operation."""
        return self.adaptation.rule.is_elementwise and self.adaptation.clip is None

    def copies(self, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
        """Return each parameter's copies for the tasks."""
        return [self._copies[id(parameter)] for parameter in parameters]

    def theta(self) -> list[Tensor]:
        """Return the parameters, stacked where they are learned."""
        return [self._copies.get(id(parameter), parameter) for parameter in self.replica.theta()]

    def join(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return one long tensor of all that adapts, for a rule that treats all numbers alike."""
        return [torch.cat([tensor.flatten() for tensor in tensors])] if self._is_joined else list(tensors)

    def split(self, adapted: Sequence[Tensor]) -> list[Tensor]:
        """Return one tensor per adapted parameter of what may be one of all of them."""
        if not self._is_joined:
            return list(adapted)
        theta = self.theta()
        return _part(adapted[0], [theta[index].shape for index in self.adaptation.adapted])

    def at_theta(self) -> Callable[[Tensor, Statistics], Tensor]:
        """Return ``(ldr, statistics) -> prediction`` by theta."""
        self.replica.refresh()
        return partial(self.predict, self.theta())

    def loss(self, predict: Callable[[Tensor, Statistics], Tensor], shots: Shots, statistics: Statistics) -> Tensor:
        """Return the loss of each task."""
        losses: Tensor = vmap(self.adaptation.loss)(predict(shots.ldr, statistics), shots.exposure)
        return losses

    def step(self, iterate: Iterate, gradient: Sequence[Tensor | None], *, number: int, order: Order) -> Iterate:
        """Take one inner step of each task."""
        if self._is_joined:
            return super().step(iterate, gradient, number=number, order=order)

        def step_one(of_rule: list[Tensor], iterate: Iterate, gradient: list[Tensor]) -> Iterate:
            self._rule.fill(of_rule)
            adaptation = replace(self.adaptation, rule=cast(AbstractRule, self._rule.copy))
            return adaptation.move(iterate, gradient, number=number)

        of_rule = [self._copies[id(parameter)] for parameter in self._rule.theta()]
        with torch.set_grad_enabled(order != "none"):
            following: Iterate = vmap(step_one)(of_rule, iterate, zeros_for_none(gradient, iterate.parameters))
        return self.adaptation.finish(following, order=order)

    def predict(self, parameters: Sequence[Tensor], ldr: Tensor, statistics: Statistics) -> Tensor:
        """Predict for each task by its own parameters."""

        def predict_one(parameters: list[Tensor], ldr: Tensor, tensors: dict[str, Tensor]) -> Tensor:
            return self.replica(parameters, ldr, with_tensors(statistics, tensors))

        is_stacked = [0 if parameter.requires_grad else None for parameter in self.replica.theta()]
        over = vmap(predict_one, in_dims=(is_stacked, 0, 0))
        prediction: Tensor = over(list(parameters), ldr, named_tensors(statistics))
        return prediction


def stack_statistics(summarise: Callable[[Shots], Statistics], support: Shots) -> Statistics:
    """Summarise the supports ``(T, K, 3, H, W)`` of T tasks, each as if it were alone."""
    shape: list[Statistics] = []

    def summarise_one(ldr: Tensor, exposure: Tensor) -> dict[str, Tensor]:
        shape.append(summarise(Shots(ldr, exposure)))
        return named_tensors(shape[0])

    tensors = vmap(summarise_one)(support.ldr, support.exposure)
    return with_tensors(shape[0], tensors)


def _part(joined: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    pieces = torch.split(joined, [shape.numel() for shape in shapes])
    return [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]


def _places(sizes: Sequence[int], num_tasks: int) -> Tensor:
    """Return the place of each number of the stacks in a row of all parameters, one parameter's stack after another.

    So each stack is dense, and its kernels need not be copied to stand beside each other.
    """
    row = torch.arange(sum(sizes))
    return torch.cat([place.repeat(num_tasks) for place in torch.split(row, list(sizes))])
