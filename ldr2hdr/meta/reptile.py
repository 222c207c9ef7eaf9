"""Reptile: move theta toward the adapted parameters."""

import torch

from ldr2hdr.meta.base import AbstractMetaLearner, TaskGradient
from ldr2hdr.meta.learn2learn import MAML
from ldr2hdr.tasks import Shots


class ReptileLearner(AbstractMetaLearner):
    """Adapt by plain gradient steps; the meta-gradient is ``theta - phi``, handed to the outer optimiser.

    References:
        Nichol, Achiam, Schulman, "On First-Order Meta-Learning Algorithms", 2018, alg. 1 (batched version).
    """

    def task_gradient(self, support: Shots, query: Shots) -> TaskGradient:
        """Return ``theta - phi`` after the inner loop on the support; the query is only measured."""
        learner = MAML(self.model, lr=self.inner_lr, first_order=True, allow_nograd=True).clone()
        context = self.context(support)
        for _ in range(self.inner_steps):
            learner.adapt(self.loss(learner(support.ldr, context), support.exposure))
        with torch.no_grad():
            adapted = [p for p in learner.module.parameters() if p.requires_grad]
            gradient = tuple(theta - phi for theta, phi in zip(self.trainable(), adapted, strict=True))
            loss_before = self.loss(self.model(query.ldr), query.exposure)
            loss_after = self.loss(learner(query.ldr, context), query.exposure)
        return TaskGradient(gradient, loss_before, loss_after)
