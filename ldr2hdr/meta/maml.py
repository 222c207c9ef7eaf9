"""Model-agnostic meta-learning, second and first order.

Algorithm 2 of the paper, from the outside in: ``AbstractMetaLearner.outer_step`` sums the gradients of a batch of
tasks, ``MAMLLearner.differentiate`` here differentiates one task's query loss through its inner loop, and
``InnerLoop`` with ``FastEngine.unroll`` takes the inner steps.
"""

from collections.abc import Hashable, Sequence

import torch
from torch import nn

from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.meta.inner_loop import AbstractEngine, FastEngine, InnerLoop, Loss, Order, gradient_or_zero
from ldr2hdr.meta.outer_step import TaskGradient
from ldr2hdr.meta.stepwise import differentiate_stepwise
from ldr2hdr.tasks import Shots


class MAMLLearner(AbstractMetaLearner):
    r"""Learn the initialisation from which the inner loop does best on the query.

    .. math:: \phi = \theta - \alpha \nabla L(\theta, D_{support}), \qquad
              \min_\theta L(\phi, D_{query}) + w L(\theta, D_{query})

    Args:
        model: Holds theta.
        loss: ``(prediction, target) -> scalar``.
        inner: The inner loop; ``adapts=["backbone.head.*"]`` is ANIL.
        first_order: Treat the inner gradients as constants (FOMAML).
        single_shot_weight: The ``w`` above: how much theta is also asked to do well without any support, as for a
            photograph whose camera nobody knows. 0 is plain MAML.
        checkpoint_steps: Take each inner step twice, and keep memory from growing with their number; for the engines
            ``auto`` and ``fast``.

    Raises:
        ValueError: If the weight is negative, or steps of learn2learn's engine are to be taken twice.

    References:
        Finn, Abbeel, Levine, "Model-Agnostic Meta-Learning", ICML 2017, alg. 2 and sec. 5.2 (first order);
        Raghu et al., "Rapid Learning or Feature Reuse?", ICLR 2020 (ANIL).
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
    ) -> None:
        super().__init__(model, loss, inner=inner)
        if single_shot_weight < 0:
            raise ValueError(f"algo.single_shot_weight must be at least 0, got {single_shot_weight}")
        if checkpoint_steps and not inner.is_fast:
            raise ValueError("algo.checkpoint_steps needs algo.inner.engine=fast or auto, got learn2learn")
        self.first_order = first_order
        self.single_shot_weight = single_shot_weight
        self.checkpoint_steps = checkpoint_steps

    def order(self) -> Order:
        """Return the order of the inner gradients at this outer step: differentiated again, or constants."""
        return "first" if self.first_order else "second"

    def query_weights(self) -> Sequence[float]:
        """Return the weights of the query loss after 0, 1, ..., K inner steps at this outer step."""
        return [0.0] * self.inner.steps + [1.0]

    def settings(self) -> Hashable:
        """Return the order and the weights, which an outer step has as numbers of the CPU."""
        return self.order(), tuple(self.query_weights())

    def differentiate(self, engine: AbstractEngine, support: Shots, query: Shots) -> TaskGradient:
        r"""Differentiate :math:`\sum_k w_k L(\phi_k, D_{query}) + w L(\theta, D_{query})` through the inner loop."""
        statistics = self.statistics(support)
        weights, learned = self.query_weights(), engine.copies(self.trainable())
        if self.checkpoint_steps and isinstance(engine, FastEngine):
            gradient, loss_after = differentiate_stepwise(
                *(engine, support, query), statistics=statistics, weights=weights, wanted=learned, order=self.order()
            )
        else:
            objective = loss_after = query.exposure.new_zeros(())
            path = engine.unroll(support, statistics, order=self.order(), steps=self.inner.steps)
            for step, (weight, phi) in enumerate(zip(weights, path, strict=True)):
                if weight or step == self.inner.steps:
                    loss_after = engine.loss(phi.predict, query, statistics)
                    objective = objective + weight * loss_after
            gradient = gradient_or_zero(objective, learned)
        with torch.set_grad_enabled(self.single_shot_weight > 0):
            loss_before = engine.loss(engine.at_theta(), query, None)
        if self.single_shot_weight > 0:
            of_theta = gradient_or_zero(loss_before, learned)
            torch._foreach_add_(gradient, of_theta, alpha=self.single_shot_weight)
        return TaskGradient(tuple(gradient), loss_before.detach(), loss_after.detach())
