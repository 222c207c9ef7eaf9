"""Meta-Curvature: gradients through learned matrices, exactly as learn2learn's GBML has it."""

import pytest
import torch
from networks import LOSS, flat, reconstructor
from networks import shots as pictures
from quadratic import LR, STEPS, W0, A, B, Constant, adapted, half_square, shots
from torch import nn

from ldr2hdr.meta.inner_loop import InnerLoop
from ldr2hdr.meta.learn2learn import GBML, MetaCurvatureTransform
from ldr2hdr.meta.meta_curvature import MetaCurvatureLearner


@pytest.mark.parametrize("steps", STEPS)
def test_a_scalars_factor_is_a_factor_on_its_rate(steps: int) -> None:
    learner = MetaCurvatureLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=steps))
    of_theta, of_factor = learner.task_gradient(shots(A), shots(B)).gradient
    error = adapted(steps) - B
    assert of_theta.item() == pytest.approx((1 - LR) ** steps * error, abs=1e-12)
    assert of_factor.item() == pytest.approx(-steps * (1 - LR) ** (steps - 1) * LR * (W0 - A) * error, abs=1e-12)


def disturb(module: nn.Module) -> None:
    """Away from the identity, by the same random numbers for every module."""
    torch.manual_seed(3)
    with torch.no_grad():
        torch._foreach_add_(list(module.parameters()), [0.1 * torch.randn_like(p) for p in module.parameters()])


@pytest.mark.parametrize("engine", ["learn2learn", "fast"])
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("backbone", ["unet", "resnet"])
def test_gbml_gives_the_same_numbers(backbone: str, first_order: bool, engine: str) -> None:
    model = reconstructor(backbone, "none", norm="none")
    support, query = pictures(1), pictures(2, count=1)
    learner = MetaCurvatureLearner(
        model, LOSS, inner=InnerLoop(lr=0.05, steps=3, engine=engine), first_order=first_order
    )
    oracle = GBML(model, MetaCurvatureTransform, lr=0.05, first_order=first_order).double()
    disturb(learner.rule)
    disturb(oracle.compute_update)
    clone = oracle.clone()
    for _ in range(3):
        clone.adapt(LOSS(clone(support.ldr), support.exposure))
    expected_loss = LOSS(clone(query.ldr), query.exposure)
    wanted = [*model.parameters(), *oracle.compute_update.parameters()]
    expected = flat(torch.autograd.grad(expected_loss, wanted))
    found = learner.task_gradient(support, query)
    assert found.loss_after.item() == pytest.approx(expected_loss.item(), rel=1e-12)
    assert ((flat(found.gradient) - expected).norm() / expected.norm()).item() < 1e-9


def test_gains_of_norms_and_strengths_have_a_factor_per_element() -> None:
    learner = MetaCurvatureLearner(reconstructor("unet", "ridge"), LOSS, inner=InnerLoop(lr=0.05, steps=1))
    shapes = {
        name: [tuple(parameter.shape) for parameter in transform.parameters()]
        for (name, _), transform in zip(learner.model.named_parameters(), learner.rule.transforms, strict=True)
    }
    assert shapes["backbone.stem.1.gain"] == [(4,)]
    assert shapes["response.log_prior_weight"] == [(1,)]
    assert shapes["response.prior"] == [(3, 3), (6, 6)]
    assert shapes["backbone.stem.0.weight"] == [(4, 4), (6, 6), (9, 9)]
