"""No meta-learning: a fresh network, trained at test time on the support alone."""

import torch

from ldr2hdr.meta.base import AbstractMetaLearner, TaskGradient
from ldr2hdr.tasks import Shots


class FromScratchLearner(AbstractMetaLearner):
    """Adapt from the initial weights: the baseline that shows what learning from other tasks is worth.

    The outer loop learns nothing, so that one step of it makes the checkpoint. With a response stage, its untrained
    closed form belongs to the fresh network. Transductive fine-tuning has no counterpart here: it sharpens class
    probabilities of the query, and a picture to be reconstructed has none.
    """

    def task_gradient(self, support: Shots, query: Shots) -> TaskGradient:
        """Return zeros; the query is only measured."""
        engine, statistics = self.engine(), self.statistics(support)
        phi = engine.adapt(support, statistics, steps=self.inner.steps)
        with torch.no_grad():
            loss_after = self.loss(phi.predict(query.ldr, statistics), query.exposure)
            loss_before = self.loss(engine.at_theta()(query.ldr, None), query.exposure)
        return TaskGradient(tuple(torch.zeros_like(p) for p in self.trainable()), loss_before, loss_after)
