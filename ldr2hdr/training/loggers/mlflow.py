"""MLflow; ``mlflow`` itself is imported when a run begins, which takes seconds."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import loggers

from ldr2hdr.training.loggers.surviving import AbstractSurvivingLogger, Panel, Table


class MLFlowLogger(AbstractSurvivingLogger, loggers.MLFlowLogger):
    """Lightning's MLflow logger, with panels as images and tables as tables.

    MLflow allows no ``@`` in names: ``val/pu_psnr@3`` is ``val/pu_psnr_at_3`` there.
    """

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers."""
        super().log_metrics({name.replace("@", "_at_"): value for name, value in metrics.items()}, step)

    def show_panel(self, panel: Panel) -> None:
        """Log an image."""
        self.experiment.log_image(self.run_id, panel.picture, key=panel.series.replace("/", "_"), step=panel.step)

    def show_table(self, table: Table) -> None:
        """Log a table."""
        columns = zip(*table.rows, strict=True)
        data = {name: list(values) for name, values in zip(table.columns, columns, strict=True)}
        self.experiment.log_table(self.run_id, data, f"{table.name}.json")

    def show_config(self, config: dict[str, Any]) -> None:
        """Make the configuration what runs are filtered and compared by."""
        self.log_hyperparams(config)
