"""R2-D2: the last layer is the ridge solution, whoever solves it, and the outer loop learns through it."""

import numpy as np
import pytest
import torch
from networks import LOSS, flat, gradient_of, reconstructor, shots
from torch import nn

from ldr2hdr.backbones.expandnet import ExpandNet
from ldr2hdr.meta.r2d2 import R2D2Learner
from ldr2hdr.radiometry import LOG_OFFSET
from ldr2hdr.response.reconstructor import Reconstructor
from ldr2hdr.response.ridge import InverseGammaResponse

RIDGE = 0.02


def learner_of(backbone: str = "unet", response: str = "ridge", **change: object) -> R2D2Learner:
    return R2D2Learner(reconstructor(backbone, response), LOSS, ridge_weight=RIDGE, **change).double()


@pytest.mark.parametrize("backbone", ["unet", "resnet"])
def test_the_last_layer_is_numpys_least_squares_solution(backbone: str) -> None:
    """Ridge regression is least squares with one more equation per weight."""
    learner, support = learner_of(backbone), shots(1)
    network = learner.model.network
    statistics = learner.statistics(support)
    with torch.no_grad():
        features, linear = network.features(support.ldr, statistics.of_network)
        found = learner.model.fit(statistics).numpy()
    x = np.moveaxis(features.numpy(), 1, -1).reshape(-1, features.shape[1])
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    ratio = np.log(support.exposure.numpy() + LOG_OFFSET) - np.log(linear.numpy() + LOG_OFFSET)
    y = np.moveaxis(ratio, 1, -1).reshape(-1, 3)
    conv = network.head.conv
    prior = np.concatenate([conv.weight.detach().numpy()[:, :, 0, 0], conv.bias.detach().numpy()[:, None]], axis=1).T
    ridge = learner.model.log_ridge_weight.exp().item()
    rows = np.concatenate([x, np.sqrt(len(x) * ridge) * np.eye(x.shape[1])])
    targets = np.concatenate([y, np.sqrt(len(x) * ridge) * prior])
    np.testing.assert_allclose(found, np.linalg.lstsq(rows, targets, rcond=None)[0], rtol=1e-9, atol=1e-12)


def test_the_prediction_is_that_of_a_network_with_this_last_layer() -> None:
    learner, support, query = learner_of(), shots(1), shots(2)
    solution = learner.model.fit(learner.statistics(support)).detach()
    network = reconstructor("unet", "ridge")
    with torch.no_grad():
        network.head.conv.weight.copy_(solution[:-1].T[..., None, None])
        network.head.conv.bias.copy_(solution[-1])
        expected = network(query.ldr, network.sufficient_statistics(support))
        torch.testing.assert_close(learner.adapt(support)(query.ldr), expected, rtol=1e-9, atol=1e-12)


def test_folding_leaves_the_prediction_and_the_model() -> None:
    learner, support, query = learner_of(), shots(1), shots(2)
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    folded = learner.model.fold(learner.statistics(support))
    with torch.no_grad():
        predicted = folded.network(query.ldr, folded.statistics)
        expected = learner.model(query.ldr, learner.statistics(support))
    torch.testing.assert_close(predicted, expected, rtol=1e-9, atol=1e-12)
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())


def test_a_strong_prior_leaves_the_networks_own_layer_and_a_weak_one_fits_the_support() -> None:
    support, losses = shots(1), {}
    for weight in (1e9, 1e-9):
        learner = R2D2Learner(reconstructor(), LOSS, ridge_weight=weight).double()
        losses[weight] = LOSS(learner.adapt(support)(support.ldr), support.exposure).item()
    own = LOSS(learner.single_shot()(support.ldr), support.exposure).item()
    assert losses[1e9] == pytest.approx(own, rel=1e-6)
    assert losses[1e-9] < 0.3 * own


def test_the_meta_gradient_agrees_with_finite_differences(generator: torch.Generator) -> None:
    learner = learner_of()
    parameters = learner.trainable()
    directions = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    slope = (flat(gradient_of(learner).gradient) @ flat(directions)).item()
    losses = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            torch._foreach_add_(parameters, directions, alpha=step)
        losses.append(gradient_of(learner).loss_after.item())
    assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(slope, rel=1e-6)


def test_the_strength_of_the_prior_is_learned() -> None:
    learner = learner_of()
    gradient = dict(zip(map(id, learner.trainable()), gradient_of(learner).gradient, strict=True))
    assert gradient[id(learner.model.log_ridge_weight)].abs() > 1e-6


def test_a_network_without_a_known_last_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="backbone=unet"):
        R2D2Learner(Reconstructor(InverseGammaResponse(), ExpandNet(width=8)), LOSS)
    with pytest.raises(ValueError, match="this Conv2d does not"):
        R2D2Learner(nn.Conv2d(3, 3, 1), LOSS)


def test_a_strength_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"algo\.ridge_weight"):
        R2D2Learner(reconstructor(), LOSS, ridge_weight=0.0)


def test_features_that_left_the_finite_range_are_left_out_and_raise_nothing() -> None:
    learner = learner_of()
    with torch.no_grad():
        learner.model.network.backbone.stem[0].weight.fill_(float("inf"))
    assert gradient_of(learner).loss_after.isnan()
