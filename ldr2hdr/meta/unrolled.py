"""The gradient of a query loss through the inner loop, all at once or one inner step at a time."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ldr2hdr.meta.inner_loop import AbstractInnerLoop, FastInnerLoop, Order, zeros_for_none
from ldr2hdr.meta.inner_optimizers import Iterate
from ldr2hdr.tasks import Shots, Statistics


class UnrolledGradient(NamedTuple):
    """Gradient of ``sum_k w_k L_query(phi_k)``, and the query loss after the last step."""

    gradient: list[Tensor]
    loss_after: Tensor


def differentiate_unrolled(
    loop: AbstractInnerLoop,
    support: Shots,
    query: Shots,
    *,
    statistics: Statistics,
    weights: Sequence[float],
    wanted: Sequence[Tensor],
    order: Order,
) -> UnrolledGradient:
    """Keep the graph of all inner steps and differentiate it in one go.

    Args:
        loop: Runs the inner steps.
        support: Adapted on.
        query: Judged on.
        statistics: What the closed-form part of the model knows of the support.
        weights: The ``w_k`` of the query loss after k = 0, 1, ..., K steps; those that are 0 are not computed, the
            last one excepted.
        wanted: With respect to what.
        order: Whether gradients are differentiated again.
    """
    steps = len(weights) - 1
    losses: list[Tensor] = []
    for weight, adapted in zip(weights, loop.unroll(support, statistics, order=order), strict=False):
        # the caller of unroll must not ask for a step too many: it would be computed
        if weight or len(losses) == steps:
            losses.append(loop.adaptation.loss(adapted.predict(query.ldr, statistics), query.exposure))
        else:
            losses.append(query.exposure.new_zeros(()))
    objective = sum((weight * loss for weight, loss in zip(weights, losses, strict=True) if weight), losses[-1] * 0)
    return UnrolledGradient(gradient_or_zero(objective, wanted), losses[-1].detach())


def differentiate_stepwise(
    loop: FastInnerLoop,
    support: Shots,
    query: Shots,
    *,
    statistics: Statistics,
    weights: Sequence[float],
    wanted: Sequence[Tensor],
    order: Order,
) -> UnrolledGradient:
    """The same gradient in memory that does not grow with the number of steps: each step is computed twice.

    The steps are taken without a graph, and their iterates kept. Backwards, each is taken again with its graph, and
    the gradient that arrived at its end is brought to its beginning.

    Arguments and result are those of ``differentiate_unrolled``.

    References:
        Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016, for one segment per step.
    """
    steps = len(weights) - 1
    iterates = [loop.start(order="none")]
    for number in range(steps):
        iterates.append(loop.advance(iterates[-1], support, statistics, number=number, order="none"))
    total = [torch.zeros_like(tensor) for tensor in wanted]
    arriving: list[Tensor] | None = None
    loss_after = query.exposure.new_zeros(())
    for number in reversed(range(steps + 1)):
        here = _leaves(iterates.pop())
        inputs = [*here.parameters, *here.memory]
        outputs, given = [], []
        if arriving is not None:
            following = loop.advance(here, support, statistics, number=number, order=order)
            outputs, given = [*following.parameters, *following.memory], arriving
        if weights[number] or number == steps:
            with torch.enable_grad():
                prediction = loop.at(here.parameters).predict(query.ldr, statistics)
                loss = loop.adaptation.loss(prediction, query.exposure)
            outputs, given = [*outputs, loss], [*given, torch.full_like(loss, weights[number])]
            loss_after = loss.detach() if number == steps else loss_after
        arriving, more = _pull_back(outputs, given, inputs, wanted)
        torch._foreach_add_(total, more)
    return UnrolledGradient(_add_start(total, arriving, loop, wanted), loss_after)


def gradient_or_zero(loss: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Differentiate a loss; what it does not depend on gets zeros."""
    return zeros_for_none(torch.autograd.grad(loss, list(inputs), allow_unused=True), inputs)


def _leaves(iterate: Iterate) -> Iterate:
    return Iterate(*([tensor.detach().requires_grad_() for tensor in part] for part in iterate))


def _pull_back(
    outputs: Sequence[Tensor], given: Sequence[Tensor], inputs: Sequence[Tensor], wanted: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Gradients that arrive at a step's iterate, and at what is learned, from those at its results."""
    everything = [*inputs, *wanted]
    differentiable = [(out, grad) for out, grad in zip(outputs, given, strict=True) if out.requires_grad]
    found = torch.autograd.grad(
        [out for out, _ in differentiable], everything, [grad for _, grad in differentiable], allow_unused=True
    )
    filled = zeros_for_none(found, everything)
    return filled[: len(inputs)], filled[len(inputs) :]


def _add_start(
    total: list[Tensor], arriving: Sequence[Tensor] | None, loop: FastInnerLoop, wanted: Sequence[Tensor]
) -> list[Tensor]:
    """Theta is where the first iterate starts: what arrived there belongs to it."""
    theta = list(loop.adaptation.model.parameters())
    place = {id(tensor): position for position, tensor in enumerate(wanted)}
    for index, part in zip(loop.adaptation.adapted, arriving or (), strict=False):
        position = place.get(id(theta[index]))
        if position is not None:
            total[position] = total[position] + part
    return total
