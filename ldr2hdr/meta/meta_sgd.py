"""Meta-SGD: the outer loop also learns an inner rate for every element of every parameter."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ldr2hdr.meta.inner_optimizers import AbstractDescent, AbstractRule, Iterate
from ldr2hdr.meta.maml import MAMLLearner


class MetaSGDLearner(MAMLLearner):
    r"""MAML with one learned inner rate per element, started at ``inner.lr``; arguments as for `MAMLLearner`.

    .. math:: \phi = \theta - \alpha \circ \nabla L(\theta, D_{support})

    Rates may turn negative, as published. With an inner optimiser other than plain gradient steps, they scale its
    directions.

    References:
        Li et al., "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning", 2017, alg. 1.
    """

    def make_rule(self, descent: AbstractDescent) -> AbstractRule:
        """Give every element a rate."""
        return ElementRates(descent, self.adapting())


class ElementRates(AbstractRule):
    """Go down the direction of an inner optimiser, every element at a learned rate.

    Args:
        descent: Gives the direction, the rate to start from, and its decay from step to step.
        parameters: What adapts.
    """

    def __init__(self, descent: AbstractDescent, parameters: Sequence[Tensor]) -> None:
        super().__init__()
        self.descent = descent
        self.rates = nn.ParameterList(torch.full_like(parameter, descent.lr) for parameter in parameters)

    def start(self, parameters: Sequence[Tensor]) -> Iterate:
        """Return the iterate before the first step."""
        return self.descent.start(parameters)

    def step(self, iterate: Iterate, gradient: Sequence[Tensor], *, number: int) -> Iterate:
        """Return ``phi - rates * direction``."""
        direction, memory = self.descent.direct(iterate.memory, gradient, number=number)
        scale = self.descent.decay**number
        triples = zip(iterate.parameters, self.rates, direction, strict=True)
        return Iterate([torch.addcmul(phi, rate, move, value=-scale) for phi, rate, move in triples], memory)
