"""Meta-SGD: rates of their own for all elements, learned by their exact gradient; learn2learn's own as an oracle."""

import pytest
import torch
from networks import LOSS, flat, reconstructor
from networks import shots as pictures
from quadratic import LR, STEPS, W0, A, B, Constant, adapted, half_square, shots

from ldr2hdr.meta.inner_loop import InnerLoop
from ldr2hdr.meta.inner_optimizers import Adam
from ldr2hdr.meta.learn2learn import MetaSGD
from ldr2hdr.meta.meta_sgd import MetaSGDLearner


@pytest.mark.parametrize("steps", STEPS)
def test_theta_and_the_rate_have_the_gradient_of_the_closed_form(steps: int) -> None:
    learner = MetaSGDLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=steps))
    of_theta, of_rate = learner.task_gradient(shots(A), shots(B)).gradient
    error = adapted(steps) - B
    assert of_theta.item() == pytest.approx((1 - LR) ** steps * error, abs=1e-12)
    assert of_rate.item() == pytest.approx(-steps * (1 - LR) ** (steps - 1) * (W0 - A) * error, abs=1e-12)


def test_the_first_order_gradient_of_the_rate_takes_inner_gradients_as_constants() -> None:
    learner = MetaSGDLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=2), first_order=True)
    of_theta, of_rate = learner.task_gradient(shots(A), shots(B)).gradient
    error = adapted(2) - B
    assert of_theta.item() == pytest.approx(error, abs=1e-12)
    assert of_rate.item() == pytest.approx(-((W0 - A) + (adapted(1) - A)) * error, abs=1e-12)


@pytest.mark.parametrize("engine", ["learn2learn", "fast"])
@pytest.mark.parametrize("backbone", ["unet", "resnet"])
def test_learn2learns_own_gives_the_same_numbers(backbone: str, engine: str, generator: torch.Generator) -> None:
    model = reconstructor(backbone, "none")
    support, query = pictures(1), pictures(2, count=1)
    learner = MetaSGDLearner(model, LOSS, inner=InnerLoop(lr=0.05, steps=3, engine=engine))
    oracle = MetaSGD(model, lr=0.05)
    with torch.no_grad():
        for ours, theirs in zip(learner.rule.rates, oracle.lrs, strict=True):
            ours.mul_(1 + torch.rand(ours.shape, generator=generator, dtype=ours.dtype))
            theirs.copy_(ours)
    clone = oracle.clone()
    for _ in range(3):
        clone.adapt(LOSS(clone(support.ldr), support.exposure))
    expected_loss = LOSS(clone(query.ldr), query.exposure)
    expected = flat(torch.autograd.grad(expected_loss, [*model.parameters(), *oracle.lrs]))
    found = learner.task_gradient(support, query)
    assert found.loss_after.item() == pytest.approx(expected_loss.item(), rel=1e-12)
    assert ((flat(found.gradient) - expected).norm() / expected.norm()).item() < 1e-9


def test_other_inner_optimisers_get_a_rate_per_element() -> None:
    learner = MetaSGDLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=1, optimizer=Adam))
    black = torch.zeros(1, 3, 1, 1, dtype=torch.float64)
    # the first step of Adam is the rate, whatever the gradient
    assert learner.adapt(shots(A))(black)[0, 0, 0, 0].item() == pytest.approx(W0 + LR, abs=1e-9)
    with torch.no_grad():
        learner.rule.rates[0].fill_(0.1)
    assert learner.adapt(shots(A))(black)[0, 0, 0, 0].item() == pytest.approx(W0 + 0.1, abs=1e-9)


def test_a_rate_asked_for_at_test_time_replaces_the_learned_ones() -> None:
    learner = MetaSGDLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=1))
    black = torch.zeros(1, 3, 1, 1, dtype=torch.float64)
    assert learner.adapt(shots(A), lr=1.0)(black)[0, 0, 0, 0].item() == pytest.approx(A, abs=1e-12)
