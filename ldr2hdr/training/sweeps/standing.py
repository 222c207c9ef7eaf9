"""Standing of a sweep's jobs: the best objective, and whether the others are behind by more than chance."""

import csv
import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import torch

from ldr2hdr.metrics.bootstrap import Interval, bootstrap_difference, is_undecided
from ldr2hdr.training.sweeps.job import Job

_LESS_IS_BETTER: Final = ("log2_rmse", "loss")
_SCORES: Final = "task_scores.csv"
_UNKNOWN: Final = Interval(math.nan, math.nan, math.nan, 0)

_Picture = tuple[str, str, str]


class Standing(NamedTuple):
    """Comparison of all jobs with the one that has the best objective.

    Attributes:
        first: Position of the job with the best objective; None if no job has a finite one.
        differences: Of each job's metric from that job's, paired by picture, averaged over places, with the 95 %
            interval; NaN where the jobs share no scored picture, None for that job and those without an objective.
    """

    first: int | None
    differences: Sequence[Interval | None]

    @property
    def winner(self) -> int | None:
        """Position of the job that all others are behind, by intervals that exclude 0; None if there is no such job."""
        is_tied = any(difference is not None and is_undecided(difference) for difference in self.differences)
        return None if is_tied else self.first


def is_more_better(metric: str) -> bool:
    """Return whether a metric grows with quality.

    Example:
        >>> is_more_better("val/pu_psnr@3"), is_more_better("val/log2_rmse@3")
        (True, False)
    """
    return metric.partition("@")[0].rpartition("/")[2] not in _LESS_IS_BETTER


def rank(jobs: Sequence[Job]) -> Standing:
    """Compare the jobs by their objectives, and by the scores of their validation pictures at the end."""
    first = _first(jobs)
    if first is None:
        return Standing(None, [None] * len(jobs))
    base = _read_scores(jobs[first])
    differences = [
        None if job is jobs[first] or _objective(job) is None else _difference(_read_scores(job), base) for job in jobs
    ]
    return Standing(first, differences)


def _first(jobs: Sequence[Job]) -> int | None:
    values = {index: value for index, job in enumerate(jobs) if (value := _objective(job)) is not None}
    return max(values, key=lambda index: values[index]) if values else None


def _objective(job: Job) -> float | None:
    """Return the objective, with the sign that makes more of it better; None if there is no finite one."""
    objective = job.record.objective
    if objective is None or not math.isfinite(objective):
        return None
    return objective if is_more_better(job.record.optimized_metric or "") else -objective


def _read_scores(job: Job) -> Mapping[_Picture, float]:
    """Read the metric of the objective of each validation picture; none if the job did not write it."""
    where, _, metric = (job.record.optimized_metric or "").partition("/")
    path = job.folder / _SCORES
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {
            (row["task"], row["place"], row["picture"]): float(row[metric])
            for row in csv.DictReader(file)
            if row["set"] == where and row.get(metric)
        }


def _difference(scores: Mapping[_Picture, float], base: Mapping[_Picture, float]) -> Interval:
    shared = [picture for picture in scores if picture in base]
    if not shared:
        return _UNKNOWN
    ours, theirs = (torch.tensor([of[picture] for picture in shared], dtype=torch.float64) for of in (scores, base))
    places = [place for _, place, _ in shared]
    return bootstrap_difference(ours, theirs, places, generator=torch.Generator().manual_seed(0))
