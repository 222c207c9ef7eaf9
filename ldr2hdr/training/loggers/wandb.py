"""Weights & Biases; ``wandb`` itself is imported when a run begins, which takes a second."""

import functools
from typing import Any, ClassVar

from lightning.pytorch import loggers

from ldr2hdr.training.loggers.surviving import AbstractSurvivingLogger, KeptCheckpoint, Panel, Table


class WandbLogger(AbstractSurvivingLogger, loggers.WandbLogger):
    """Lightning's W&B logger, with panels as images, tables as artefacts, and checkpoints as versions of a model.

    The outer step, ``trainer/global_step``, is the x axis of everything. The W&B run ends with the training, so that
    each of a sweep has its own.
    """

    keeps_checkpoints: ClassVar[bool] = True

    @functools.wraps(loggers.WandbLogger.__init__)  # type: ignore[misc]  # settings are checked against its parameters
    def __init__(self, *args: Any, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **settings)
        del self._wandb_init["anonymous"]  # Lightning states it, W&B warns that it will be removed

    def finalize(self, status: str) -> None:
        """End the W&B run; offline, that is a matter of a moment."""
        super().finalize(status)
        if self._experiment is not None:
            self._id = self._experiment.id  # what is logged later continues this run
            self._experiment.finish(exit_code=int(status != "success"))
            self._experiment = None

    def show_panel(self, panel: Panel) -> None:
        """Log an image."""
        self.log_image(f"panels/{panel.series}", [panel.picture], panel.step, caption=[panel.caption])

    def show_table(self, table: Table) -> None:
        """Log a table, which W&B makes an artefact too."""
        self.log_table(table.name, columns=list(table.columns), data=[list(row) for row in table.rows], step=table.step)

    def show_config(self, config: dict[str, Any]) -> None:
        """Make the configuration what runs are filtered and compared by."""
        self.log_hyperparams(config)

    def keep_checkpoint(self, checkpoint: KeptCheckpoint) -> None:
        """Log a version of the run's model, under its name as alias."""
        import wandb

        artifact = wandb.Artifact(f"model-{self.experiment.id}", type="model", metadata=dict(checkpoint.about))
        # not copied: the file stays in the run's folder, which is what `wandb sync` reads
        artifact.add_file(str(checkpoint.path), name=checkpoint.path.name, policy="immutable", skip_cache=True)
        self.experiment.log_artifact(artifact, aliases=[checkpoint.name])
