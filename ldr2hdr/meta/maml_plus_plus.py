"""MAML++: learned rates per layer and step, a loss after every step, first order to begin with."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ldr2hdr.meta.inner_loop import InnerLoop, Loss, Order
from ldr2hdr.meta.inner_optimizers import AbstractDescent, AbstractRule, Iterate
from ldr2hdr.meta.maml import MAMLLearner
from ldr2hdr.meta.outer_step import OuterStep
from ldr2hdr.tasks import TaskBatch


class MAMLPlusPlusLearner(MAMLLearner):
    r"""MAML with four changes that make its training stable.

    The outer loss is :math:`\sum_k w_k L(\phi_k, D_{query})` over the inner steps :math:`k = 1 \dots K`. The weights
    are equal at first and move to the last step on a straight line. Of the paper's other parts, statistics of batch
    norm per step have no place in networks that keep none, and a cosine schedule is ``scheduler=cosine``.

    There is one rate per parameter tensor and inner step, all started at ``inner.lr``. Steps beyond those trained with
    go at the last one's rates.

    Args:
        multi_step_until: Outer steps after which the loss after the last inner step is the only one; 0 is from the
            start.
        second_order_from: Outer steps that treat inner gradients as constants, before they are differentiated.

    The others are those of `MAMLLearner`.

    Raises:
        ValueError: As for `MAMLLearner`, and if a number of outer steps is negative.

    References:
        Antoniou, Edwards, Storkey, "How to train your MAML", ICLR 2019, sec. 4.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        *,
        inner: InnerLoop = InnerLoop(),
        first_order: bool = False,
        single_shot_weight: float = 0.0,
        checkpoint_steps: bool = False,
        multi_step_until: int = 300,
        second_order_from: int = 100,
    ) -> None:
        super().__init__(
            model,
            loss,
            inner=inner,
            first_order=first_order,
            single_shot_weight=single_shot_weight,
            checkpoint_steps=checkpoint_steps,
        )
        if min(multi_step_until, second_order_from) < 0:
            raise ValueError(
                "algo.multi_step_until and algo.second_order_from are numbers of outer steps, at least 0, "
                f"got {multi_step_until} and {second_order_from}"
            )
        self.multi_step_until = multi_step_until
        self.second_order_from = second_order_from
        # in the state dict, so that a run that is resumed goes on with the weights and the order it had
        self.register_buffer("num_outer_steps", torch.zeros((), dtype=torch.int64))
        self.num_outer_steps: Tensor
        self._known = _read(self.num_outer_steps)

    def make_rule(self, descent: AbstractDescent) -> AbstractRule:
        """Give every parameter tensor a rate at every step."""
        return LayerStepRates(descent, self.adapting(), num_steps=self.inner.steps)

    def outer_step(self, batch: TaskBatch) -> OuterStep:
        """Sum the gradients of a batch, and count the outer step."""
        result = super().outer_step(batch)
        done = self._done()
        self.num_outer_steps += 1
        self._known = _Reading(self.num_outer_steps, self.num_outer_steps._version, done + 1)
        return result

    def _done(self) -> int:
        """Return the number of outer steps; a device is waited for only if others changed it."""
        if self._known.tensor is not self.num_outer_steps or self._known.version != self.num_outer_steps._version:
            self._known = _read(self.num_outer_steps)
        return self._known.number

    def order(self) -> Order:
        """Return first order for the first outer steps, then the order asked for."""
        return "first" if self._done() < self.second_order_from else super().order()

    def query_weights(self) -> Sequence[float]:
        """Move from equal weights of all inner steps to the last one alone."""
        steps, done = self.inner.steps, self._done()
        if steps == 0 or done >= self.multi_step_until:
            return super().query_weights()
        share = (1 - done / self.multi_step_until) / steps
        return [0.0, *[share] * (steps - 1), 1 - (steps - 1) * share]


class _Reading(NamedTuple):
    """Content of a tensor at one of its versions, which torch counts."""

    tensor: Tensor
    version: int
    number: int


def _read(tensor: Tensor) -> _Reading:
    return _Reading(tensor, tensor._version, int(tensor))


class LayerStepRates(AbstractRule):
    """Go down the direction of an inner optimiser at learned rates, one per parameter tensor and step.

    Args:
        descent: Gives the direction, and the rates to start from.
        parameters: What adapts.
        num_steps: Steps with rates of their own; later ones share the last.
    """

    def __init__(self, descent: AbstractDescent, parameters: Sequence[Tensor], *, num_steps: int) -> None:
        super().__init__()
        self.descent = descent
        rows = [parameters[0].new_full((len(parameters),), descent.rate(step)) for step in range(max(num_steps, 1))]
        self.rates = nn.Parameter(torch.stack(rows))

    def start(self, parameters: Sequence[Tensor]) -> Iterate:
        """Return the iterate before the first step."""
        return self.descent.start(parameters)

    def step(self, iterate: Iterate, gradient: Sequence[Tensor], *, number: int) -> Iterate:
        """Return ``phi - rate * direction``."""
        direction, memory = self.descent.direct(iterate.memory, gradient, number=number)
        rates = self.rates[min(number, len(self.rates) - 1)].unbind()
        moved = [phi - rate * move for phi, rate, move in zip(iterate.parameters, rates, direction, strict=True)]
        return Iterate(moved, memory)
