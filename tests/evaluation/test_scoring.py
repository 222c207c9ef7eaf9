"""Scores, means and differences of systems whose numbers are known."""

import math

import pytest
import torch

from ldr2hdr.baselines.inverse_gamma import InverseGamma
from ldr2hdr.evaluation.scoring import BaselineSystem, LearnedSystem, Score, compare, score_tasks, summarize
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.meta.inner_loop import InnerLoop
from ldr2hdr.meta.supervised import SupervisedLearner
from ldr2hdr.metrics.functional import PSNR_CAP_DB
from ldr2hdr.tasks import Shots, Task


class Scaled:
    """Knows the truth, which here is the picture itself, up to a factor."""

    def __init__(self, factor):
        self.factor = factor

    def adapt(self, support):
        return lambda ldr: self.factor * ldr


class Product(torch.nn.Module):
    """Multiplies the picture by one learned number."""

    def __init__(self, value):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(value))

    def sufficient_statistics(self, support):
        """No closed-form part."""

    def forward(self, ldr, statistics=None):
        return self.w * ldr


def shots(count, generator):
    # levels 26 to 230 of 255: nothing dark, nothing clipped
    picture = 0.1 + 0.8 * torch.rand(count, 3, 8, 8, generator=generator)
    return Shots(picture, picture)


def task(generator, places=("a", "b")):
    return Task(shots(2, generator), shots(len(places), generator), ("x", "y"), places, "camera7")


def value(scores, system, metric, region="all"):
    values = {row.value for row in scores if (str(row.stage), row.metric, row.region) == (system, metric, region)}
    assert len({round(v, 4) for v in values}) == 1
    return values.pop()


def judge(*systems, tasks):
    return score_tasks(systems, tasks, camera_family="tiny", ranges="unseen")


def test_perfect_and_one_stop_off(generator):
    systems = [BaselineSystem("perfect", Scaled(1.0)), BaselineSystem("bright", Scaled(2.0))]
    done = []
    scores = score_tasks(
        systems, [task(generator)] * 3, camera_family="tiny", ranges="unseen", on_task=lambda: done.append(1)
    )
    assert len(done) == 3
    assert value(scores, "perfect", "pu_psnr") == PSNR_CAP_DB
    assert value(scores, "perfect", "log2_rmse") == 0
    for region in ("all", "well_exposed"):
        assert value(scores, "bright", "log2_rmse", region) == pytest.approx(1.0, abs=1e-5)
    assert all(math.isnan(row.value) for row in scores if row.region == "clipped")
    assert len(scores) == 3 * 2 * 2 * 2 * 3  # tasks, systems, pictures, metrics, regions
    assert scores[1] == scores[1]._replace(
        stage=Stage("perfect"), camera_family="tiny", ranges="unseen", camera="camera7", place="b", picture=1
    )


def test_a_diverged_system_is_scored_as_a_black_picture(generator):
    tasks = [task(generator)]
    scores = judge(*(BaselineSystem(str(f), Scaled(f)) for f in (math.nan, math.inf, 0.0)), tasks=tasks)
    for metric in ("pu_psnr", "log2_rmse"):
        black = [row.value for row in scores if (str(row.stage), row.metric) == ("0.0", metric)]
        for name in ("nan", "inf"):
            diverged = [row.value for row in scores if (str(row.stage), row.metric) == (name, metric)]
            assert diverged == pytest.approx(black, nan_ok=True)


def test_a_learned_system_is_judged_after_each_number_of_steps(generator):
    def quadratic(pred, target):
        return (pred - target).square().sum() / 2

    learner = SupervisedLearner(Product(4.0), quadratic, inner=InnerLoop(lr=1.0, steps=1))
    judged = task(generator)
    curvature = judged.support.ldr.square().sum().item()
    scores = judge(LearnedSystem("net", learner, (0, 2), lr=0.5 / curvature), tasks=[judged])
    # each step halves the distance of w to 1: 4, 2.5, 1.75
    assert value(scores, "net, single-shot", "log2_rmse") == pytest.approx(2.0, abs=1e-4)
    after = {steps: Stage("net", "adapted", steps, 0.5 / curvature) for steps in (0, 1, 2)}
    assert value(scores, str(after[0]), "log2_rmse") == pytest.approx(2.0, abs=1e-4)
    assert value(scores, str(after[2]), "log2_rmse") == pytest.approx(math.log2(1.75), abs=1e-4)
    assert {row.stage for row in scores} == {Stage("net", "single-shot"), after[0], after[2]}
    silent = judge(LearnedSystem("net", learner, (1,), lr=0.5 / curvature, with_single_shot=False), tasks=[judged])
    assert {row.stage for row in silent} == {after[1]}
    slow = SupervisedLearner(Product(4.0), quadratic, inner=InnerLoop(lr=0.5 / curvature, steps=1))
    as_trained = judge(LearnedSystem("net", slow, (1,), with_single_shot=False, verb="fine-tuned"), tasks=[judged])
    assert {row.stage for row in as_trained} == {Stage("net", "fine-tuned", 1)}


def row(system, place, picture, number, region="all"):
    return Score(Stage(system), "tiny", "seen", "camera", place, picture, "pu_psnr", region, number)


def test_means_are_over_places():
    scores = [row("a", "p", 0, 1.0), row("a", "p", 1, 3.0), row("a", "q", 0, 8.0), row("a", "q", 1, math.nan)]
    (summary,) = summarize(scores, seed=0, num_resamples=200)
    assert summary.interval.mean == 5.0
    assert summary.interval.num_scenes == 2
    assert summary[:5] == (Stage("a"), "tiny", "seen", "pu_psnr", "all")
    assert summarize(scores, seed=0, num_resamples=200) == [summary]


def test_differences_are_paired():
    """Pictures differ by 100 dB, systems by 1 dB on each: only a paired interval is narrow."""
    levels = [0.0, 100.0, 30.0, 60.0]
    scores = [row("b", str(i), 0, level) for i, level in enumerate(levels)]
    scores += [row("a", str(i), 0, level + 1) for i, level in enumerate(levels)]
    (difference,) = compare(scores, [(Stage("a"), Stage("b"))], seed=0, num_resamples=200)
    assert (difference.stage, difference.opponent, difference.name) == (Stage("a"), Stage("b"), "a - b")
    assert difference.interval[:3] == (1.0, 1.0, 1.0)
    (reverse,) = compare(scores, [(Stage("b"), Stage("a"))], seed=0, num_resamples=200)
    assert reverse.interval.mean == -1.0


def test_only_systems_that_were_judged_are_compared():
    with pytest.raises(ValueError, match="cannot compare 'a' with 'c'"):
        compare([row("a", "p", 0, 1.0)], [(Stage("a"), Stage("c"))], seed=0, num_resamples=10)


def test_a_baseline_keeps_its_name(generator):
    scores = judge(BaselineSystem("LDR input", InverseGamma(1.0)), tasks=[task(generator)])
    assert value(scores, "LDR input", "log2_rmse") == pytest.approx(0, abs=1e-6)
