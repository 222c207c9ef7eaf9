"""The inner loop of one task: gradient steps on the support, differentiable where the algorithm needs it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ldr2hdr.meta.inner_optimizers import AbstractRule, Iterate
from ldr2hdr.meta.replica import Replica
from ldr2hdr.tasks import Shots, Statistics

Loss = Callable[[Tensor, Tensor], Tensor]
Order = Literal["second", "first", "none"]


class Adapted(NamedTuple):
    """The model between two inner steps.

    Attributes:
        predict: ``(ldr, statistics) -> prediction`` by the adapted parameters phi.
        parameters: All parameters, in the order of ``model.parameters()``; those that adapt are phi.
    """

    predict: Callable[[Tensor, Statistics], Tensor]
    parameters: list[Tensor]


@dataclass(frozen=True)
class Adaptation:
    """What the inner loop does, whoever runs it.

    Attributes:
        model: Holds theta.
        loss: ``(prediction, target) -> scalar``.
        rule: The inner optimiser.
        adapted: Which of ``model.parameters()`` adapt.
        clip: Largest norm of an inner gradient over all that adapts; None for no limit.
    """

    model: nn.Module
    loss: Loss
    rule: AbstractRule
    adapted: tuple[int, ...]
    clip: float | None = None

    def advance(self, iterate: Iterate, loss: Tensor, *, number: int, order: Order) -> Iterate:
        """Take one inner step down a support loss.

        Args:
            iterate: The adapted parameters that the loss was computed from, and their optimiser's memory.
            loss: Scalar.
            number: Steps taken so far.
            order: ``second`` keeps the graph of the gradient; ``first`` treats the gradient as a constant; ``none``
                forgets the step, so that the new parameters are leaves.
        """
        inputs = iterate.parameters
        found = torch.autograd.grad(loss, inputs, create_graph=order == "second", allow_unused=True)
        gradient = zeros_for_none(found, inputs)
        with torch.set_grad_enabled(order != "none"):
            following = self.rule.step(iterate, self._clipped(gradient), number=number)
        if order == "none":
            following = Iterate([p.requires_grad_() for p in following.parameters], following.memory)
        return following

    def _clipped(self, gradient: Sequence[Tensor]) -> Sequence[Tensor]:
        if self.clip is None:
            return gradient
        norm = torch.stack([part.square().sum() for part in gradient]).sum()
        if norm <= self.clip**2:  # also keeps the root's infinite slope at zero out of the graph
            return gradient
        # not by _foreach_mul: torch 2.13 cannot differentiate its product with a tensor
        scale = self.clip / norm.sqrt()
        return [part * scale for part in gradient]


class AbstractInnerLoop(ABC):
    """Runs an adaptation on one task after another; belongs to one thread."""

    def __init__(self, adaptation: Adaptation) -> None:
        self.adaptation = adaptation

    @abstractmethod
    def unroll(self, support: Shots, statistics: Statistics, *, order: Order) -> Iterator[Adapted]:
        """Yield the model after 0, 1, 2, ... inner steps, without end.

        Each is good until the next one is asked for.
        """

    @abstractmethod
    def at_theta(self) -> Callable[[Tensor, Statistics], Tensor]:
        """``(ldr, statistics) -> prediction`` by theta."""


class FastInnerLoop(AbstractInnerLoop):
    """Inner steps as a function of the parameters, over layers that differentiate fast.

    Args:
        adaptation: What the inner loop does.
        closed: Whether to swap the layers; None does so wherever it helps, which is on the CPU.
    """

    def __init__(self, adaptation: Adaptation, *, closed: bool | None = None) -> None:
        super().__init__(adaptation)
        if closed is None:
            closed = all(parameter.device.type == "cpu" for parameter in adaptation.model.parameters())
        self.replica = Replica(adaptation.model, closed=closed)

    def unroll(self, support: Shots, statistics: Statistics, *, order: Order) -> Iterator[Adapted]:
        """Yield the model after 0, 1, 2, ... inner steps, without end; each stays good."""
        iterate = self.start(order=order)
        for number in count():
            yield self.at(iterate.parameters)
            iterate = self.advance(iterate, support, statistics, number=number, order=order)

    def at_theta(self) -> Callable[[Tensor, Statistics], Tensor]:
        """``(ldr, statistics) -> prediction`` by theta."""
        self.replica.refresh()
        return partial(self.replica, [_channels_last(parameter) for parameter in self.replica.theta()])

    def start(self, *, order: Order) -> Iterate:
        """The iterate at theta."""
        self.replica.refresh()
        theta = self.replica.theta()
        with torch.set_grad_enabled(order != "none"):
            chosen = [_channels_last(theta[index]) for index in self.adaptation.adapted]
        if order == "none":
            chosen = [parameter.detach().requires_grad_() for parameter in chosen]
        return self.adaptation.rule.start(chosen)

    def at(self, adapted: Sequence[Tensor]) -> Adapted:
        """The model with these adapted parameters."""
        parameters = self.replica.theta()
        for index, parameter in zip(self.adaptation.adapted, adapted, strict=True):
            parameters[index] = parameter
        return Adapted(partial(self.replica, parameters), parameters)

    @torch.enable_grad()
    def advance(
        self, iterate: Iterate, support: Shots, statistics: Statistics, *, number: int, order: Order
    ) -> Iterate:
        """Take one inner step on the support."""
        prediction = self.at(iterate.parameters).predict(support.ldr, statistics)
        loss = self.adaptation.loss(prediction, support.exposure)
        return self.adaptation.advance(iterate, loss, number=number, order=order)


def zeros_for_none(gradients: Sequence[Tensor | None], inputs: Sequence[Tensor]) -> list[Tensor]:
    """Gradients as torch finds them, with zeros where an input does not matter."""
    return [torch.zeros_like(tensor) if part is None else part for tensor, part in zip(inputs, gradients, strict=True)]


def _channels_last(parameter: Tensor) -> Tensor:
    """A kernel in the layout of the pictures, so that it is not copied at every convolution."""
    return parameter.contiguous(memory_format=torch.channels_last) if parameter.ndim == 4 else parameter
