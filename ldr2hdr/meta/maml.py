"""Model-agnostic meta-learning, second and first order."""

import torch
from torch import nn

from ldr2hdr.meta.base import AbstractMetaLearner, Loss, TaskGradient, grad_or_zero
from ldr2hdr.meta.learn2learn import MAML
from ldr2hdr.tasks import Shots


class MAMLLearner(AbstractMetaLearner):
    r"""Learn the initialisation from which the inner loop does best on the query.

    .. math:: \phi = \theta - \alpha \nabla L(\theta, D_{support}), \qquad
              \min_\theta L(\phi, D_{query}) + w L(\theta, D_{query})

    Args:
        model: Holds theta.
        loss: ``(prediction, target) -> scalar``.
        inner_lr: Inner learning rate alpha.
        inner_steps: Gradient steps on the support.
        first_order: Treat the inner gradients as constants (FOMAML).
        single_shot_weight: The ``w`` above: how much theta is also asked to do well without any support, as for a
            photograph whose camera nobody knows. 0 is plain MAML.

    Raises:
        ValueError: If the weight is negative.

    References:
        Finn, Abbeel, Levine, "Model-Agnostic Meta-Learning", ICML 2017, alg. 2 and sec. 5.2 (first order).
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        *,
        inner_lr: float = 0.05,
        inner_steps: int = 3,
        first_order: bool = False,
        single_shot_weight: float = 0.0,
    ) -> None:
        super().__init__(model, loss, inner_lr=inner_lr, inner_steps=inner_steps)
        if single_shot_weight < 0:
            raise ValueError(f"algo.single_shot_weight must be at least 0, got {single_shot_weight}")
        self.first_order = first_order
        self.single_shot_weight = single_shot_weight

    def task_gradient(self, support: Shots, query: Shots) -> TaskGradient:
        """Differentiate the query loss at phi, through the inner loop, with respect to theta."""
        learner = MAML(
            self.model, lr=self.inner_lr, first_order=self.first_order, allow_nograd=True, allow_unused=True
        ).clone()
        context = self.context(support)
        for _ in range(self.inner_steps):
            learner.adapt(self.loss(learner(support.ldr, context), support.exposure))
        loss_after = self.loss(learner(query.ldr, context), query.exposure)
        with torch.set_grad_enabled(self.single_shot_weight > 0):
            loss_before = self.loss(self.model(query.ldr), query.exposure)
        objective = loss_after + self.single_shot_weight * loss_before
        return TaskGradient(grad_or_zero(objective, self.trainable()), loss_before.detach(), loss_after.detach())
