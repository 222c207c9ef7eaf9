"""Judge systems on the same tasks: scores per picture, then scene means with intervals."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch

from ldr2hdr.evaluation.stages import ADAPTED, FINE_TUNED, SINGLE_SHOT, Stage
from ldr2hdr.meta.base import AbstractMetaLearner, Predictor
from ldr2hdr.metrics.bootstrap import Interval, bootstrap_difference, bootstrap_mean
from ldr2hdr.metrics.hdr import blacken_diverged, evaluate_pictures
from ldr2hdr.metrics.suite import FAST, MetricSuite
from ldr2hdr.tasks import Shots, Task


class Score(NamedTuple):
    """One metric of one reconstruction on one region of one query picture; NaN if the region is empty."""

    stage: Stage
    camera_family: str
    ranges: str
    camera: str
    place: str
    picture: int
    metric: str
    region: str
    value: float


class Summary(NamedTuple):
    """Mean over places of a metric, or of its difference from an opponent.

    Attributes:
        stage: System and stage of adaptation.
        camera_family: Cameras of the pictures.
        ranges: Parameter ranges of these cameras.
        metric: Name of the metric.
        region: Part of the pictures.
        interval: Mean and 95 % interval.
        opponent: Stage that is subtracted; None for a mean.
    """

    stage: Stage
    camera_family: str
    ranges: str
    metric: str
    region: str
    interval: Interval
    opponent: Stage | None = None

    @property
    def name(self) -> str:
        """Return the name of the row in tables."""
        return str(self.stage) if self.opponent is None else f"{self.stage} - {self.opponent}"


@runtime_checkable
class AbstractBaseline(Protocol):
    """Method without theta."""

    def adapt(self, support: Shots | None) -> Predictor:
        """Make a predictor, with or without examples."""


@runtime_checkable
class System(Protocol):
    """Map from LDR pictures to sensor exposure, perhaps in several stages of adaptation."""

    def predictors(self, support: Shots) -> Iterator[tuple[Stage, Predictor]]:
        """Yield a predictor of each stage for the camera of the support; each is used before the next is asked for."""


@dataclass(frozen=True)
class BaselineSystem:
    """Baseline under a name."""

    name: str
    baseline: AbstractBaseline

    def predictors(self, support: Shots) -> Iterator[tuple[Stage, Predictor]]:
        """Yield the one predictor that the baseline makes of the support."""
        yield Stage(self.name), self.baseline.adapt(support)


@dataclass(frozen=True)
class LearnedSystem:
    """Meta-learner before and after adaptation.

    Attributes:
        name: Name of the system in tables.
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
    verb: Literal["adapted", "fine-tuned"] = ADAPTED

    def stage_after(self, steps: int) -> Stage:
        """Return the stage after a number of inner steps."""
        return Stage(self.name, self.verb, steps, self.lr)

    def predictors(self, support: Shots) -> Iterator[tuple[Stage, Predictor]]:
        """Yield the single shot, then the predictor after each of the steps."""
        if self.with_single_shot:
            yield Stage(self.name, SINGLE_SHOT), self.learner.single_shot()
        trajectory = self.learner.trajectory(support, lr=self.lr)
        for step, predictor in zip(range(max(self.steps, default=-1) + 1), trajectory, strict=False):
            if step in self.steps:
                yield self.stage_after(step), predictor


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
            for stage, predictor in system.predictors(support):
                with torch.no_grad():
                    # left out, a system that diverges would look better than it is
                    values = evaluate_pictures(blacken_diverged(predictor(query.ldr)), query, suite=suite)
                scores += [
                    Score(stage, camera_family, ranges, task.camera, place, picture, metric, region, value)
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
    scores: Iterable[Score], pairs: Iterable[tuple[Stage, Stage]], *, seed: int, num_resamples: int
) -> list[Summary]:
    """Return the difference ``stage - opponent`` of each pair, picture by picture, averaged over places.

    Raises:
        ValueError: If a stage of a pair was not judged.
    """
    groups = _group(scores)
    differences = []
    for stage, opponent in pairs:
        if not {stage, opponent} <= {key[0] for key in groups}:
            raise ValueError(f"cannot compare '{stage}' with '{opponent}': not among the systems judged")
        for key, group in groups.items():
            if key[0] != stage:
                continue
            values, base = (
                torch.tensor([score.value for score in rows], dtype=torch.float64)
                for rows in (group, groups[(opponent, *key[1:])])
            )
            interval = bootstrap_difference(
                values,
                base,
                [score.place for score in group],
                generator=torch.Generator().manual_seed(seed),
                num_resamples=num_resamples,
            )
            differences.append(Summary(*key, interval, opponent))
    return differences


def fine_tuned(summaries: Iterable[Summary]) -> set[Stage]:
    """Return the stages of fine-tuning, of which a table shows the strongest alone."""
    return {row.stage for row in summaries if row.stage.verb == FINE_TUNED}


def strongest(summaries: Iterable[Summary], stages: Collection[Stage]) -> dict[tuple[str, str], Stage]:
    """Return the stage with the highest mean PU21-PSNR on all pixels, for each camera family and range."""
    best: dict[tuple[str, str], Summary] = {}
    for row in summaries:
        key = (row.camera_family, row.ranges)
        if row.stage in stages and (row.metric, row.region) == ("pu_psnr", "all"):
            best[key] = max(best.get(key, row), row, key=lambda summary: summary.interval.mean)
    return {key: row.stage for key, row in best.items()}


def _group(scores: Iterable[Score]) -> Mapping[tuple[Stage, str, str, str, str], list[Score]]:
    groups: dict[tuple[Stage, str, str, str, str], list[Score]] = {}
    for score in scores:
        key = (score.stage, score.camera_family, score.ranges, score.metric, score.region)
        groups.setdefault(key, []).append(score)
    return groups
