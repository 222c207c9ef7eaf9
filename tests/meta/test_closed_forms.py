"""Every algorithm on (w - a)^2 / 2, where K inner steps and each meta-gradient are known exactly."""

import pytest
import torch
from quadratic import LR, STEPS, W0, A, B, Constant, adapted, batch, half_square, shots

from ldr2hdr.meta.inner_loop import InnerLoop
from ldr2hdr.meta.maml import MAMLLearner
from ldr2hdr.meta.reptile import ReptileLearner
from ldr2hdr.meta.supervised import SupervisedLearner


@pytest.mark.parametrize("steps", STEPS)
def test_maml_differentiates_through_the_inner_loop(steps: int) -> None:
    learner = MAMLLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=steps))
    result = learner.task_gradient(shots(A), shots(B))
    assert result.gradient[0].item() == pytest.approx((1 - LR) ** steps * (adapted(steps) - B), abs=1e-12)
    assert result.loss_after.item() == pytest.approx((adapted(steps) - B) ** 2 / 2, abs=1e-12)
    assert result.loss_before.item() == pytest.approx((W0 - B) ** 2 / 2, abs=1e-12)


@pytest.mark.parametrize("steps", STEPS)
def test_fomaml_takes_the_gradient_at_phi(steps: int) -> None:
    learner = MAMLLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=steps), first_order=True)
    assert learner.task_gradient(shots(A), shots(B)).gradient[0].item() == pytest.approx(adapted(steps) - B, abs=1e-12)


@pytest.mark.parametrize("first_order", [False, True])
def test_single_shot_weight_adds_the_gradient_at_theta(first_order: bool) -> None:
    plain, weighted = (
        MAMLLearner(
            Constant(), half_square, inner=InnerLoop(lr=LR, steps=2), first_order=first_order, single_shot_weight=weight
        ).task_gradient(shots(A), shots(B))
        for weight in (0.0, 0.25)
    )
    assert (weighted.gradient[0] - plain.gradient[0]).item() == pytest.approx(0.25 * (W0 - B), abs=1e-12)


@pytest.mark.parametrize("steps", STEPS)
def test_reptile_is_theta_minus_phi(steps: int) -> None:
    learner = ReptileLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=steps))
    assert learner.task_gradient(shots(A), shots(B)).gradient[0].item() == pytest.approx(W0 - adapted(steps), abs=1e-12)


def test_supervised_averages_over_support_and_query() -> None:
    learner = SupervisedLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=3))
    gradient = learner.task_gradient(shots(A, count=1), shots(B, count=3)).gradient[0]
    assert gradient.item() == pytest.approx(W0 - (A + 3 * B) / 4, abs=1e-12)


def test_no_inner_step_is_supervised_on_the_query() -> None:
    maml = MAMLLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=0))
    supervised = SupervisedLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=0))
    assert maml.task_gradient(shots(A), shots(B)).gradient == supervised.task_gradient(shots(B), shots(B)).gradient


@pytest.mark.parametrize("make", [MAMLLearner, ReptileLearner, SupervisedLearner])
def test_adapting_takes_the_steps_and_leaves_theta(make: type) -> None:
    learner = make(Constant(), half_square, inner=InnerLoop(lr=LR, steps=3))
    black = torch.zeros(1, 3, 1, 1, dtype=torch.float64)
    trajectory = learner.trajectory(shots(A))
    for steps, predictor in zip(range(6), trajectory, strict=False):
        assert predictor(black)[0, 0, 0, 0].item() == pytest.approx(adapted(steps), abs=1e-12)
    assert learner.adapt(shots(A))(black)[0, 0, 0, 0].item() == pytest.approx(adapted(3), abs=1e-12)
    assert learner.adapt(shots(A), steps=1, lr=1.0)(black)[0, 0, 0, 0].item() == pytest.approx(A, abs=1e-12)
    assert learner.single_shot()(black)[0, 0, 0, 0].item() == W0
    assert learner.model.w.item() == W0
    assert learner.model.w.grad is None


def test_adapting_works_where_gradients_are_off() -> None:
    learner = MAMLLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=2))
    with torch.no_grad():
        prediction = learner.adapt(shots(A))(torch.zeros(1, 3, 1, 1, dtype=torch.float64))
    assert prediction[0, 0, 0, 0].item() == pytest.approx(adapted(2), abs=1e-12)


def test_a_batch_sums_its_tasks() -> None:
    learner = MAMLLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=1))
    result = learner.outer_step(batch([1.0, 3.0]))
    expected = sum((1 - LR) ** 2 * (W0 - target) for target in (1.0, 3.0))
    assert result.gradient_sum[0].item() == pytest.approx(expected, abs=1e-12)
    assert result.num_counted == 2


@pytest.mark.parametrize("make", [MAMLLearner, ReptileLearner, SupervisedLearner])
def test_a_task_that_blows_up_is_left_out_and_named(make: type, caplog: pytest.LogCaptureFixture) -> None:
    learner = make(Constant(), half_square, inner=InnerLoop(lr=LR, steps=2))
    tasks = batch([1.0, float("inf")])
    good, spoiled = learner.outer_step(batch([1.0])), learner.outer_step(tasks)
    learner.warn_of_skipped(tasks, spoiled)
    assert spoiled.num_counted == 1
    assert spoiled.gradient_sum[0].item() == good.gradient_sum[0].item()
    assert "task 1" in caplog.text
    assert "camera 1" in caplog.text


def test_a_batch_without_a_finite_task_counts_none() -> None:
    result = MAMLLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=2)).outer_step(batch([float("nan")]))
    assert result.num_counted == 0
    assert result.gradient_sum[0].item() == 0
    assert result.loss_after.isnan()


@pytest.mark.parametrize("change", [{"lr": 0.0}, {"steps": -1}, {"engine": "slow"}])
def test_arguments_of_the_inner_loop_out_of_range_name_their_key(change: dict[str, float]) -> None:
    (key,) = change
    with pytest.raises(ValueError, match=f"algo.inner.{key}"):
        InnerLoop(**change)


def test_a_negative_weight_names_its_key() -> None:
    with pytest.raises(ValueError, match=r"algo\.single_shot_weight"):
        MAMLLearner(Constant(), half_square, single_shot_weight=-1.0)
