"""The table of a sweep: a row for each job, a column for each override that varies and each metric."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from ldr2hdr.metrics.bootstrap import Interval, is_undecided
from ldr2hdr.training.sweeps.job import Job
from ldr2hdr.training.sweeps.standing import Standing, is_more_better

NOTHING: Final = "–"
MAIN_METRIC: Final = "val/pu_psnr"
_SHORT: Final = {"val/pu_psnr": "", "val_unseen/pu_psnr": "unseen "}
_ENDINGS: Final = ("before", "last", "best")
_STATUS: Final = {"running": "no end recorded: still running, stopped or killed", "unknown": "no record"}


class Table(NamedTuple):
    """Cells as text.

    Attributes:
        columns: Their names.
        rows: One for each job.
        winner: Row of the job that is ahead of all others by more than chance; None if there is none.
    """

    columns: list[str]
    rows: list[list[str]]
    winner: int | None


def varying_keys(jobs: Sequence[Job]) -> list[str]:
    """Return the keys whose value is not that of every job, in order of appearance."""
    keys = dict.fromkeys(key for job in jobs for key in job.settings)
    return [key for key in keys if len({job.settings.get(key) for job in jobs}) > 1]


def name_job(job: Job, keys: Sequence[str]) -> str:
    """Name a job by its number and the settings that are its own."""
    own = " ".join(f"{key}={job.settings[key]}" for key in keys if key in job.settings)
    return f"{job.record.number}: {own}" if own else str(job.record.number)


def tabulate_exactly(jobs: Sequence[Job], standing: Standing) -> Table:
    """Every validation metric with all its digits, for programs: without inner steps, the last and best after them."""
    keys, metrics = varying_keys(jobs), all_metrics(jobs)
    columns = ["job", *keys, *(f"{metric} {ending}" for metric in metrics for ending in _ENDINGS)]
    columns += ["objective", "behind", "behind low", "behind high", "seconds", "status", "folder"]
    rows = []
    for job, behind in zip(jobs, standing.differences, strict=True):
        values = [value for metric in metrics for value in job.reached(metric, is_more_better=is_more_better(metric))]
        values += [job.record.objective, *((None,) * 3 if behind is None else behind[:3]), job.record.seconds]
        cells = ["" if value is None else repr(value) for value in values]
        settings = [job.settings.get(key, "") for key in keys]
        rows.append([str(job.record.number), *settings, *cells, describe_status(job), str(job.folder)])
    return Table(columns, rows, standing.winner)


def tabulate(jobs: Sequence[Job], standing: Standing) -> Table:
    """PU21-PSNR in dB, for people."""
    keys = varying_keys(jobs)
    columns = ["job", *keys, *(f"{short}{ending}" for short in _SHORT.values() for ending in _ENDINGS)]
    rows = []
    for job, behind in zip(jobs, standing.differences, strict=True):
        cells = [str(job.record.number), *(job.settings.get(key, NOTHING) for key in keys)]
        for metric in _SHORT:
            cells += [_number(value, 2) for value in job.reached(metric, is_more_better=True)]
        minutes = None if job.record.seconds is None else job.record.seconds / 60
        cells += [_number(job.record.objective, 3), _describe(behind), _number(minutes, 1)]
        rows.append([*cells, describe_status(job)])
    return Table([*columns, "objective", "behind", "minutes", "status"], rows, standing.winner)


def all_metrics(jobs: Sequence[Job]) -> list[str]:
    """Every validation metric that a job logged after inner steps."""
    names = (name.rpartition("@") for job in jobs for name in job.curves if name.startswith("val"))
    return list(dict.fromkeys(stem for stem, _, after in names if after.isdecimal()))


def describe_status(job: Job) -> str:
    """Return how a job ended, with the reason if it failed."""
    status = job.record.status
    return f"failed: {job.record.error}" if status == "failed" else _STATUS.get(status, status)


def _describe(behind: Interval | None) -> str:
    """Write a difference from the best objective with its interval, and ``?`` if it may be nothing."""
    if behind is None:
        return NOTHING
    if behind.num_scenes == 0:
        return "?"
    return f"{behind.mean:+.2f} [{behind.low:+.2f}, {behind.high:+.2f}]{' ?' * is_undecided(behind)}"


def _number(value: float | None, decimals: int) -> str:
    return NOTHING if value is None else f"{value:.{decimals}f}"
