"""Systems of the comparison, and their scores in every column, each judged once."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from columns import AbstractColumn
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from stacks import apply_curve, recover_response
from systems import as_array
from torch import Tensor
from trainings import Trained

import ldr2hdr
from ldr2hdr.build import CONF_DIR, build_learner, load_learner
from ldr2hdr.evaluation.results import read_scores, write_scores
from ldr2hdr.evaluation.scoring import BaselineSystem, LearnedSystem, Score, System
from ldr2hdr.evaluation.stages import ADAPTED, FINE_TUNED, SINGLE_SHOT, Stage
from ldr2hdr.meta.base import Predictor
from ldr2hdr.response.base import AbstractResponse
from ldr2hdr.tasks import Shots
from ldr2hdr.training.checkpoints import checkpoint_hash


class Contender(NamedTuple):
    """Row of the tables.

    Attributes:
        name: Of the system in scores.
        label: In tables.
        kind: ``ours``, ``trained``, ``closed``, ``classical``, ``merge`` or ``reference``.
        builders: By what tells a system from others of its name; one for each training seed, or one for all. Each
            makes the system, or one network fine-tuned at several rates.
        trained: What training took, by seed; empty if nothing did.
    """

    name: str
    label: str
    kind: str
    builders: Mapping[str, Callable[[], list[System]]]
    trained: Sequence[Trained] = ()


def list_contenders(study: DictConfig, trained: Sequence[Mapping[str, Trained]]) -> list[Contender]:
    """List all that is judged, ours first.

    Args:
        study: The configuration.
        trained: Checkpoints by name, for each seed.
    """
    found = [_trained(study, str(name), [of_seed[name] for of_seed in trained]) for name in study.trained]
    untrained = partial(_untrained, trained[0][study.ours].ckpt)
    found.append(Contender("untrained", "ours before training", "closed", {"untrained": untrained}))
    for kind, build in (
        ("closed", _closed),
        ("classical", _classical),
        ("merge", _classical),
        ("reference", _reference),
    ):
        for name, node in study[kind].items():
            label, own = (node, None) if isinstance(node, str) else (node.label, node.response)
            found.append(Contender(str(name), str(label), kind, {str(name): partial(build, str(name), own)}))
    return found


@dataclass(frozen=True)
class ClosedForm:
    """Response stage alone, under a name."""

    name: str
    response: AbstractResponse[Any, Any, Any]

    def predictors(self, support: Shots) -> Iterator[tuple[Stage, Predictor]]:
        """Yield the response without support, then fitted to it."""
        yield Stage(self.name, SINGLE_SHOT), self.response
        statistics = self.response.sufficient_statistics(support)
        yield Stage(self.name, ADAPTED), lambda ldr: self.response(ldr, statistics)


class OpenCVFit:
    """Response fit of OpenCV, to exposures of one scene."""

    def adapt(self, support: Shots) -> Predictor:
        """Recover the curve of 8-bit frames; their times are in the labels, which are one light at several times."""
        frames = [(255 * as_array(frame[None])).round().astype(np.uint8) for frame in support.ldr]
        times = (support.exposure / support.exposure[:1]).flatten(1).nanmedian(dim=1).values
        curve = recover_response(frames, times.numpy())
        return lambda ldr: _look_up(curve, ldr)


def judge_missing(
    column: AbstractColumn,
    contenders: Sequence[Contender],
    *,
    folder: Path,
    tell: Callable[[str], None] = lambda line: None,
) -> list[list[Score]]:
    """Score all systems in a column, unless that was done.

    Args:
        column: Where.
        contenders: All of them; the column knows which it cannot judge.
        folder: Each pair of system and column has a file in it.
        tell: Called with a line for each that is judged.

    Returns:
        For each training seed the scores of all; those of systems that were not trained are repeated.
    """
    num_seeds = max(len(one.builders) for one in contenders)
    by_seed: list[list[Score]] = [[] for _ in range(num_seeds)]
    for one in (one for one in contenders if one.kind in column.kinds):
        scores = []
        for identity, build in one.builders.items():
            path = _path(folder, column, identity)
            if not path.exists():
                write_scores(path, [score for system in build() for score in column.score(system)])
                tell(f"{column.name}: {identity}")
            scores.append(list(read_scores(path)))
        for seed, all_scores in enumerate(by_seed):
            all_scores.extend(scores[seed if len(scores) > 1 else 0])
    return by_seed


def _path(folder: Path, column: AbstractColumn, identity: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256("\n".join([column.name, *column.settings, identity]).encode()).hexdigest()
    return folder / f"{digest[:16]}.csv"


def _trained(study: DictConfig, name: str, runs: Sequence[Trained]) -> Contender:
    is_ours = name == study.ours
    rates = study.fine_tune_lrs if name == study.supervised else ()
    steps = 0 if is_ours else study.steps  # ours is solved for
    builders = {
        f"{name} {checkpoint_hash(run.ckpt)}": partial(_learned, name, run.ckpt, steps=steps, rates=rates)
        for run in runs
    }
    return Contender(name, str(study.trained[name].label), "ours" if is_ours else "trained", builders, runs)


def _learned(name: str, ckpt: Path, *, steps: int, rates: Sequence[float]) -> list[System]:
    learner, _ = load_learner(ckpt)
    tuned = partial(LearnedSystem, name, learner, (steps,), with_single_shot=False, verb=FINE_TUNED)
    return [LearnedSystem(name, learner, (steps,)), *(tuned(lr=rate) for rate in rates)]


def _untrained(ckpt: Path) -> list[System]:
    _, cfg = load_learner(ckpt)
    torch.manual_seed(cfg.seed)
    return [LearnedSystem("untrained", build_learner(cfg).eval(), (0,))]


def _closed(name: str, response: DictConfig) -> list[System]:
    return [ClosedForm(name, instantiate(response).requires_grad_(False))]


def _classical(name: str, _: None) -> list[System]:
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("evaluate", overrides=[f"systems=[{name}]", "ckpt=null"])
    return [BaselineSystem(name, instantiate(cfg.systems[name]))]


def _reference(name: str, _: None) -> list[System]:
    if name == "opencv":
        return [BaselineSystem(name, OpenCVFit())]
    learner = ldr2hdr.load().learner
    return [LearnedSystem(name, learner, (learner.inner.steps,))]


def _look_up(curve: np.ndarray, ldr: Tensor) -> Tensor:
    frames = [(255 * as_array(one[None])).round().astype(np.uint8) for one in ldr]
    light = np.stack([np.exp(apply_curve(curve, frame)) for frame in frames])
    return torch.from_numpy(light).permute(0, 3, 1, 2).float()
