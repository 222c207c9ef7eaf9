"""Judge systems on the same tasks: scores per picture, then scene means with intervals."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch

from ldr2hdr.meta.base import AbstractMetaLearner, Predictor
from ldr2hdr.metrics.bootstrap import Interval, bootstrap_difference, bootstrap_mean
from ldr2hdr.metrics.hdr import blacken_diverged, evaluate_pictures
from ldr2hdr.metrics.suite import FAST, MetricSuite
from ldr2hdr.tasks import Shots, Task


class Score(NamedTuple):
    """One metric of one reconstruction on one region of one query picture; NaN if the region is empty."""

    system: str
    camera_family: str
    ranges: str
    camera: str
    place: str
    picture: int
    metric: str
    region: str
    value: float


class Summary(NamedTuple):
    """Mean of a metric over places."""

    system: str
    camera_family: str
    ranges: str
    metric: str
    region: str
    interval: Interval


@runtime_checkable
class AbstractBaseline(Protocol):
    """A method without theta."""

    def adapt(self, support: Shots | None) -> Predictor:
        """Make a predictor, with or without examples."""


@runtime_checkable
class System(Protocol):
    """Anything that maps LDR pictures to sensor exposure, perhaps in several stages of adaptation."""

    def predictors(self, support: Shots) -> Iterator[tuple[str, Predictor]]:
        """Yield named predictors for the camera of the support; each is used before the next is asked for."""


@dataclass(frozen=True)
class BaselineSystem:
    """A baseline under a name."""

    name: str
    baseline: AbstractBaseline

    def predictors(self, support: Shots) -> Iterator[tuple[str, Predictor]]:
        """Yield the one predictor that the baseline makes of the support."""
        yield self.name, self.baseline.adapt(support)


@dataclass(frozen=True)
class LearnedSystem:
    """A meta-learner before and after adaptation.

    Attributes:
        name: Name in tables; the stage of adaptation is appended.
        learner: Holds theta.
        steps: Numbers of inner steps to report.
        lr: Inner learning rate; the one trained with if None.
        with_single_shot: Whether to report theta without any support as well.
        verb: What its inner steps are called in tables.
    """

    name: str
    learner: AbstractMetaLearner
    steps: Sequence[int]
    lr: float | None = None
    with_single_shot: bool = True
    verb: Literal["adapted", "fine-tuned"] = "adapted"

    def predictors(self, support: Shots) -> Iterator[tuple[str, Predictor]]:
        """Yield the single shot, then the predictor after each of the steps."""
        if self.with_single_shot:
            yield single_shot_name(self.name), self.learner.single_shot()
        trajectory = self.learner.trajectory(support, lr=self.lr)
        for step, predictor in zip(range(max(self.steps, default=-1) + 1), trajectory, strict=False):
            if step in self.steps:
                yield adapted_name(self.name, step, verb=self.verb), predictor


def single_shot_name(system: str) -> str:
    """Name of a learned system without support."""
    return f"{system}, single-shot"


def adapted_name(system: str, steps: int, *, verb: str = "adapted") -> str:
    """Name of a learned system after inner steps.

    Example:
        >>> adapted_name("maml", 1), adapted_name("maml", 3)
        ('maml, adapted, 1 step', 'maml, adapted, 3 steps')
    """
    return f"{system}, {verb}, {steps} step{'' if steps == 1 else 's'}"


def score_tasks(
    systems: Iterable[System],
    tasks: Sequence[Task],
    *,
    camera_family: str,
    ranges: str,
    device: torch.device | str = "cpu",
    suite: MetricSuite = FAST,
    on_task: Callable[[], None] = lambda: None,
) -> list[Score]:
    """Let every system reconstruct the query of every task, all from the same support.

    Args:
        systems: What to judge.
        tasks: What to judge on.
        camera_family: Recorded with the scores.
        ranges: Recorded with the scores.
        device: Where the systems are.
        suite: What is measured.
        on_task: Called after each task, for a progress bar.
    """
    scores = []
    for task in tasks:
        support, query = task.support.to(device), task.query.to(device)
        for system in systems:
            for name, predictor in system.predictors(support):
                with torch.no_grad():
                    # left out, a system that diverges would look better than it is
                    values = evaluate_pictures(blacken_diverged(predictor(query.ldr)), query, suite=suite)
                scores += [
                    Score(name, camera_family, ranges, task.camera, place, picture, metric, region, value)
                    for (metric, region), column in values.items()
                    for picture, (place, value) in enumerate(zip(task.query_places, column.tolist(), strict=True))
                ]
        on_task()
    return scores


def summarize(scores: Iterable[Score], *, seed: int, num_resamples: int) -> list[Summary]:
    """Average each system's scores over places, with bootstrap intervals."""
    summaries = []
    for key, group in _group(scores).items():
        values = torch.tensor([score.value for score in group], dtype=torch.float64)
        interval = bootstrap_mean(
            values,
            [score.place for score in group],
            generator=torch.Generator().manual_seed(seed),
            num_resamples=num_resamples,
        )
        summaries.append(Summary(*key, interval))
    return summaries


def compare(
    scores: Iterable[Score], pairs: Iterable[tuple[str, str]], *, seed: int, num_resamples: int
) -> list[Summary]:
    """Difference ``system - baseline`` of each pair, picture by picture, averaged over places.

    Raises:
        ValueError: If a system of a pair was not judged.
    """
    groups = _group(scores)
    differences = []
    for system, baseline in pairs:
        if not {system, baseline} <= {key[0] for key in groups}:
            raise ValueError(f"cannot compare {system!r} with {baseline!r}: not among the systems judged")
        for key, group in groups.items():
            if key[0] != system:
                continue
            values, base = (
                torch.tensor([score.value for score in rows], dtype=torch.float64)
                for rows in (group, groups[(baseline, *key[1:])])
            )
            interval = bootstrap_difference(
                values,
                base,
                [score.place for score in group],
                generator=torch.Generator().manual_seed(seed),
                num_resamples=num_resamples,
            )
            differences.append(Summary(f"{system} - {baseline}", *key[1:], interval))
    return differences


def strongest(summaries: Iterable[Summary], systems: Iterable[str]) -> dict[tuple[str, str], str]:
    """For each camera family and range, the system with the highest mean PU21-PSNR on all pixels."""
    names = set(systems)
    best: dict[tuple[str, str], Summary] = {}
    for row in summaries:
        key = (row.camera_family, row.ranges)
        if row.system in names and (row.metric, row.region) == ("pu_psnr", "all"):
            best[key] = max(best.get(key, row), row, key=lambda summary: summary.interval.mean)
    return {key: row.system for key, row in best.items()}


def _group(scores: Iterable[Score]) -> Mapping[tuple[str, str, str, str, str], list[Score]]:
    groups: dict[tuple[str, str, str, str, str], list[Score]] = {}
    for score in scores:
        key = (score.system, score.camera_family, score.ranges, score.metric, score.region)
        groups.setdefault(key, []).append(score)
    return groups
