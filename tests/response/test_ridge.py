"""The response stage against a dense least-squares oracle, and its limits."""

import math

import pytest
import torch

from ldr2hdr.response.ridge import InverseGammaResponse, RidgeResponse
from ldr2hdr.tasks import Shots

OFFSET = 1 / 255


def camera_shots(generator: torch.Generator, *, gamma: float = 1.6, size: int = 24) -> Shots:
    """Two pictures by a camera with gains, a power response and 8 bits."""
    exposure = torch.rand(2, 3, size, size, generator=generator, dtype=torch.float64) * 1.1
    gains = torch.tensor([0.8, 1.0, 1.2], dtype=torch.float64)[:, None, None]
    ldr = ((exposure * gains).clamp(max=1) ** (1 / gamma) * 255).round() / 255
    return Shots(ldr, exposure)


def dense_oracle(response: RidgeResponse, support: Shots, channel: int) -> torch.Tensor:
    """The same minimum by an ordinary least-squares solver on stacked rows, pixel by pixel."""
    level = support.ldr[:, channel].flatten()
    target = torch.log(support.exposure[:, channel].flatten() + OFFSET)
    toe, num_knots = 4 / 255, response.num_knots
    position = (num_knots - 1) * torch.log((level + toe) / toe) / math.log((1 + toe) / toe)
    hats = (1 - (position[:, None] - torch.arange(num_knots)).abs()).clamp_min(0)
    basis = torch.cat([hats, (level[:, None] >= 254 / 255).double()], dim=1)
    prior = response.prior[channel].detach()
    second = torch.cat([torch.diff(torch.eye(num_knots).double(), n=2, dim=0), torch.zeros(num_knots - 2, 1)], dim=1)
    ridge = math.sqrt(math.exp(response.log_prior_weight.item()))
    smooth = math.sqrt(math.exp(response.log_smoothness_weight.item()))
    count = math.sqrt(len(level))
    rows = [basis / count, ridge * torch.eye(num_knots + 1).double(), smooth * second]
    values = [target / count, ridge * prior, smooth * second @ prior]
    return torch.linalg.lstsq(torch.cat(rows), torch.cat(values)[:, None]).solution[:, 0]


def test_the_curve_is_the_least_squares_solution(generator: torch.Generator) -> None:
    response, support = RidgeResponse(num_knots=12, prior_weight=1e-4).double(), camera_shots(generator)
    weights = response.weights(response.sufficient_statistics(support))
    for channel in range(3):
        torch.testing.assert_close(weights[channel], dense_oracle(response, support, channel), atol=1e-8, rtol=1e-8)


def test_the_fit_undoes_a_camera_that_inverse_gamma_does_not(generator: torch.Generator) -> None:
    response, support, query = RidgeResponse().double(), camera_shots(generator), camera_shots(generator)
    seen = (query.ldr > 0.05) & (query.ldr < 0.98)
    errors = [
        (torch.log(response(query.ldr, statistics) / query.exposure))[seen].square().mean().sqrt().item()
        for statistics in (response.sufficient_statistics(support), None)
    ]
    assert errors[0] < 0.03
    assert errors[1] > 0.3


def test_without_support_the_curve_is_the_prior() -> None:
    levels = torch.rand(1, 3, 8, 8, dtype=torch.float64) * 0.99
    response = RidgeResponse(num_knots=256, gamma=2.2).double()
    torch.testing.assert_close(response(levels), levels**2.2, atol=2e-4, rtol=0)
    white = response(torch.ones(1, 3, 1, 1, dtype=torch.float64)).unique().item()
    assert white == pytest.approx((1 + OFFSET) * 2**0.5 - OFFSET, rel=1e-6)


def test_white_is_the_mean_log_of_the_light_that_clipped() -> None:
    response = RidgeResponse(prior_weight=1e-12).double()
    exposure = torch.linspace(1, 4, 3 * 64, dtype=torch.float64).view(1, 3, 8, 8)
    support = Shots(torch.ones_like(exposure), exposure)
    white = response(torch.ones(1, 3, 1, 1, dtype=torch.float64), response.sufficient_statistics(support))[0, :, 0, 0]
    expected = torch.log(exposure + OFFSET).mean(dim=(0, 2, 3)).exp() - OFFSET
    torch.testing.assert_close(white, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_levels_that_the_support_does_not_show_stay_near_the_prior(level: float) -> None:
    response = RidgeResponse().double()
    exposure = torch.full((1, 3, 8, 8), response(torch.full((1, 3, 1, 1), level).double()).mean().item()).double()
    support = Shots(torch.full_like(exposure, level), exposure)
    torch.testing.assert_close(
        response.weights(response.sufficient_statistics(support)), response.prior, atol=1e-6, rtol=1e-6
    )


def test_prior_and_strengths_get_exact_gradients(generator: torch.Generator) -> None:
    response, support = RidgeResponse(num_knots=5).double(), camera_shots(generator, size=6)
    statistics, query = (
        response.sufficient_statistics(support),
        torch.rand(1, 3, 4, 4, generator=generator, dtype=torch.float64),
    )

    def output(prior: torch.Tensor, ridge: torch.Tensor, smooth: torch.Tensor) -> torch.Tensor:
        names = {"prior": prior, "log_prior_weight": ridge, "log_smoothness_weight": smooth}
        return torch.func.functional_call(response, names, (query, statistics))

    arguments = tuple(parameter.detach().requires_grad_() for parameter in response.parameters())
    assert torch.autograd.gradcheck(output, arguments)
    assert torch.autograd.gradgradcheck(output, arguments)


def test_the_summary_does_not_depend_on_parameters(generator: torch.Generator) -> None:
    first, second = RidgeResponse(gamma=2.2), RidgeResponse(gamma=1.0)
    support = camera_shots(generator)
    support = Shots(support.ldr.float(), support.exposure.float())
    assert torch.equal(first.sufficient_statistics(support).value, second.sufficient_statistics(support).value)


def test_no_response_is_a_fixed_gamma() -> None:
    response = InverseGammaResponse(gamma=2.0)
    assert response(torch.full((1, 3, 1, 1), 0.5)).unique().item() == 0.25
    assert not list(response.parameters())


@pytest.mark.parametrize("change", [{"num_knots": 2}, {"gamma": 0.0}, {"prior_weight": 0.0}])
def test_bad_arguments_name_their_key(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"response\."):
        RidgeResponse(**change)  # type: ignore[arg-type]
    if "gamma" in change:
        with pytest.raises(ValueError, match=r"response\.gamma"):
            InverseGammaResponse(gamma=0.0)
