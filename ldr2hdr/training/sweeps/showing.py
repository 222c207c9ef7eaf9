"""Summary of a sweep as an artefact of Weights & Biases, beside the runs of its jobs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import imageio.v3 as iio
from omegaconf import OmegaConf

from ldr2hdr.training.loggers.surviving import Panel, Table
from ldr2hdr.training.sweeps.job import Job
from ldr2hdr.training.sweeps.standing import Standing
from ldr2hdr.training.sweeps.table import tabulate_exactly

_CONFIG: Final = ".hydra/config.yaml"
_SETTINGS: Final = ("project", "offline", "entity")  # of the jobs' runs that the summary's run shares


def show_in_wandb(jobs: Sequence[Job], standing: Standing, *, folder: Path) -> bool:
    """Log the table and the plot to W&B in a run of their own, in the group of the jobs' runs.

    Args:
        jobs: Jobs of the sweep.
        standing: Of these.
        folder: Folder of the sweep, with ``summary.png``.

    Returns:
        Whether a job was logged there; otherwise nothing is done.
    """
    settings = _settings_of(jobs)
    if settings is None:
        return False
    from ldr2hdr.training.loggers.wandb import WandbLogger

    name = f"sweep {folder.name}"
    logger = WandbLogger(**settings, name=name, group=folder.name, job_type="sweep", save_dir=str(folder))
    table = tabulate_exactly(jobs, standing)
    logger.show_table(Table("sweep", 0, table.columns, table.rows))
    logger.show_panel(Panel("sweep", 0, iio.imread(folder / "summary.png")[..., :3], name))
    logger.finalize("success")
    return True


def _settings_of(jobs: Sequence[Job]) -> Mapping[str, Any] | None:
    """Return the shared settings of the first job that was logged to W&B; None if there is no such job."""
    for job in jobs:
        path = job.folder / _CONFIG
        node = OmegaConf.select(OmegaConf.load(path), "logger.wandb") if path.is_file() else None
        if node is not None:
            return {key: node[key] for key in _SETTINGS if key in node}
    return None
