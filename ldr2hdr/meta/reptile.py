"""Reptile: move theta toward the adapted parameters."""

import torch

from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.meta.inner_loop import AbstractEngine
from ldr2hdr.meta.outer_step import TaskGradient
from ldr2hdr.tasks import Shots


class ReptileLearner(AbstractMetaLearner):
    """Adapt by gradient steps; the meta-gradient is ``theta - phi``, handed to the outer optimiser.

    References:
        Nichol, Achiam, Schulman, "On First-Order Meta-Learning Algorithms", 2018, alg. 1 (batched version).
    """

    def differentiate(self, engine: AbstractEngine, support: Shots, query: Shots) -> TaskGradient:
        """Return ``theta - phi`` after the inner loop on the support; the query is only measured."""
        statistics = self.statistics(support)
        phi = engine.adapt(support, statistics, steps=self.inner.steps)
        with torch.no_grad():
            loss_after = engine.loss(phi.predict, query, statistics)
            moved = dict(zip(map(id, self.model.parameters()), phi.parameters, strict=True))
            theta = engine.copies(self.trainable())
            end = [moved.get(id(p), start) for p, start in zip(self.trainable(), theta, strict=True)]
            gradient = torch._foreach_sub(theta, end)
            loss_before = engine.loss(engine.at_theta(), query, None)
        return TaskGradient(gradient, loss_before, loss_after)
