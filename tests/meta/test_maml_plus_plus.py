"""MAML++: rates per layer and step, weights of the losses and the order as functions of the outer steps done."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from networks import reconstructor
from omegaconf import DictConfig
from quadratic import LR, W0, A, B, Constant, batch, half_square, shots

from ldr2hdr.build import build_training
from ldr2hdr.meta.inner_loop import InnerLoop
from ldr2hdr.meta.maml_plus_plus import MAMLPlusPlusLearner

RATES = (0.3, 0.5, 0.2)


def learner_after(num_outer_steps: int, **change: object) -> MAMLPlusPlusLearner:
    settings = {"inner": InnerLoop(lr=LR, steps=3), "multi_step_until": 10, "second_order_from": 4, **change}
    learner = MAMLPlusPlusLearner(Constant(), half_square, **settings)
    with torch.no_grad():
        learner.rule.rates.copy_(torch.tensor(RATES, dtype=torch.float64)[: learner.rule.rates.shape[0], None])
        learner.num_outer_steps += num_outer_steps
    return learner


def shrink(rates: tuple[float, ...]) -> float:
    return torch.tensor([1 - rate for rate in rates], dtype=torch.float64).prod().item()


def phi(steps: int) -> float:
    return A + shrink(RATES[:steps]) * (W0 - A)


def test_weights_move_from_all_steps_to_the_last_one() -> None:
    third = 1 / 3
    assert learner_after(0).query_weights() == pytest.approx([0, third, third, third])
    assert learner_after(5).query_weights() == pytest.approx([0, third / 2, third / 2, 2 * third])
    assert learner_after(10).query_weights() == learner_after(99).query_weights() == [0, 0, 0, 1]
    assert learner_after(0, multi_step_until=0).query_weights() == [0, 0, 0, 1]
    assert learner_after(0, inner=InnerLoop(steps=0)).query_weights() == [1]


def test_the_order_rises_after_the_first_outer_steps() -> None:
    assert [learner_after(done).order() for done in (0, 3, 4)] == ["first", "first", "second"]
    assert learner_after(9, first_order=True).order() == "first"


def test_the_gradient_of_theta_and_all_rates_is_that_of_the_closed_form() -> None:
    learner = learner_after(5)
    result = learner.task_gradient(shots(A), shots(B))
    weights, errors = learner.query_weights(), [phi(steps) - B for steps in range(4)]
    of_theta = sum(weights[k] * shrink(RATES[:k]) * errors[k] for k in range(4))
    assert result.gradient[0].item() == pytest.approx(of_theta, abs=1e-12)
    for step in range(3):
        others = [RATES[:k] for k in range(4)]
        slope = sum(
            weights[k] * errors[k] * -shrink(tuple(r for j, r in enumerate(others[k]) if j != step)) * (W0 - A)
            for k in range(step + 1, 4)
        )
        assert result.gradient[1][step, 0].item() == pytest.approx(slope, abs=1e-12)
    assert result.loss_after.item() == pytest.approx(errors[3] ** 2 / 2, abs=1e-12)


def test_first_order_sums_the_weighted_gradients_after_each_step() -> None:
    learner = learner_after(2)
    expected = sum(weight * (phi(k) - B) for k, weight in enumerate(learner.query_weights()))
    assert learner.task_gradient(shots(A), shots(B)).gradient[0].item() == pytest.approx(expected, abs=1e-12)


def test_steps_beyond_those_trained_with_go_at_the_last_rates() -> None:
    black = torch.zeros(1, 3, 1, 1, dtype=torch.float64)
    expected = A + shrink((*RATES, RATES[-1], RATES[-1])) * (W0 - A)
    assert learner_after(0).adapt(shots(A), steps=5)(black)[0, 0, 0, 0].item() == pytest.approx(expected, abs=1e-12)


def test_every_tensor_has_a_rate_at_every_step_started_at_the_inner_one() -> None:
    model = reconstructor()
    learner = MAMLPlusPlusLearner(model, half_square, inner=InnerLoop(lr=0.07, steps=2, adapts=["backbone.stem.*"]))
    num_tensors = len(list(model.backbone.stem.parameters()))
    assert torch.equal(learner.rule.rates, torch.full((2, num_tensors), 0.07, dtype=torch.float64))


def test_outer_steps_are_counted_and_saved_even_if_no_task_was_finite() -> None:
    learner = learner_after(0)
    learner.outer_step(batch([1.0, 2.0]))
    learner.outer_step(batch([float("nan")]))
    assert int(learner.num_outer_steps) == 2
    loaded = learner_after(0)
    loaded.load_state_dict(learner.state_dict())
    assert loaded.query_weights() == learner.query_weights() != learner_after(0).query_weights()


@pytest.mark.parametrize("change", [{"multi_step_until": -1}, {"second_order_from": -1}])
def test_numbers_of_outer_steps_are_not_negative(change: dict[str, int]) -> None:
    (key,) = change
    with pytest.raises(ValueError, match=f"algo.{key}"):
        learner_after(0, **change)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning")  # to that of the second run
def test_resuming_goes_on_where_the_weights_and_the_order_were(
    compose_train: Callable[..., DictConfig], tiny: tuple[str, ...], tmp_path: Path
) -> None:
    def train(name: str, *overrides: str) -> dict[str, torch.Tensor]:
        quick = ("~callbacks.progress", "~callbacks.best", "+trainer.limit_val_batches=0")
        annealed = ("algo=maml_plus_plus", "algo.inner.steps=2", "algo.multi_step_until=4", "algo.second_order_from=3")
        cfg = compose_train(tmp_path / name, *tiny, *annealed, "trainer.max_steps=4", *quick, *overrides)
        training = build_training(cfg)
        training.trainer.fit(training.module, training.datamodule, ckpt_path=cfg.ckpt, weights_only=True)
        return training.module.learner.state_dict()

    whole = train("whole")
    assert int(train("half", "trainer.max_epochs=1")["num_outer_steps"]) == 2
    resumed = train("resumed", f"ckpt={tmp_path / 'half' / 'checkpoints' / 'last.ckpt'}")
    assert int(resumed["num_outer_steps"]) == 4
    assert all(torch.equal(tensor, whole[name]) for name, tensor in resumed.items())
