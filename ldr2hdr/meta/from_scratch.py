"""No meta-learning: a fresh network, trained at test time on the support alone."""

import torch

from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.meta.inner_loop import AbstractEngine
from ldr2hdr.meta.outer_step import TaskGradient
from ldr2hdr.tasks import Shots


class FromScratchLearner(AbstractMetaLearner):
    """Adapt from the initial weights: the baseline that shows what learning from other tasks is worth.

    The outer loop learns nothing, so that one step of it makes the checkpoint. With a response stage, its untrained
    closed form belongs to the fresh network. Transductive fine-tuning has no counterpart here: it sharpens class
    probabilities of the query, and a picture to be reconstructed has none.
    """

    def differentiate(self, engine: AbstractEngine, support: Shots, query: Shots) -> TaskGradient:
        """Return zeros; the query is only measured."""
        statistics = self.statistics(support)
        phi = engine.adapt(support, statistics, steps=self.inner.steps)
        with torch.no_grad():
            loss_after = engine.loss(phi.predict, query, statistics)
            loss_before = engine.loss(engine.at_theta(), query, None)
        return TaskGradient(
            tuple(torch.zeros_like(p) for p in engine.copies(self.trainable())), loss_before, loss_after
        )
