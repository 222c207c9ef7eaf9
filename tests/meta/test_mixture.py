"""Regression on Gaussian mixtures, against dense densities and least squares of numpy and torch."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from ldr2hdr.meta.mixture import Information, Mixture, allow_for_drift, condition

SIZE, ROWS, NOISE = 4, 7, 0.3


def covariance(generator: torch.Generator) -> Tensor:
    factor = torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
    return factor @ factor.T + 0.1 * torch.eye(SIZE, dtype=torch.float64)


def prior_of(generator: torch.Generator, count: int = 3) -> Mixture:
    means = torch.randn(count, SIZE, generator=generator, dtype=torch.float64)
    shares = torch.randn(count, generator=generator, dtype=torch.float64).log_softmax(0)
    return Mixture(shares, means, torch.stack([covariance(generator) for _ in range(count)]))


def rows(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return (
        torch.randn(ROWS, SIZE, generator=generator, dtype=torch.float64),
        torch.randn(ROWS, generator=generator, dtype=torch.float64),
    )


def information(design: Tensor, target: Tensor) -> Information:
    return Information(design.T @ design / NOISE**2, design.T @ target / NOISE**2)


def test_the_posterior_is_numpys_least_squares_with_the_prior_as_more_rows(generator: torch.Generator) -> None:
    prior, (design, target) = prior_of(generator, 1), rows(generator)
    found = condition(prior, information(design, target), trust=torch.tensor(1.0))
    whitener = np.linalg.inv(np.linalg.cholesky(prior.covariances[0].numpy()))
    stacked = np.concatenate([design.numpy() / NOISE, whitener])
    right = np.concatenate([target.numpy() / NOISE, whitener @ prior.means[0].numpy()])
    np.testing.assert_allclose(found.means[0], np.linalg.lstsq(stacked, right, rcond=None)[0], rtol=1e-9)
    np.testing.assert_allclose(found.covariances[0], np.linalg.inv(stacked.T @ stacked), rtol=1e-9, atol=1e-12)


def test_gaussians_count_by_the_density_that_they_give_the_data(generator: torch.Generator) -> None:
    prior, (design, target) = prior_of(generator), rows(generator)
    noise = NOISE**2 * torch.eye(ROWS, dtype=torch.float64)
    densities = [
        MultivariateNormal(design @ mean, design @ within @ design.T + noise).log_prob(target)
        for mean, within in zip(prior.means, prior.covariances, strict=True)
    ]
    expected = (prior.log_shares + torch.stack(densities)).log_softmax(0)
    found = condition(prior, information(design, target), trust=torch.tensor(1.0))
    torch.testing.assert_close(found.log_shares, expected, rtol=1e-9, atol=1e-9)


def test_mean_and_covariance_of_the_whole_are_those_of_draws(generator: torch.Generator) -> None:
    mixture = prior_of(generator)
    shares = mixture.log_shares.exp()
    second = torch.stack([within + torch.outer(mean, mean) for mean, within in zip(*mixture[1:], strict=True)])
    mean = (shares[:, None] * mixture.means).sum(dim=0)
    torch.testing.assert_close(mixture.mean(), mean)
    torch.testing.assert_close(
        mixture.covariance(), (shares[:, None, None] * second).sum(dim=0) - torch.outer(mean, mean)
    )


def test_a_support_that_says_nothing_leaves_the_prior(generator: torch.Generator) -> None:
    prior = prior_of(generator)
    nothing = Information(torch.zeros(SIZE, SIZE, dtype=torch.float64), torch.zeros(SIZE, dtype=torch.float64))
    for found, expected in zip(condition(prior, nothing, trust=torch.tensor(1.0)), prior, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_drift_adds_to_the_covariance_of_an_estimate(generator: torch.Generator) -> None:
    told, drift = information(*rows(generator)), covariance(generator)
    found = allow_for_drift(told, drift)
    expected = torch.linalg.inv(torch.linalg.inv(told.precision) + drift)
    torch.testing.assert_close(found.precision, expected, rtol=1e-8, atol=1e-10)
    estimate = torch.linalg.solve(told.precision, told.product)
    torch.testing.assert_close(found.product, expected @ estimate, rtol=1e-8, atol=1e-10)


def test_with_drift_a_picture_never_tells_more_than_the_drift_leaves() -> None:
    drift = 0.2 * torch.eye(SIZE, dtype=torch.float64)
    much = Information(1e9 * torch.eye(SIZE, dtype=torch.float64), torch.ones(SIZE, dtype=torch.float64))
    torch.testing.assert_close(allow_for_drift(much, drift).precision, drift.inverse(), rtol=1e-6, atol=1e-6)


def test_derivatives_through_the_solve_are_finite_differences(generator: torch.Generator) -> None:
    prior, (design, target), drift = prior_of(generator), rows(generator), covariance(generator)

    def outputs(shares: Tensor, means: Tensor, factors: Tensor, design: Tensor, trust: Tensor) -> tuple[Tensor, ...]:
        told = allow_for_drift(information(design, target), drift)
        found = condition(Mixture(shares.log_softmax(0), means, factors @ factors.mT), told, trust=trust)
        return found.mean(), found.covariance()

    inputs = (*prior[:2], torch.linalg.cholesky(prior.covariances), design, torch.tensor(0.3, dtype=torch.float64))
    assert torch.autograd.gradcheck(outputs, [tensor.clone().requires_grad_() for tensor in inputs])


def test_equations_without_a_solution_give_nan() -> None:
    prior = Mixture(torch.zeros(1), torch.zeros(1, 2), torch.eye(2)[None])
    found = condition(prior, Information(-torch.eye(2), torch.ones(2)), trust=torch.tensor(1.0))
    assert bool(found.means.isnan().all())


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
