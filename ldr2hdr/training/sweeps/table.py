"""The table of a sweep: a row for each job, a column for each override that varies and each metric."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from ldr2hdr.training.sweeps.job import Job

NOTHING: Final = "–"
MAIN_METRIC: Final = "val/pu_psnr"
_SHORT: Final = {"val/pu_psnr": "", "val_unseen/pu_psnr": "unseen "}
_LESS_IS_BETTER: Final = ("log2_rmse", "loss")
_ENDINGS: Final = ("before", "last", "best")
_STATUS: Final = {"running": "no end recorded: still running, stopped or killed", "unknown": "no record"}


class Table(NamedTuple):
    """Cells as text.

    Attributes:
        columns: Their names.
        rows: One for each job.
        best: Row of the highest objective that is finite; None if there is none.
    """

    columns: list[str]
    rows: list[list[str]]
    best: int | None


def is_more_better(metric: str) -> bool:
    """Return whether a metric grows with quality.

    Example:
        >>> is_more_better("val/pu_psnr@3"), is_more_better("val/log2_rmse@3")
        (True, False)
    """
    return metric.partition("@")[0].rpartition("/")[2] not in _LESS_IS_BETTER


def varying_keys(jobs: Sequence[Job]) -> list[str]:
    """Return the keys whose value is not that of every job, in order of appearance."""
    keys = dict.fromkeys(key for job in jobs for key in job.settings)
    return [key for key in keys if len({job.settings.get(key) for job in jobs}) > 1]


def name_job(job: Job, keys: Sequence[str]) -> str:
    """Name a job by its number and the settings that are its own."""
    own = " ".join(f"{key}={job.settings[key]}" for key in keys if key in job.settings)
    return f"{job.record.number}: {own}" if own else str(job.record.number)


def best_job(jobs: Sequence[Job]) -> int | None:
    """Position of the job with the best objective; None if no job has a finite one."""
    values = {}
    for index, job in enumerate(jobs):
        objective = job.record.objective
        if objective is not None and math.isfinite(objective):
            sign = 1 if is_more_better(job.record.optimized_metric or "") else -1
            values[index] = sign * objective
    return max(values, key=lambda index: values[index]) if values else None


def tabulate_exactly(jobs: Sequence[Job]) -> Table:
    """Every validation metric with all its digits, for programs: without inner steps, the last and best after them."""
    keys, metrics = varying_keys(jobs), all_metrics(jobs)
    columns = ["job", *keys, *(f"{metric} {ending}" for metric in metrics for ending in _ENDINGS)]
    columns += ["objective", "seconds", "status", "folder"]
    rows = []
    for job in jobs:
        values = [value for metric in metrics for value in job.reached(metric, is_more_better=is_more_better(metric))]
        cells = ["" if value is None else repr(value) for value in (*values, job.record.objective, job.record.seconds)]
        settings = [job.settings.get(key, "") for key in keys]
        rows.append([str(job.record.number), *settings, *cells, describe_status(job), str(job.folder)])
    return Table(columns, rows, best_job(jobs))


def tabulate(jobs: Sequence[Job]) -> Table:
    """PU21-PSNR in dB, for people."""
    keys = varying_keys(jobs)
    columns = ["job", *keys, *(f"{short}{ending}" for short in _SHORT.values() for ending in _ENDINGS)]
    rows = []
    for job in jobs:
        cells = [str(job.record.number), *(job.settings.get(key, NOTHING) for key in keys)]
        for metric in _SHORT:
            cells += [_number(value, 2) for value in job.reached(metric, is_more_better=True)]
        minutes = None if job.record.seconds is None else job.record.seconds / 60
        rows.append([*cells, _number(job.record.objective, 3), _number(minutes, 1), describe_status(job)])
    return Table([*columns, "objective", "minutes", "status"], rows, best_job(jobs))


def all_metrics(jobs: Sequence[Job]) -> list[str]:
    """Every validation metric that a job logged after inner steps."""
    names = (name.rpartition("@") for job in jobs for name in job.curves if name.startswith("val"))
    return list(dict.fromkeys(stem for stem, _, after in names if after.isdecimal()))


def describe_status(job: Job) -> str:
    """Return how a job ended, with the reason if it failed."""
    status = job.record.status
    return f"failed: {job.record.error}" if status == "failed" else _STATUS.get(status, status)


def _number(value: float | None, decimals: int) -> str:
    return NOTHING if value is None else f"{value:.{decimals}f}"
