"""Supervised training: the baseline that sees the same pictures and is fine-tuned at test time."""

import torch

from ldr2hdr.meta.base import AbstractMetaLearner, TaskGradient
from ldr2hdr.meta.inner_loop import gradient_or_zero
from ldr2hdr.tasks import Shots


class SupervisedLearner(AbstractMetaLearner):
    """Minimise the mean loss over all pictures of a task, support and query alike, without adapting.

    At test time ``adapt`` is ordinary fine-tuning on the support. Its closed-form part never sees the support:
    what it would gain there is not supervised learning.
    """

    def statistics(self, support: Shots) -> None:
        """Return no statistics: the network alone has to know the camera."""

    def task_gradient(self, support: Shots, query: Shots) -> TaskGradient:
        """Differentiate the loss at theta over the K + Q pictures."""
        ldr = torch.cat([support.ldr, query.ldr])
        exposure = torch.cat([support.exposure, query.exposure])
        loss = self.loss(self.engine().at_theta()(ldr, None), exposure)
        gradient = gradient_or_zero(loss, self.trainable())
        return TaskGradient(tuple(gradient), loss.detach(), loss.detach())
