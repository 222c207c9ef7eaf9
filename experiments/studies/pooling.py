"""Means over places and paired differences, pooled over training seeds."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from ldr2hdr.evaluation.scoring import Score, Summary, compare, summarize
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.metrics.bootstrap import is_undecided, scene_means

Cell = tuple[str, str, str, str]  # name in tables, test set, metric, region


class Row(NamedTuple):
    """A mean or a difference, and what each training seed alone says of it.

    Attributes:
        summary: Over all seeds: a place's mean is over its pictures and seeds, and places are resampled.
        by_seed: The mean over places of each seed.
    """

    summary: Summary
    by_seed: tuple[float, ...]

    @property
    def cell(self) -> Cell:
        """Return the key of the table; the test set is kept where an evaluation keeps the ranges."""
        return self.summary.name, self.summary.ranges, self.summary.metric, self.summary.region

    @property
    def is_undecided(self) -> bool:
        """For a difference: its interval holds 0, or the seeds do not agree on its sign."""
        signs = {value > 0 for value in self.by_seed}
        return is_undecided(self.summary.interval) or len(signs) > 1


class Pooled(NamedTuple):
    """Everything that a study's table shows of its test sets."""

    means: list[Row]
    differences: list[Row]


def pool(
    by_seed: Sequence[Sequence[Score]], pairs: Sequence[tuple[str, str]], *, seed: int, num_resamples: int
) -> Pooled:
    """Average over seeds and places.

    Args:
        by_seed: The scores of one test set, the same systems on the same pictures in the same order for each training
            seed; those of systems that were not trained are repeated.
        pairs: Names of systems to compare; a pair of which one is not in the test set is left out.
        seed: Of the resamples.
        num_resamples: Of the bootstrap.
    """
    everything = [score for scores in by_seed for score in scores]
    stages = {str(score.stage): score.stage for score in everything}
    present = [(stages[name], stages[other]) for name, other in pairs if {name, other} <= stages.keys()]
    settings = {"seed": seed, "num_resamples": num_resamples}
    means = _rows(summarize(everything, **settings), [summarize(s, seed=0, num_resamples=1) for s in by_seed])
    differences = compare(everything, present, **settings)
    alone = [compare(scores, present, seed=0, num_resamples=1) for scores in by_seed]
    return Pooled(means, _rows(differences, alone))


def keep_best_rates(by_seed: Sequence[Sequence[Score]]) -> list[list[Score]]:
    """Of a network fine-tuned at several rates, keep the best rate for each number of steps, in its favour.

    Best is the highest PU21-PSNR on the pictures that are judged, over all seeds. What is kept loses its rate.
    """
    values: dict[Stage, tuple[list[float], list[str]]] = {}
    for score in (score for scores in by_seed for score in scores):
        if score.stage.lr is not None and (score.metric, score.region) == ("pu_psnr", "all"):
            of_stage = values.setdefault(score.stage, ([], []))
            of_stage[0].append(score.value)
            of_stage[1].append(score.place)
    best: dict[Stage, tuple[float, Stage]] = {}
    for stage, (numbers, places) in values.items():
        mean = scene_means(torch.tensor(numbers, dtype=torch.float64), places).mean().item()
        plain = stage._replace(lr=None)
        best[plain] = max(best.get(plain, (mean, stage)), (mean, stage))
    left_out = values.keys() - {stage for _, stage in best.values()}
    return [
        [score._replace(stage=score.stage._replace(lr=None)) for score in scores if score.stage not in left_out]
        for scores in by_seed
    ]


def cells(rows: Sequence[Row]) -> Mapping[Cell, Row]:
    """Rows by what they are of."""
    return {row.cell: row for row in rows}


def _rows(summaries: Sequence[Summary], alone: Sequence[Sequence[Summary]]) -> list[Row]:
    found: dict[Summary, list[float]] = {}
    for summary in (summary for group in alone for summary in group):
        found.setdefault(summary._replace(interval=None), []).append(summary.interval.mean)
    return [Row(summary, tuple(found[summary._replace(interval=None)])) for summary in summaries]
