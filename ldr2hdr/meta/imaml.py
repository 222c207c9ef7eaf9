"""iMAML: a meta-gradient that depends on the end of the inner loop, not on its steps."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.meta.inner_loop import AbstractEngine, InnerLoop, Loss, gradient_or_zero, zeros_for_none
from ldr2hdr.meta.inner_optimizers import AbstractRule, Iterate
from ldr2hdr.meta.outer_step import TaskGradient
from ldr2hdr.tasks import Shots


class IMAMLLearner(AbstractMetaLearner):
    r"""Adapt close to theta, and differentiate the minimum that was found instead of the steps to it.

    .. math:: \phi = \arg\min_\phi L(\phi, D_{support}) + \tfrac\lambda2 \|\phi - \theta\|^2, \qquad
              \frac{dL_{query}}{d\theta} = v = (I + H / \lambda)^{-1} \nabla_\phi L_{query}

    with :math:`H` the second derivative of the support loss at :math:`\phi`. What is learned without adapting,
    :math:`\psi`, gets :math:`\nabla_\psi L_{query} - \lambda^{-1} v^T \nabla_\phi \nabla_\psi L_{support}`. Memory does
    not depend on the number of inner steps. The gradient is that of the minimum: too few steps, or a rate too low,
    leave an error.

    Args:
        proximal_strength: The :math:`\lambda` above, in units of the loss; with it the inner loop stays convex where
            :math:`H` is not too negative.
        cg_steps: Most steps of conjugate gradients to :math:`v`.

    The others are those of `AbstractMetaLearner`.

    Raises:
        ValueError: As for `AbstractMetaLearner`, and if the strength or the number of steps is not positive.

    References:
        Rajeswaran et al., "Meta-Learning with Implicit Gradients", NeurIPS 2019, alg. 1 and 2.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        *,
        inner: InnerLoop = InnerLoop(steps=10),
        proximal_strength: float = 1.0,
        cg_steps: int = 5,
    ) -> None:
        super().__init__(model, loss, inner=inner)
        if proximal_strength <= 0 or cg_steps < 1:
            raise ValueError(
                f"algo.proximal_strength and algo.cg_steps must be positive, got {proximal_strength} and {cg_steps}"
            )
        self.proximal_strength = proximal_strength
        self.cg_steps = cg_steps
        self.rule = ProximalDescent(self.rule, proximal_strength)

    def differentiate(self, engine: AbstractEngine, support: Shots, query: Shots) -> TaskGradient:
        """Differentiate the query loss at the inner loop's minimum, by the implicit function theorem."""
        statistics = self.statistics(support)
        predict, parameters = engine.adapt(support, statistics, steps=self.inner.steps)
        learned = [index for index, parameter in enumerate(self.model.parameters()) if parameter.requires_grad]
        with torch.enable_grad():
            loss_after = engine.loss(predict, query, statistics)
            direct = gradient_or_zero(loss_after, [parameters[index] for index in learned])
            support_loss = engine.loss(predict, support, statistics)
            gradient = self._implicit(support_loss, parameters, dict(zip(learned, direct, strict=True)))
        with torch.no_grad():
            loss_before = engine.loss(engine.at_theta(), query, None)
        return TaskGradient(gradient, loss_before, loss_after.detach())

    def _implicit(
        self, support_loss: Tensor, parameters: Sequence[Tensor], direct: dict[int, Tensor]
    ) -> tuple[Tensor, ...]:
        """Turn the query loss's own gradient at the minimum, by position of the parameter, into that of theta."""
        phi, strength = [parameters[index] for index in self.adapted], self.proximal_strength
        num_tasks = support_loss.numel()
        slope = _rows(gradient_or_zero(support_loss, phi, create_graph=True), num_tasks)

        def curve(direction: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
            found = torch.autograd.grad(slope, list(inputs), direction, retain_graph=True, allow_unused=True)
            return zeros_for_none(found, inputs)

        v = conjugate_gradients(
            lambda direction: direction + _rows(curve(direction, phi), num_tasks) / strength,
            _rows([direct[index] for index in self.adapted], num_tasks),
            steps=self.cg_steps,
        )
        pieces = torch.split(v, [tensor.numel() // num_tasks for tensor in phi], dim=1)
        total = {index: piece.view_as(direct[index]) for index, piece in zip(self.adapted, pieces, strict=True)}
        psi = [index for index in direct if index not in total]
        if psi:
            mixed = curve(v, [parameters[index] for index in psi])
            total |= {index: direct[index] - part / strength for index, part in zip(psi, mixed, strict=True)}
        return tuple(total[index] for index in direct)


class ProximalDescent(AbstractRule):
    """Inner optimiser whose loss also counts the squared distance to where it started.

    Args:
        rule: Takes the steps.
        strength: Factor on half the squared distance.
    """

    def __init__(self, rule: AbstractRule, strength: float) -> None:
        super().__init__()
        self.rule, self.strength = rule, strength
        self.is_elementwise = rule.is_elementwise

    def start(self, parameters: Sequence[Tensor]) -> Iterate:
        """Return the iterate before the first step; the start is remembered."""
        started = self.rule.start(parameters)
        return Iterate(started.parameters, [*started.memory, *parameters])

    def step(self, iterate: Iterate, gradient: Sequence[Tensor], *, number: int) -> Iterate:
        """Take the inner optimiser's step along ``g + strength (phi - theta)``."""
        count = len(gradient)
        memory, start = iterate.memory[:-count], iterate.memory[-count:]
        pulled = [g + self.strength * (p - s) for g, p, s in zip(gradient, iterate.parameters, start, strict=True)]
        following = self.rule.step(Iterate(iterate.parameters, memory), pulled, number=number)
        return Iterate(following.parameters, [*following.memory, *start])


def conjugate_gradients(
    operator: Callable[[Tensor], Tensor], target: Float[Tensor, "t n"], *, steps: int
) -> Float[Tensor, "t n"]:
    """Solve ``operator(x) = target`` for a symmetric linear operator of each task, by the same number of steps.

    For a task whose operator turns out not to be positive definite, the solution so far is returned; the target itself,
    if it is so from the beginning.

    References:
        Nocedal and Wright, "Numerical Optimization", 2006, alg. 5.2, and alg. 7.1 for the negative curvature.
    """
    solution, residual, direction = torch.zeros_like(target), target, target
    is_convex = torch.ones_like(target[:, :1], dtype=torch.bool)
    for step in range(steps):
        image = operator(direction)
        curvature, square = _dot(direction, image), _dot(residual, residual)
        # a choice on the device, where an `if` would wait for it
        is_convex = is_convex & (curvature > 0)
        following = solution + square / curvature * direction
        solution = torch.where(is_convex, following, solution if step else target)
        residual = residual - square / curvature * image
        direction = residual + _dot(residual, residual) / square * direction
    return solution


def _dot(one: Float[Tensor, "t n"], other: Float[Tensor, "t n"]) -> Float[Tensor, "t 1"]:
    return torch.linalg.vecdot(one, other)[:, None]


def _rows(tensors: Sequence[Tensor], num_tasks: int) -> Float[Tensor, "t n"]:
    return torch.cat([tensor.reshape(num_tasks, -1) for tensor in tensors], dim=1)
