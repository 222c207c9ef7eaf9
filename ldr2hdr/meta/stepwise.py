"""Gradient of a query loss through the inner loop in memory that does not grow with the number of its steps."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ldr2hdr.meta.inner_loop import FastEngine, Order, zeros_for_none
from ldr2hdr.meta.inner_optimizers import Iterate
from ldr2hdr.tasks import Shots, Statistics


def differentiate_stepwise(
    engine: FastEngine,
    support: Shots,
    query: Shots,
    *,
    statistics: Statistics,
    weights: Sequence[float],
    wanted: Sequence[Tensor],
    order: Order,
) -> tuple[list[Tensor], Tensor]:
    """Differentiate ``sum_k w_k L_query(phi_k)`` one inner step at a time; each step is computed twice.

    The steps are taken without a graph, and their iterates kept. Backwards, each is taken again with its graph, and
    the gradient that arrived at its end is brought to its beginning.

    Args:
        engine: Takes the inner steps.
        support: Adapted on.
        query: Judged on.
        statistics: Of the support, for the closed-form part of the model.
        weights: The ``w_k`` of the query loss after k = 0, 1, ..., K steps; those that are 0 are not computed, the
            last one excepted.
        wanted: Tensors to differentiate with respect to.
        order: Whether inner gradients are differentiated again.

    Returns:
        The gradient, and the query loss after the last step.

    References:
        Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016, for one segment per step.
    """
    steps = len(weights) - 1
    iterates = [engine.start(order="none")]
    for number in range(steps):
        iterates.append(engine.advance(iterates[-1], support, statistics, number=number, order="none"))
    total = [torch.zeros_like(tensor) for tensor in wanted]
    arriving: list[Tensor] | None = None
    loss_after = query.exposure.new_zeros(())
    for number in reversed(range(steps + 1)):
        here = _leaves(iterates.pop())
        inputs = [*here.parameters, *here.memory]
        outputs, given = [], []
        if arriving is not None:
            following = engine.advance(here, support, statistics, number=number, order=order)
            outputs, given = [*following.parameters, *following.memory], arriving
        if weights[number] or number == steps:
            with torch.enable_grad():
                loss = engine.loss(engine.at(here.parameters).predict, query, statistics)
            outputs, given = [*outputs, loss], [*given, torch.full_like(loss, weights[number])]
            loss_after = loss.detach() if number == steps else loss_after
        arriving, more = _pull_back(outputs, given, inputs, wanted)
        torch._foreach_add_(total, more)
    return _add_start(total, arriving, engine, wanted), loss_after


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
    total: list[Tensor], arriving: Sequence[Tensor] | None, engine: FastEngine, wanted: Sequence[Tensor]
) -> list[Tensor]:
    """Theta is where the first iterate starts: what arrived there belongs to it."""
    if arriving is None:
        return total
    theta = engine.theta()
    place = {id(tensor): position for position, tensor in enumerate(wanted)}
    for index, part in zip(engine.adaptation.adapted, engine.split(arriving), strict=False):
        position = place.get(id(theta[index]))
        if position is not None:
            total[position] = total[position] + part
    return total
