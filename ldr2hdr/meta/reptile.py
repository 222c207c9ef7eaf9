"""Reptile: move theta toward the adapted parameters."""

import torch

from ldr2hdr.meta.base import AbstractMetaLearner, TaskGradient
from ldr2hdr.tasks import Shots


class ReptileLearner(AbstractMetaLearner):
    """Adapt by gradient steps; the meta-gradient is ``theta - phi``, handed to the outer optimiser.

    References:
        Nichol, Achiam, Schulman, "On First-Order Meta-Learning Algorithms", 2018, alg. 1 (batched version).
    """

    def task_gradient(self, support: Shots, query: Shots) -> TaskGradient:
        """Return ``theta - phi`` after the inner loop on the support; the query is only measured."""
        engine, statistics = self.engine(), self.statistics(support)
        phi = engine.adapt(support, statistics, steps=self.inner.steps)
        with torch.no_grad():
            loss_after = self.loss(phi.predict(query.ldr, statistics), query.exposure)
            moved = dict(zip(map(id, self.model.parameters()), phi.parameters, strict=True))
            gradient = tuple(p - moved.get(id(p), p) for p in self.trainable())
            loss_before = self.loss(engine.at_theta()(query.ldr, None), query.exposure)
        return TaskGradient(gradient, loss_before, loss_after)
