"""ALPaCA: the last layer is the posterior's mean, whoever computes it, and the outer loop learns through it."""

import math

import numpy as np
import pytest
import torch
from networks import LOSS, flat, reconstructor, shots
from torch import nn

from ldr2hdr.backbones.context import ContextFeatures
from ldr2hdr.losses.likelihood import HighlightLikelihood
from ldr2hdr.meta.alpaca import AlpacaLearner
from ldr2hdr.radiometry import LOG_OFFSET
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.response.ridge import InverseGammaResponse
from ldr2hdr.tasks import Shots


def learner_of(response: str = "ridge", **change: object) -> AlpacaLearner:
    """A learner past its first step."""
    learner = AlpacaLearner(reconstructor("unet", response), LOSS, num_priors=2, pixels=30.0, **change).double()
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in learner.model.named_parameters():
            if not name.startswith("network"):
                parameter.add_(torch.randn(parameter.shape, generator=noise, dtype=parameter.dtype), alpha=0.1)
    return learner


def bracket(seed: int) -> Shots:
    """Two exposures of one scene by a curve that is not the network's, with labels that are one picture."""
    light = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.01
    exposure = light * torch.tensor([0.3, 1.2], dtype=torch.float64).view(-1, 1, 1, 1)
    return Shots(exposure.clamp_max(1) ** 0.4, exposure)


def rows_of(learner: AlpacaLearner, support: Shots) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features ``(K, N, F)``, targets and standard deviations ``(K, N, 3)`` of every pixel, one after the other."""
    model = learner.model
    with torch.no_grad():
        features, linear = model.network.features(support.ldr, learner.statistics(support).of_network)
        deviation = model.noise(features).clamp(-4, 2).exp()
    basis = torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
    ratio = (support.exposure + LOG_OFFSET).log() - (linear + LOG_OFFSET).log()
    return tuple(part.flatten(2).mT.numpy() for part in (basis, ratio.clamp(-3, 3), deviation))


def dense(basis: np.ndarray) -> np.ndarray:
    """Design ``(N * 3, 3 F)`` of pixels ``(N, F)``, whose channels have weights of their own."""
    return np.einsum("nf,cd->ncdf", basis, np.eye(3)).reshape(3 * len(basis), -1)


def posterior_by_covariances(learner: AlpacaLearner, design: np.ndarray, target: np.ndarray, noise: np.ndarray):
    """Means, by conditioning the law of weights and labels together; log shares likewise."""
    prior = learner.model.prior()
    means, logs = [], []
    for share, mean, within in zip(*(part.detach().numpy() for part in prior), strict=True):
        covariance = design @ within @ design.T + noise
        away = target - design @ mean
        means.append(mean + within @ design.T @ np.linalg.solve(covariance, away))
        density = -0.5 * (away @ np.linalg.solve(covariance, away) + np.linalg.slogdet(covariance)[1])
        logs.append(share + learner.model.log_trust.exp().item() * density)
    return np.stack(means), np.array(logs) - np.logaddexp.reduce(logs)


def drift_of(learner: AlpacaLearner) -> np.ndarray:
    deviations = learner.model.log_drift.exp().detach().numpy()[:, None]
    factor = deviations * (np.eye(len(deviations)) + learner.model.drift_mixing.detach().numpy() / 16)
    return factor @ factor.T


@pytest.mark.parametrize(("support", "is_training"), [(shots(1), True), (shots(1), False), (bracket(1), False)])
def test_the_last_layer_is_the_conditional_mean_of_weights_and_labels(support: Shots, is_training: bool) -> None:
    """Each picture's drift, and noise that counts as so many pixels, written out as one covariance of all labels."""
    learner = learner_of().train(is_training)
    basis, target, deviation = rows_of(learner, support)
    worth = learner.model.log_pixels[0].exp().item() / basis.shape[1]
    designs = [dense(picture) for picture in basis]
    noise = np.diag((deviation**2 / worth).reshape(-1))
    size = len(designs[0])
    for index, design in enumerate(designs):
        block = slice(index * size, (index + 1) * size)
        noise[block, block] += design @ drift_of(learner) @ design.T
    means, logs = posterior_by_covariances(learner, np.concatenate(designs), target.reshape(-1), noise)
    found = learner.model.posterior(learner.statistics(support))
    np.testing.assert_allclose(found.means.detach(), means, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.log_shares.detach(), logs, rtol=1e-5, atol=1e-6)


def test_labels_of_one_scene_share_an_unknown_error_at_each_pixel() -> None:
    learner, support = learner_of(), bracket(1)
    basis, target, deviation = rows_of(learner, support)
    worth = learner.model.log_pixels[1].exp().item() / basis.shape[1]
    design = np.concatenate([dense(picture) for picture in basis])
    noise = np.diag((deviation**2 / worth).reshape(-1)) + design @ drift_of(learner) @ design.T
    of_labels = np.tile(np.exp(2 * learner.model.log_label_deviation.detach().numpy()) / worth, basis.shape[1])
    noise += np.kron(np.ones((len(basis), len(basis))), np.diag(of_labels))
    means, logs = posterior_by_covariances(learner, design, target.reshape(-1), noise)
    found = learner.model.posterior(learner.statistics(support))
    np.testing.assert_allclose(found.means.detach(), means, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.log_shares.detach(), logs, rtol=1e-5, atol=1e-6)


def test_without_support_the_prior_predicts() -> None:
    learner, query = learner_of(), shots(2)
    network = learner.model.network
    features, linear = network.features(query.ldr, None)
    weights = learner.model.prior().mean().view(3, -1)
    expected = network.head.render(
        torch.einsum("bfhw,cf->bchw", features, weights[:, :-1]) + weights[:, -1, None, None], linear
    )
    torch.testing.assert_close(learner.single_shot()(query.ldr).as_subclass(torch.Tensor), expected)


def test_folding_leaves_the_prediction_and_the_model() -> None:
    learner, support, query = learner_of(), shots(1), shots(2)
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    folded = learner.model.fold(learner.statistics(support))
    with torch.no_grad():
        predicted = folded.network(query.ldr, folded.statistics)
        expected = learner.adapt(support)(query.ldr).as_subclass(torch.Tensor)
    torch.testing.assert_close(predicted, expected, rtol=1e-9, atol=1e-12)
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())


def test_a_support_teaches() -> None:
    """The same camera, other pictures."""
    learner, support, query = learner_of("none"), shots(1), shots(1, count=5)
    losses = [LOSS(predict(query.ldr), query.exposure) for predict in (learner.adapt(support), learner.single_shot())]
    assert losses[0] < 0.7 * losses[1]


@pytest.mark.parametrize("support", [shots(1), shots(1, count=1), bracket(1)])
def test_the_meta_gradient_agrees_with_finite_differences(support: Shots, generator: torch.Generator) -> None:
    learner, query = learner_of(), shots(2, count=1)
    learner.loss = HighlightLikelihood(LOSS, weight=0.1)
    parameters = learner.trainable()
    directions = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    slope = (flat(learner.task_gradient(support, query).gradient) @ flat(directions)).item()
    losses = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            torch._foreach_add_(parameters, directions, alpha=step)
        losses.append(learner.task_gradient(support, query).loss_after.item())
    assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(slope, rel=1e-5)


def test_everything_is_learned() -> None:
    learner = learner_of()
    learner.loss = HighlightLikelihood(LOSS, weight=0.1)
    names = [name for name, _ in learner.model.named_parameters() if not name.startswith("network")]
    gradients = [learner.task_gradient(support, shots(2, count=1)).gradient for support in (shots(1), bracket(1))]
    sizes = [sum(part.abs().sum() for part in parts) for parts in zip(*gradients, strict=True)]
    found = dict(zip((name for name, _ in learner.model.named_parameters()), sizes, strict=True))
    assert all(found[name] > 0 for name in names)


def test_the_likelihood_is_that_of_a_student_t_law() -> None:
    learner, query = learner_of(), shots(2, count=1)
    answer = learner.single_shot()(query.ldr)
    mean, variance, linear = learner.model.predict(query.ldr)
    truth = (query.exposure + LOG_OFFSET).log() - (linear + LOG_OFFSET).log()
    law = torch.distributions.StudentT(4.0, mean, variance.sqrt())
    constant = -torch.distributions.StudentT(torch.tensor(4.0, dtype=torch.float64)).log_prob(truth.new_zeros(()))
    expected = -law.log_prob(truth).mean() - constant
    torch.testing.assert_close(answer.negative_log_likelihood(query.exposure, ceiling=math.inf), expected)


def test_black_and_white_pictures_are_finite() -> None:
    learner = learner_of()
    for level in (0.0, 1.0):
        plain = torch.full((2, 3, 8, 8), level, dtype=torch.float64)
        assert learner.adapt(Shots(plain, plain))(plain).isfinite().all()


def test_the_context_backbone_has_such_a_last_layer() -> None:
    learner = AlpacaLearner(Reconstructor(InverseGammaResponse(), ContextFeatures((4, 6))), LOSS).double()
    assert learner.adapt(shots(1))(shots(2).ldr).isfinite().all()


@pytest.mark.parametrize("change", [{"num_priors": 1}, {"pixels": 0.0}, {"trust": -1.0}, {"prior_deviation": 0.0}])
def test_numbers_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"algo\.num_priors"):
        AlpacaLearner(reconstructor(), LOSS, **change)


def test_a_network_without_a_known_last_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="this Conv2d does not"):
        AlpacaLearner(nn.Conv2d(3, 3, 1), LOSS)
