"""Supervised training: the baseline that sees the same pictures and is fine-tuned at test time."""

import torch

from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.meta.inner_loop import AbstractEngine, gradient_or_zero
from ldr2hdr.meta.outer_step import TaskGradient
from ldr2hdr.tasks import Shots


class SupervisedLearner(AbstractMetaLearner):
    """Minimise the mean loss over all pictures of a task, support and query alike, without adapting.

    At test time ``adapt`` is ordinary fine-tuning on the support. Its closed-form part never sees the support:
    what it would gain there is not supervised learning.
    """

    def statistics(self, support: Shots) -> None:
        """Return no statistics: the network alone has to know the camera."""

    def differentiate(self, engine: AbstractEngine, support: Shots, query: Shots) -> TaskGradient:
        """Differentiate the loss at theta over the K + Q pictures."""
        ldr = torch.cat([support.ldr, query.ldr], dim=-4)
        exposure = torch.cat([support.exposure, query.exposure], dim=-4)
        loss = engine.loss(engine.at_theta(), Shots(ldr, exposure), None)
        gradient = gradient_or_zero(loss, engine.copies(self.trainable()))
        return TaskGradient(tuple(gradient), loss.detach(), loss.detach())
