"""The inner loop: gradient steps on the support that turn theta into phi, differentiable where it is asked for."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import count, islice
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ldr2hdr.layers.fast_layers import close_layers
from ldr2hdr.meta.inner_optimizers import SGD, AbstractDescent, AbstractRule, Iterate
from ldr2hdr.meta.replica import Replica
from ldr2hdr.tasks import Shots, Statistics

Loss = Callable[[Tensor, Tensor], Tensor]
Order = Literal["second", "first", "none"]


@dataclass(frozen=True)
class InnerLoop:
    r"""Settings of the inner loop, the ``algo.inner`` of a configuration.

    .. math:: \phi_0 = \theta, \qquad \phi_{k+1} = \phi_k - \alpha \nabla L(\phi_k, D_{support})

    Args:
        lr: Inner learning rate alpha.
        steps: Gradient steps on the support, K >= 0.
        optimizer: Makes the inner optimiser from ``lr``; plain gradient steps by default.
        clip: Largest norm of an inner gradient; None for no limit.
        adapts: Patterns of the names of the parameters that adapt (``backbone.head.*``); the others are learned by
            the outer loop alone.
        engine: Implementation of the steps: ``learn2learn``, our ``fast`` one, ``stacked`` for ours on all tasks at
            once, or ``auto``, which is fast on a CPU and stacked elsewhere.
        task_chunk: Most tasks that are stacked; None for all of a batch. Fewer take less memory.
        cuda_graph: Whether outer steps are recorded as CUDA graphs, which need batches of one shape; steps that cannot
            be say why, and are taken as usual.

    Raises:
        ValueError: If the rate or the chunk is not positive, the number of steps negative, the engine unknown, or
            steps of learn2learn's engine are to be recorded.
    """

    lr: float = 0.05
    steps: int = 3
    optimizer: Callable[..., AbstractDescent] = SGD
    clip: float | None = None
    adapts: Sequence[str] = ("*",)
    engine: str = "auto"
    task_chunk: int | None = None
    cuda_graph: bool = False

    def __post_init__(self) -> None:
        if self.lr <= 0 or self.steps < 0:
            raise ValueError(
                f"algo.inner.lr must be positive and algo.inner.steps at least 0, got {self.lr} and {self.steps}"
            )
        if self.engine not in ("auto", "learn2learn", "fast", "stacked"):
            raise ValueError(f"algo.inner.engine must be one of auto, learn2learn, fast, stacked, got {self.engine!r}")
        if self.task_chunk is not None and self.task_chunk < 1:
            raise ValueError(f"algo.inner.task_chunk must be positive or null, got {self.task_chunk}")
        if self.cuda_graph and not self.is_fast:
            raise ValueError("algo.inner.cuda_graph needs an algo.inner.engine other than learn2learn")

    @property
    def is_fast(self) -> bool:
        """Whether our own engine takes the steps."""
        return self.engine != "learn2learn"

    def is_stacked(self, device: str) -> bool:
        """Whether all tasks are to be adapted at once on a kind of device."""
        return self.engine == "stacked" or (self.engine == "auto" and device != "cpu")

    def choose(self, model: nn.Module) -> tuple[int, ...]:
        """Return the positions of the parameters that a pattern names and that are not frozen.

        Raises:
            ValueError: If a pattern names none, or nothing is left.
        """
        names = [name for name, _ in model.named_parameters()]
        for pattern in self.adapts:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise ValueError(f"algo.inner.adapts={pattern!r} names no parameter; there are {', '.join(names)}")
        chosen = tuple(
            index
            for index, (name, parameter) in enumerate(model.named_parameters())
            if parameter.requires_grad and any(fnmatchcase(name, pattern) for pattern in self.adapts)
        )
        if not chosen:
            raise ValueError(
                f"nothing adapts: algo.inner.adapts={list(self.adapts)} must name a parameter that is not frozen"
            )
        return chosen


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
    """An inner loop bound to a model, for any engine.

    Attributes:
        model: Holds theta.
        loss: ``(prediction, target) -> scalar``.
        rule: The inner optimiser.
        adapted: Positions in ``model.parameters()`` of those that adapt.
        clip: Largest norm of an inner gradient over all that adapts; None for no limit.
    """

    model: nn.Module
    loss: Loss
    rule: AbstractRule
    adapted: tuple[int, ...]
    clip: float | None = None

    def step(self, iterate: Iterate, gradient: Sequence[Tensor | None], *, number: int, order: Order) -> Iterate:
        """Take one inner step.

        Args:
            iterate: The adapted parameters, and their optimiser's memory.
            gradient: Of the support loss there; None where it does not depend on a parameter.
            number: Steps taken so far.
            order: ``second`` and ``first`` keep the graph of the step; ``none`` forgets it, so that the new parameters
                are leaves.
        """
        filled = zeros_for_none(gradient, iterate.parameters)
        with torch.set_grad_enabled(order != "none"):
            following = self.move(iterate, filled, number=number)
        return self.finish(following, order=order)

    def move(self, iterate: Iterate, gradient: Sequence[Tensor], *, number: int) -> Iterate:
        """Clip the gradient, and step by the rule."""
        return self.rule.step(iterate, self._clipped(gradient), number=number)

    def finish(self, iterate: Iterate, *, order: Order) -> Iterate:
        """Return an iterate ready for the next step: without a graph, its parameters become leaves."""
        if order == "none":
            return Iterate([p.requires_grad_() for p in iterate.parameters], iterate.memory)
        return iterate

    def _clipped(self, gradient: Sequence[Tensor]) -> Sequence[Tensor]:
        if self.clip is None:
            return gradient
        square = torch.stack([part.square().sum() for part in gradient]).sum()
        # chosen on the device; the inner choice keeps the root's infinite slope at zero out of the graph
        is_small = square <= self.clip**2
        scale = torch.where(is_small, 1.0, self.clip / torch.where(is_small, 1.0, square).sqrt())
        # not by _foreach_mul: torch 2.13 cannot differentiate its product with a tensor
        return [part * scale for part in gradient]


class AbstractEngine(ABC):
    """Takes the inner steps of one task after another; belongs to one thread."""

    def __init__(self, adaptation: Adaptation) -> None:
        self.adaptation = adaptation

    @abstractmethod
    def unroll(
        self, support: Shots, statistics: Statistics, *, order: Order, steps: int | None = None
    ) -> Iterator[Adapted]:
        """Yield the model after 0, 1, 2, ... inner steps, up to ``steps`` or without end.

        Each is good until the next one is asked for.
        """

    @abstractmethod
    def at_theta(self) -> Callable[[Tensor, Statistics], Tensor]:
        """Return ``(ldr, statistics) -> prediction`` by theta."""

    def copies(self, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
        """Return what a task's losses depend on in the place of the learned parameters: themselves."""
        return list(parameters)

    def loss(self, predict: Callable[[Tensor, Statistics], Tensor], shots: Shots, statistics: Statistics) -> Tensor:
        """Return the loss of a prediction."""
        return self.adaptation.loss(predict(shots.ldr, statistics), shots.exposure)

    def adapt(self, support: Shots, statistics: Statistics, *, steps: int) -> Adapted:
        """Return the model after this many inner steps, without their graph."""
        return next(islice(self.unroll(support, statistics, order="none"), steps, None))


class FastEngine(AbstractEngine):
    """Inner steps as a function of the parameters, over layers that differentiate fast.

    Args:
        adaptation: The inner loop and its model.
        replica: Runs the model; made if None, with faster layers wherever they help, which is on the CPU.
    """

    def __init__(self, adaptation: Adaptation, *, replica: Replica | None = None) -> None:
        super().__init__(adaptation)
        if replica is None:
            is_on_cpu = all(parameter.device.type == "cpu" for parameter in adaptation.model.parameters())
            replica = Replica(adaptation.model, swap=close_layers if is_on_cpu else None)
        self.replica = replica

    def theta(self) -> list[Tensor]:
        """Return the parameters, in the order of ``model.parameters()``."""
        return self.replica.theta()

    def unroll(
        self, support: Shots, statistics: Statistics, *, order: Order, steps: int | None = None
    ) -> Iterator[Adapted]:
        """Yield the model after 0, 1, 2, ... inner steps, up to ``steps`` or without end; each stays good."""
        iterate = self.start(order=order)
        yield self.at(iterate.parameters)
        for number in islice(count(), steps):
            iterate = self.advance(iterate, support, statistics, number=number, order=order)
            yield self.at(iterate.parameters)

    @torch.enable_grad()
    def advance(
        self, iterate: Iterate, support: Shots, statistics: Statistics, *, number: int, order: Order
    ) -> Iterate:
        """Take one inner step on the support."""
        loss = self.loss(self.at(iterate.parameters).predict, support, statistics)
        gradient = torch.autograd.grad(
            loss, iterate.parameters, torch.ones_like(loss), create_graph=order == "second", allow_unused=True
        )
        return self.step(iterate, gradient, number=number, order=order)

    def step(self, iterate: Iterate, gradient: Sequence[Tensor | None], *, number: int, order: Order) -> Iterate:
        """Take one inner step along a gradient."""
        return self.adaptation.step(iterate, gradient, number=number, order=order)

    def start(self, *, order: Order) -> Iterate:
        """Return the iterate at theta."""
        self.replica.refresh()
        theta = self.theta()
        with torch.set_grad_enabled(order != "none"):
            chosen = self.join([theta[index] for index in self.adaptation.adapted])
        if order == "none":
            chosen = [parameter.detach().requires_grad_() for parameter in chosen]
        return self.adaptation.rule.start(chosen)

    def at(self, adapted: Sequence[Tensor]) -> Adapted:
        """Return the model with these adapted parameters."""
        parameters = self.theta()
        for index, parameter in zip(self.adaptation.adapted, self.split(adapted), strict=True):
            parameters[index] = parameter
        return Adapted(partial(self.predict, parameters), parameters)

    def predict(self, parameters: Sequence[Tensor], ldr: Tensor, statistics: Statistics) -> Tensor:
        """Predict by these parameters."""
        return self.replica(parameters, ldr, statistics)

    def join(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return what an iterate is made of, from one tensor per adapted parameter."""
        return [_channels_last(tensor) for tensor in tensors]

    def split(self, adapted: Sequence[Tensor]) -> list[Tensor]:
        """Return one tensor per adapted parameter of an iterate, or of its gradient."""
        return list(adapted)

    def at_theta(self) -> Callable[[Tensor, Statistics], Tensor]:
        """Return ``(ldr, statistics) -> prediction`` by theta."""
        self.replica.refresh()
        return partial(self.replica, [_channels_last(parameter) for parameter in self.replica.theta()])


def gradient_or_zero(loss: Tensor, inputs: Sequence[Tensor], *, create_graph: bool = False) -> list[Tensor]:
    """Differentiate a loss, or the sum of several; inputs that it does not depend on get zeros."""
    found = torch.autograd.grad(loss, list(inputs), torch.ones_like(loss), create_graph=create_graph, allow_unused=True)
    return zeros_for_none(found, inputs)


def zeros_for_none(gradients: Sequence[Tensor | None], inputs: Sequence[Tensor]) -> list[Tensor]:
    """Replace the gradients that torch leaves out, of inputs that do not matter, by zeros."""
    return [torch.zeros_like(tensor) if part is None else part for tensor, part in zip(inputs, gradients, strict=True)]


def _channels_last(parameter: Tensor) -> Tensor:
    """A kernel in the layout of the pictures, so that it is not copied at every convolution."""
    return parameter.contiguous(memory_format=torch.channels_last) if parameter.ndim == 4 else parameter
