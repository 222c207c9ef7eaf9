"""The LightningModule: steps, optimiser, logging; no mathematics."""

from collections.abc import Callable, Iterable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.optimizer import Optimizer

from ldr2hdr.data.loading.datamodule import VAL_NAMES
from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.meta.outer_step import OuterStep
from ldr2hdr.metrics.hdr import blacken_diverged, evaluate_pictures
from ldr2hdr.tasks import TaskBatch


class MetaModule(L.LightningModule):
    """Train theta with any meta-learner.

    Args:
        learner: Turns a batch of tasks into a meta-gradient and adapts to tasks.
        optimizer: Makes the outer optimiser from parameters.
        scheduler: Makes the schedule of its rate, stepped whenever the optimiser is; None for a constant rate.
        gradient_clip: Largest norm of the meta-gradient; Lightning's own clipping does not go with manual steps.
        max_bad_steps: Outer steps in a row without one finite task before training stops.
        run_config: The resolved configuration as YAML; kept in every checkpoint, which is rebuilt from it.
        composed_config: The same with its interpolations, for a run that goes on with other values.

    Attributes:
        wants_stop: Whether this process was asked to stop; the others learn it with the gradient of a step.
        is_stop_agreed: Whether any process was, as all know since the last step.
    """

    def __init__(
        self,
        learner: AbstractMetaLearner,
        optimizer: Callable[[Iterable[torch.nn.Parameter]], Optimizer],
        *,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        gradient_clip: float = 1.0,
        max_bad_steps: int = 10,
        run_config: str = "",
        composed_config: str = "",
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.learner = learner
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.gradient_clip = gradient_clip
        self.max_bad_steps = max_bad_steps
        self.run_config = run_config
        self.composed_config = composed_config
        self.num_bad_steps = 0
        self.num_skipped_tasks = 0
        self.wants_stop = False
        self.is_stop_agreed = False

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Give the outer optimiser theta."""
        optimizer = self.make_optimizer(self.learner.trainable())
        if self.make_scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.make_scheduler(optimizer)}

    def on_train_batch_start(self, batch: TaskBatch, batch_idx: int) -> None:
        """Set the step that metrics are logged under: resumed after an epoch, Lightning counts its last one twice."""
        loop = self.trainer.fit_loop.epoch_loop
        loop._batches_that_stepped = loop.batch_progress.total.completed

    def training_step(self, batch: TaskBatch, batch_idx: int) -> None:
        """Take one outer step."""
        result = self.learner.outer_step(batch)
        num_counted, num_skipped, losses = self._assign_gradient(result, num_tasks=len(batch))
        if num_skipped:
            self.learner.warn_of_skipped(batch, result)
        self._stop_if_bad(num_counted)
        if num_counted > 0:
            norm = clip_grad_norm_(self.learner.trainable(), self.gradient_clip)
            optimizer: Any = self.optimizers()
            self.log_dict({"train/gradient_norm": norm, "train/lr": optimizer.param_groups[0]["lr"]})
            optimizer.step()
            if self.make_scheduler is not None:
                self.lr_schedulers().step()  # type: ignore[union-attr]
            self.log_dict(losses, prog_bar=True, batch_size=num_counted)
        self.log("train/skipped_tasks", float(self.num_skipped_tasks))

    def validation_step(self, batch: TaskBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log each metric without support (@single), and with it after 0 steps and after those trained with."""
        steps = self.learner.inner.steps
        logged: dict[str, list[Tensor]] = {}
        for index in range(len(batch)):
            support, query = batch.shots(index)
            adapted = {num: self.learner.adapt(support, steps=num) for num in sorted({0, steps})}
            for key, predictor in (("single", self.learner.single_shot()), *adapted.items()):
                with torch.no_grad():
                    scores = evaluate_pictures(blacken_diverged(predictor(query.ldr)), query)
                logged.setdefault(f"pu_psnr@{key}", []).append(scores["pu_psnr", "all"].nanmean())
                logged.setdefault(f"log2_rmse@{key}", []).append(scores["log2_rmse", "well_exposed"].nanmean())
        self.log_dict(
            {f"{VAL_NAMES[dataloader_idx]}/{key}": torch.stack(values).nanmean() for key, values in logged.items()},
            prog_bar=dataloader_idx == 0,
            add_dataloader_idx=False,
            batch_size=len(batch),
            sync_dist=True,
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the configuration and the counters of the guards."""
        checkpoint["config"] = self.run_config
        checkpoint["guards"] = {"num_bad_steps": self.num_bad_steps, "num_skipped_tasks": self.num_skipped_tasks}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the counters of the guards."""
        self.num_bad_steps = checkpoint["guards"]["num_bad_steps"]
        self.num_skipped_tasks = checkpoint["guards"]["num_skipped_tasks"]

    def _assign_gradient(self, result: OuterStep, *, num_tasks: int) -> tuple[int, int, dict[str, Tensor]]:
        """Fill ``.grad`` with the mean over the counted tasks of all processes, by one all-reduce and one read.

        Returns:
            How many tasks counted and how many did not, and the mean of the losses of those that did.
        """
        like = result.gradient_sum[0]
        losses = torch.stack([result.loss_after, result.loss_before]).to(like).nan_to_num() * result.num_counted
        # written on the device: a tensor of the CPU would have to be copied there
        counts = [like.new_full((1,), float(self.wants_stop)), result.num_counted[None], like.new_full((1,), num_tasks)]
        flat = torch.cat([*(gradient.flatten() for gradient in result.gradient_sum), losses, *counts])
        flat = self.trainer.strategy.reduce(flat, reduce_op="sum")
        num_stops, num_counted, num_tasks = map(int, flat[-3:].tolist())
        self.is_stop_agreed = num_stops > 0
        num_skipped = num_tasks - num_counted
        self.num_skipped_tasks += num_skipped
        mean = flat[:-3] / max(num_counted, 1)
        mean, (loss_after, loss_before) = mean[:-2], mean[-2:]
        parameters = self.learner.trainable()
        for parameter, part in zip(parameters, mean.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter).clone()
        return num_counted, num_skipped, {"train/loss": loss_after, "train/loss@single": loss_before}

    def _stop_if_bad(self, num_counted: int) -> None:
        self.num_bad_steps = 0 if num_counted else self.num_bad_steps + 1
        if self.num_bad_steps >= self.max_bad_steps:
            raise FloatingPointError(
                f"no task stayed finite in {self.num_bad_steps} outer steps in a row; "
                "lower algo.inner.lr or optimizer.lr"
            )
