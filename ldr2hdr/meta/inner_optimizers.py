"""Inner optimisers: how a gradient changes the adapted parameters, differentiably."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Iterate(NamedTuple):
    """Adapted parameters between two inner steps, with what their optimiser remembers of the steps before."""

    parameters: list[Tensor]
    memory: list[Tensor]


class Move(NamedTuple):
    """Direction of an inner step, before the rate is applied.

    Attributes:
        direction: For each adapted parameter; the rate times it is subtracted.
        memory: For the step after.
    """

    direction: list[Tensor]
    memory: list[Tensor]


class AbstractRule(nn.Module, ABC):
    """Rule of the inner steps; parameters of its own are learned together with theta.

    Nothing is changed in place: the outer loop differentiates through every step.

    Attributes:
        is_elementwise: Whether all numbers of all parameters are treated alike, so that they may come as one tensor.
    """

    is_elementwise: bool = False

    def start(self, parameters: Sequence[Tensor]) -> Iterate:
        """Return the iterate before the first step."""
        return Iterate(list(parameters), [])

    @abstractmethod
    def step(self, iterate: Iterate, gradient: Sequence[Tensor], *, number: int) -> Iterate:
        """Return the iterate after one more step.

        Args:
            iterate: From ``start`` or from the step before.
            gradient: Of the support loss with respect to each adapted parameter.
            number: Steps taken so far.
        """


class AbstractDescent(AbstractRule):
    """Inner optimiser that goes down a direction at one rate for all parameters.

    Args:
        lr: Inner learning rate alpha.
        decay: Factor on the rate from one step to the next; 1 is constant.

    Raises:
        ValueError: If the rate is not positive or the decay outside (0, 1].

    Attributes:
        is_rounding_sensitive: Whether small gradients count as much as large ones, and so does their rounding.
    """

    is_elementwise = True
    is_rounding_sensitive: bool = False

    def __init__(self, lr: float, *, decay: float) -> None:
        super().__init__()
        if not (lr > 0 and 0 < decay <= 1):
            raise ValueError(f"an inner optimiser needs lr > 0 and decay in (0, 1], got {lr} and {decay}")
        self.lr, self.decay = lr, decay

    @abstractmethod
    def direct(self, memory: Sequence[Tensor], gradient: Sequence[Tensor], *, number: int) -> Move:
        """Return the direction of the next step; arguments as for ``step``."""

    def rate(self, number: int) -> float:
        """Return the rate of the step after this many."""
        return self.lr * self.decay**number

    def step(self, iterate: Iterate, gradient: Sequence[Tensor], *, number: int) -> Iterate:
        """Return ``phi - rate * direction``."""
        direction, memory = self.direct(iterate.memory, gradient, number=number)
        rate = self.rate(number)
        moved = [torch.add(p, move, alpha=-rate) for p, move in zip(iterate.parameters, direction, strict=True)]
        return Iterate(moved, memory)


class SGD(AbstractDescent):
    """Plain gradient steps, the inner loop of MAML; arguments and errors as for ``AbstractDescent``."""

    def __init__(self, lr: float, *, decay: float = 1.0) -> None:
        super().__init__(lr, decay=decay)

    def direct(self, memory: Sequence[Tensor], gradient: Sequence[Tensor], *, number: int) -> Move:
        """Return the gradient itself."""
        return Move(list(gradient), [])


class Momentum(AbstractDescent):
    """Gradient steps along a running sum of gradients, which starts at zero.

    Args:
        lr: Inner learning rate alpha.
        momentum: What is left of the sum at the next step.
        decay: Factor on the rate from one step to the next; 1 is constant.

    Raises:
        ValueError: If the rate is not positive, the decay outside (0, 1] or the momentum outside [0, 1).

    References:
        Sutskever et al., ICML 2013, eq. 1, in the form of ``torch.optim.SGD``.
    """

    def __init__(self, lr: float, *, momentum: float = 0.9, decay: float = 1.0) -> None:
        super().__init__(lr, decay=decay)
        _require_share("momentum", momentum)
        self.momentum = momentum

    def start(self, parameters: Sequence[Tensor]) -> Iterate:
        """Return the iterate before the first step: no momentum yet."""
        return Iterate(list(parameters), [torch.zeros_like(parameter) for parameter in parameters])

    def direct(self, memory: Sequence[Tensor], gradient: Sequence[Tensor], *, number: int) -> Move:
        """Return ``m' = mu m + g``."""
        running = [self.momentum * m + g for m, g in zip(memory, gradient, strict=True)]
        return Move(running, running)


class Adam(AbstractDescent):
    """Adam, started afresh for every task.

    Args:
        lr: Inner learning rate alpha.
        beta1: What is left of the mean gradient at the next step.
        beta2: What is left of the mean squared gradient.
        eps: Added to the mean square under the root, squared, so that its slope at zero is finite: a meta-gradient
            through the usual ``sqrt(v) + eps`` is infinite where a gradient was zero.
        decay: Factor on the rate from one step to the next; 1 is constant.

    Raises:
        ValueError: If the rate or ``eps`` is not positive, or another parameter is out of range.

    References:
        Kingma and Ba, ICLR 2015, alg. 1.
    """

    is_rounding_sensitive = True

    def __init__(
        self, lr: float, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-6, decay: float = 1.0
    ) -> None:
        super().__init__(lr, decay=decay)
        _require_share("beta1", beta1)
        _require_share("beta2", beta2)
        if not eps > 0:
            raise ValueError(f"eps of the inner Adam must be positive, got {eps}")
        self.beta1, self.beta2, self.eps = beta1, beta2, eps

    def start(self, parameters: Sequence[Tensor]) -> Iterate:
        """Return the iterate before the first step: both means are zero."""
        return Iterate(list(parameters), [torch.zeros_like(parameter) for parameter in (*parameters, *parameters)])

    def direct(self, memory: Sequence[Tensor], gradient: Sequence[Tensor], *, number: int) -> Move:
        """Return the mean gradient over the root of its mean square, both bias-corrected."""
        half = len(gradient)
        means, squares = memory[:half], memory[half:]
        means = [self.beta1 * m + (1 - self.beta1) * g for m, g in zip(means, gradient, strict=True)]
        squares = [self.beta2 * v + (1 - self.beta2) * g.square() for v, g in zip(squares, gradient, strict=True)]
        towards_mean, towards_square = 1 - self.beta1 ** (number + 1), 1 - self.beta2 ** (number + 1)
        direction = [
            (m / towards_mean) / (v / towards_square + self.eps**2).sqrt() for m, v in zip(means, squares, strict=True)
        ]
        return Move(direction, [*means, *squares])


def _require_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} of an inner optimiser must be in [0, 1), got {value}")
