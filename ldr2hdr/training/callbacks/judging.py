"""Shared by the callbacks that look at adaptation."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import lightning as L
import torch
from lightning.pytorch.utilities.seed import isolate_rng

from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.training.loggers.surviving import AbstractSurvivingLogger


@contextmanager
def judging(trainer: L.Trainer, pl_module: L.LightningModule) -> Iterator[AbstractMetaLearner]:
    """Hand out the meta-learner as validation has it, and leave no trace: modes and generators are as before."""
    was_training = pl_module.training
    pl_module.eval()
    try:
        with isolate_rng(), torch.no_grad(), trainer.precision_plugin.val_step_context():
            yield cast(AbstractMetaLearner, pl_module.learner)
    finally:
        pl_module.train(was_training)


def showing_loggers(trainer: L.Trainer) -> list[AbstractSurvivingLogger]:
    """The loggers that show more than numbers; the same on every process, and none in a ``fast_dev_run``."""
    return [logger for logger in trainer.loggers if isinstance(logger, AbstractSurvivingLogger)]
