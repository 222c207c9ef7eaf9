"""Meta-gradients as torch's own tools make them, for comparison: the stock network under ``torch.func``."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from ldr2hdr.meta.folding import statistics_of
from ldr2hdr.meta.inner_loop import Loss
from ldr2hdr.tasks import Shots, TaskBatch

Parameters = Mapping[str, Tensor]


def plain_vmap(model: nn.Module, loss: Loss, *, algorithm: str, lr: float, steps: int) -> Callable[[TaskBatch], list]:
    """Return a meta-step of ``maml``, ``fomaml`` or ``reptile``: ``batch -> sum of the tasks' gradients``."""

    def loss_of(parameters: Parameters, shots: Shots, support: Shots) -> Tensor:
        statistics = statistics_of(model, support)
        return loss(functional_call(model, dict(parameters), (shots.ldr, statistics)), shots.exposure)

    def adapt(theta: Parameters, support: Shots) -> Parameters:
        phi = theta
        for _ in range(steps):
            gradient = grad(loss_of)(phi, support, support)
            if algorithm != "maml":
                gradient = {name: part.detach() for name, part in gradient.items()}
            phi = {name: part - lr * gradient[name] for name, part in phi.items()}
        return phi

    def of_task(theta: Parameters, *tensors: Tensor) -> Parameters:
        support, query = Shots(*tensors[:2]), Shots(*tensors[2:])
        if algorithm == "reptile":
            phi = adapt(theta, support)
            return {name: part - phi[name] for name, part in theta.items()}
        return grad(lambda start: loss_of(adapt(start, support), query, support))(theta)

    def step(batch: TaskBatch) -> list[Tensor]:
        theta = {name: parameter.detach() for name, parameter in model.named_parameters()}
        tensors = (batch.support.ldr, batch.support.exposure, batch.query.ldr, batch.query.exposure)
        gradients = vmap(of_task, in_dims=(None, 0, 0, 0, 0))(theta, *tensors)
        with torch.no_grad():
            return [gradients[name].sum(dim=0) for name in theta]

    return step
