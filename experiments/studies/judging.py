"""Score the trained networks and what needs no training on the same pictures."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from cameras import move_unseen
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from runs import Run

from ldr2hdr.baselines.inverse_gamma import InverseGamma
from ldr2hdr.baselines.response_fit import ResponseFit
from ldr2hdr.build import CONF_DIR, build_learner, build_source, build_tasks, load_learner
from ldr2hdr.data.scenes.places import Split
from ldr2hdr.data.scenes.sources import AbstractSceneSource
from ldr2hdr.evaluation.results import FORMAT, read_scores, write_scores
from ldr2hdr.evaluation.scoring import BaselineSystem, LearnedSystem, Score, System, score_tasks
from ldr2hdr.meta.supervised import SupervisedLearner
from ldr2hdr.tasks import Shots, Task

BASELINES = {"LDR input": InverseGamma(1.0), "inverse gamma 2.2": InverseGamma(2.2), "response fit": ResponseFit()}
_THICKNESS = 0.2


@dataclass(frozen=True)
class TestSet:
    """Pictures to judge on.

    Attributes:
        name: In tables.
        camera: Camera family.
        ranges: ``seen`` or ``unseen``.
        num_tasks: Cameras drawn.
        task: Overrides of the task and its labels.
        shots: Support pictures handed to the systems, of those that a task has; all of them if None.
        distance: Of the cameras from those of training, see `move_unseen`; None as configured.
    """

    name: str
    camera: str
    ranges: str = "unseen"
    num_tasks: int = 12
    task: tuple[str, ...] = ()
    shots: int | None = None
    distance: float | None = None


@dataclass(frozen=True)
class Reported:
    """At which steps networks are judged.

    Attributes:
        steps: Inner steps of those that were meta-trained.
        fine_tune_steps: Steps of those that were not.
        fine_tune_lrs: Rates of those that were not.
    """

    steps: tuple[int, ...] = (0, 1, 3, 5, 10)
    fine_tune_steps: tuple[int, ...] = (1, 3, 10)
    fine_tune_lrs: tuple[float, ...] = (0.03, 0.1, 0.3)


class HeldOutPlaces(AbstractSceneSource):
    """All places that training does not see, validation's too, as one test split: nothing is chosen by validation."""

    def __init__(self, source: AbstractSceneSource) -> None:
        self.source = source

    def places(self, split: Split) -> tuple[str, ...]:
        """The places of a split, those of validation with those of test."""
        if split == "test":
            return tuple(sorted((*self.source.places("val"), *self.source.places("test"))))
        return () if split == "val" else self.source.places(split)

    def check_crop(self, crop_px: int) -> None:
        """As the source does."""
        self.source.check_crop(crop_px)

    def sample(self, place: str, *, crop_px: int, generator: torch.Generator) -> torch.Tensor:
        """As the source does."""
        return self.source.sample(place, crop_px=crop_px, generator=generator)


class Judge:
    """Scores of systems on test sets, kept in files so that an interrupted judgement goes on.

    Args:
        test_sets: By name.
        common: Overrides of all test sets.
        reported: Which steps count.
        out: Folder of the scores.
        seed: Of the test tasks.
    """

    def __init__(
        self, test_sets: Sequence[TestSet], *, common: Sequence[str], reported: Reported, out: Path, seed: int
    ) -> None:
        self.test_sets = {test_set.name: test_set for test_set in test_sets}
        self.common = tuple(common)
        self.reported = reported
        self.out = out
        self.seed = seed
        self._tasks: dict[str, list[Task]] = {}

    def score_baselines(self, name: str) -> list[Score]:
        """Scores of what every table holds."""
        systems = [BaselineSystem(label, baseline) for label, baseline in BASELINES.items()]
        return self._cached(name, "baselines", lambda: systems)

    def score_untrained(self, name: str, label: str, overrides: Sequence[str]) -> list[Score]:
        """Scores of a network before training, which passes its response stage through."""
        return self._cached(name, f"untrained {label} {list(overrides)}", lambda: [_untrained(label, overrides)])

    def score_run(self, name: str, run: Run) -> list[Score]:
        """Scores of a trained network, before and after adaptation."""
        key = f"{run.folder.parent.name} {run.seed} {asdict(self.reported)}"
        # under no name, for another study may call the same network otherwise
        scores = self._cached(name, key, lambda: _systems_of(run, self.reported))
        return [score._replace(stage=score.stage._replace(system=run.name)) for score in scores]

    def tasks(self, name: str) -> list[Task]:
        """The tasks of a test set; with ``shots``, the first examples of each are its support."""
        if name not in self._tasks:
            self._tasks[name] = make_tasks(self.test_sets[name], common=self.common, seed=self.seed)
        return self._tasks[name]

    def _cached(self, name: str, key: str, systems: Callable[[], list[System]]) -> list[Score]:
        test_set = self.test_sets[name]
        described = json.dumps([FORMAT, key, asdict(test_set), self.common, self.seed])
        path = self.out / "scores" / f"{hashlib.sha256(described.encode()).hexdigest()[:16]}.csv"
        if not path.exists():
            found = score_tasks(systems(), self.tasks(name), camera_family=test_set.camera, ranges=name)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_scores(path, found)
        return list(read_scores(path))


def make_tasks(test_set: TestSet, *, common: Sequence[str], seed: int) -> list[Task]:
    """Shoot the pictures of a test set."""
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("evaluate", overrides=["ckpt=null", f"camera={test_set.camera}", *common, *test_set.task])
    if test_set.distance is not None:
        cfg.camera = move_unseen(OmegaConf.to_container(cfg.camera), distance=test_set.distance, thickness=_THICKNESS)
    source = {name: HeldOutPlaces(scenes) for name, scenes in build_source(cfg).items()}
    tasks = build_tasks(cfg, source, split="test", ranges=test_set.ranges, seed=seed, camera=test_set.camera)
    return [take_shots(tasks[index], test_set.shots) for index in range(test_set.num_tasks)]


def take_shots(task: Task, shots: int | None) -> Task:
    """Keep the first examples of the support; the query stays as it is."""
    if shots is None:
        return task
    support = Shots(task.support.ldr[:shots], task.support.exposure[:shots])
    return Task(support, task.query, task.support_places[:shots], task.query_places, task.camera)


def _systems_of(run: Run, reported: Reported) -> list[System]:
    learner, _ = load_learner(run.ckpt)
    if not isinstance(learner, SupervisedLearner):
        # what was trained without inner steps is judged without
        return [LearnedSystem("", learner, reported.steps if learner.inner.steps else (0,))]
    steps = reported.fine_tune_steps
    tuned = [
        LearnedSystem("", learner, steps, lr=rate, with_single_shot=False, verb="fine-tuned")
        for rate in reported.fine_tune_lrs
    ]
    return [LearnedSystem("", learner, ()), *tuned]


def _untrained(label: str, overrides: Sequence[str]) -> LearnedSystem:
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg: DictConfig = compose("train", overrides=list(overrides))
    torch.manual_seed(0)
    return LearnedSystem(f"untrained {label}", build_learner(cfg).eval(), (0,), with_single_shot=False)
