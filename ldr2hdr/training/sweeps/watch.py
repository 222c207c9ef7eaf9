"""Callback of Hydra that keeps a sweep going, and sums up each job at its end."""

import atexit
import importlib.util
import logging
import math
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Final

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ldr2hdr.training.sweeps.job import OVERRIDES, Record, Status

_log = logging.getLogger(__name__)

# Set by whatever starts the processes of one job; those of a rank above 0 write nothing
_RANKS: Final = ("RANK", "SLURM_PROCID", "SUBMITIT_LOCAL_GLOBALRANK")
_BASIC_SWEEPER: Final = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


class SweepWatch(Callback):
    """Record each job of a multirun in its folder, and sum the sweep up when it ends.

    Hydra's own sweeper raises the error of the first failed job, and starts none of the batches that were left. Here a
    failed job gives it NaN instead; other sweepers learn of the failure, as they have rules of their own for it. The
    sweep's exit status is 1 if a job failed. A single run is left alone.
    """

    def __init__(self) -> None:
        self._began = 0.0

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Require the plug-ins; sum up also if the sweep itself ends by an error."""
        for part in ("launcher", "sweeper"):
            _require_plugin(part, config.hydra[part]._target_)
        # of a callable without state: a launcher may send this object to other processes
        atexit.register(conclude, Path(str(config.hydra.sweep.dir)).absolute())

    def on_job_start(self, config: DictConfig, **kwargs: object) -> None:
        """Leave a record, so that a job that is killed has one too."""
        self._began = time.perf_counter()
        if _is_watched(config):
            _record(config, status="running").write(_folder(config))

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: object) -> None:
        """Record how it ended."""
        if not _is_watched(config):
            return
        seconds = time.perf_counter() - self._began
        if job_return.status is JobStatus.COMPLETED:
            value = job_return.return_value
            objective = float(value) if isinstance(value, int | float) else None
            _record(config, status="completed", seconds=seconds, objective=objective).write(_folder(config))
            return
        error: Exception = job_return._return_value  # the property would raise it
        _record(config, status="failed", seconds=seconds, error=error).write(_folder(config))
        _log.error("job %s failed: %s", config.hydra.job.num, _reason(error))
        if config.hydra.sweeper._target_ == _BASIC_SWEEPER:
            job_return.status = JobStatus.COMPLETED
            job_return.return_value = math.nan

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        """Sum up, and fail if a job failed.

        Raises:
            SystemExit: If a job failed; Hydra itself would end with 0.
        """
        atexit.unregister(conclude)
        if not conclude(Path(str(config.hydra.sweep.dir)).absolute()):
            raise SystemExit(1)


def conclude(folder: Path) -> bool:
    """Write and print the summary of a sweep; returns whether all jobs were completed."""
    from ldr2hdr.training.sweeps.folder import read_sweep
    from ldr2hdr.training.sweeps.printing import print_summary
    from ldr2hdr.training.sweeps.showing import show_in_wandb
    from ldr2hdr.training.sweeps.standing import rank
    from ldr2hdr.training.sweeps.summary import write_summary

    if not any(folder.rglob(OVERRIDES)):
        return False  # it ended before the first job, by an error that was reported
    jobs = read_sweep(folder)
    standing = rank(jobs)
    write_summary(jobs, standing, folder=folder)
    show_in_wandb(jobs, standing, folder=folder)
    return print_summary(jobs, standing, folder=folder)


def _is_watched(config: DictConfig) -> bool:
    is_first = all(os.environ.get(name, "0") == "0" for name in _RANKS)
    return config.hydra.mode is RunMode.MULTIRUN and is_first


def _folder(config: DictConfig) -> Path:
    return Path(str(config.hydra.runtime.output_dir))


def _record(
    config: DictConfig,
    *,
    status: Status,
    seconds: float | None = None,
    objective: float | None = None,
    error: Exception | None = None,
) -> Record:
    metric = OmegaConf.select(config, "optimized_metric")
    return Record(
        number=int(config.hydra.job.num),
        overrides=[str(override) for override in config.hydra.overrides.task],
        status=status,
        seconds=seconds,
        objective=objective,
        optimized_metric=None if metric is None else str(metric),
        error="" if error is None else _reason(error),
        traceback="" if error is None else "".join(traceback.format_exception(error)),
    )


def _reason(error: Exception) -> str:
    """Return the error in one line, with its class unless the message was written for people."""
    text = " ".join(str(error).split())
    return text if type(error).__name__ == "RunError" else f"{type(error).__name__}: {text}"


def _require_plugin(part: str, target: str) -> None:
    """Say how to install a plug-in that is missing; Hydra would say that it cannot locate a class.

    Raises:
        SystemExit: If it is missing.
    """
    package = ".".join(target.split(".")[:2])
    if not target.startswith("hydra_plugins.") or _is_installed(package):
        return
    sys.stderr.write(
        f"hydra/{part} needs the package {package}, which is not installed; docs/many_gpus.md and pyproject.toml name "
        f"what to install: pip install 'ldr2hdr[sweeps]' for joblib and Slurm\n"
    )
    raise SystemExit(1)


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False
