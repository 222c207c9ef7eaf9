"""Columns of the comparison: support, photographs and their truth, on which any system is judged."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from learned_heads import as_tensor, support_of
from omegaconf import OmegaConf
from scoring import score
from stacks import Case, Stack, cross_cases, read_stacks
from systems import as_array

from ldr2hdr.build import CONF_DIR, build_source, build_suite, build_tasks
from ldr2hdr.evaluation.scoring import Score, System, score_tasks
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.metrics.hdr import blacken_diverged
from ldr2hdr.tasks import Shots, Task

_RANGES: Final = "unseen"
_ALWAYS: Final = ("ours", "trained", "closed", "classical")


class Gauge(NamedTuple):
    """Number that a column is read by.

    Attributes:
        metric: Its name in scores; on all pixels that it knows.
        digits: After the point.
        sign: 1 if more is better, -1 if less.
        shown: Metrics in the table of all, by their names there.
    """

    metric: str
    digits: int
    sign: int
    shown: Mapping[str, str]


class AbstractColumn(Protocol):
    """Photographs with their truth.

    Attributes:
        name: In tables.
        gauge: What decides which stage of a system is its best.
        settings: All that the scores depend on beside the system.
        kinds: Of systems that it can judge.
    """

    name: str
    gauge: Gauge
    settings: Sequence[str]
    kinds: Sequence[str]

    def score(self, system: System) -> list[Score]:
        """Score a system at each of its stages, photograph by photograph."""


class VirtualColumn:
    """Views of panoramas by virtual cameras outside the ranges of training.

    Args:
        name: In tables.
        overrides: Of ``ldr2hdr.evaluate``.
    """

    gauge = Gauge("pu_psnr", 1, 1, {"pu_psnr": "dB"})

    def __init__(self, name: str, overrides: Sequence[str]) -> None:
        self.name, self.settings = name, list(overrides)
        with initialize_config_dir(CONF_DIR, version_base="1.3"):
            self._cfg = compose("evaluate", overrides=[*overrides, "ckpt=null", "paths.output_dir=unused"])
        OmegaConf.resolve(self._cfg)
        kind: Any = get_class(self._cfg.task._target_)
        self.kinds = (*_ALWAYS, "merge") if kind.is_one_scene else _ALWAYS

    @cached_property
    def _tasks(self) -> list[Task]:
        tasks = build_tasks(self._cfg, build_source(self._cfg), split="test", ranges=_RANGES, seed=self._cfg.seed)
        return [tasks[index] for index in range(self._cfg.num_tasks)]

    def score(self, system: System) -> list[Score]:
        """Score a system by PU21-PSNR and error in stops, on regions."""
        suite = build_suite(self._cfg)
        return score_tasks([system], self._tasks, camera_family=self.name, ranges=_RANGES, suite=suite)


class PhotographColumn:
    """Photographs by real cameras, with three frames of another scene by the same person's camera.

    Args:
        name: In tables.
        root: Folder with ``index.csv`` and the stacks.
        max_side_px: Photographs are averaged down to it.
        max_pairs: Most pairs of scenes of one owner, of phones and of others.
    """

    gauge = Gauge("ok", 2, -1, {"ok": "ok, stops", "clip": "clip, stops"})
    kinds = (*_ALWAYS, "reference")

    def __init__(self, name: str, root: Path, *, max_side_px: int, max_pairs: Mapping[str, int]) -> None:
        self.name, self._root, self._px, self._max_pairs = name, root, max_side_px, max_pairs
        self.settings = [str(root), str(max_side_px), str(dict(max_pairs))]

    @cached_property
    def _cases(self) -> list[tuple[Case, Shots]]:
        stacks = read_stacks(self._root, grades="AB", max_side_px=self._px)
        return [(case, support_of(case)) for case in self._pairs(stacks)]

    def _pairs(self, stacks: Sequence[Stack]) -> Iterator[Case]:
        yield from cross_cases([one for one in stacks if one.is_phone], max_pairs=self._max_pairs["phone"])
        yield from cross_cases([one for one in stacks if not one.is_phone], max_pairs=self._max_pairs["other"])

    def score(self, system: System) -> list[Score]:
        """Score a system in stops; owners are the places."""
        found: list[Score] = []
        for case, support in self._cases:
            frame = case.stack.frames[case.stack.query]
            for stage, predictor in system.predictors(support):
                with torch.no_grad():
                    light = as_array(blacken_diverged(predictor(as_tensor(frame)).as_subclass(torch.Tensor)))
                found += self._rows(stage, case, light)
        return found

    def _rows(self, stage: Stage, case: Case, light: np.ndarray) -> Iterator[Score]:
        errors = score(light, case.stack.truth, case.stack.frames[case.stack.query])
        for metric in ("ok", "clip"):
            where = (stage, self.name, _RANGES, case.label, case.stack.owner, 0, metric, "all")
            yield Score(*where, getattr(errors, metric))
