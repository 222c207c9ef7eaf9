"""The response stage whose prior real cameras taught: limits, recovery, derivatives and training."""

import math

import pytest
import torch
from brackets import shoot, texture

from ldr2hdr.calibration.information import bracket_information
from ldr2hdr.calibration.prior import hat_basis, read_curve_prior
from ldr2hdr.response.prior import PriorResponse
from ldr2hdr.tasks import Shots


def camera_shots(gamma: float, *, gains: tuple[float, ...] = (1.0, 1.0, 1.0), seed: int = 0, size: int = 64) -> Shots:
    """Two pictures by a camera with gains and a power response."""
    exposure = torch.stack([texture(size, seed), texture(size, seed + 1)])
    shown = (exposure * torch.tensor(gains, dtype=torch.float64)[:, None, None]).clamp(max=1) ** (1 / gamma)
    return Shots((shown * 255).round() / 255, exposure)


def error(response: PriorResponse, query: Shots, statistics: object) -> float:
    seen = (query.ldr > 16 / 255) & (query.ldr < 0.98)
    difference = torch.log(response(query.ldr, statistics) / query.exposure)[seen]
    return difference.square().mean().sqrt().item() / math.log(2)


def test_without_support_the_curve_is_the_priors_mean() -> None:
    prior, response = read_curve_prior(), PriorResponse()
    curve = hat_basis(prior.knots) @ prior.mean
    levels = torch.arange(256).view(1, 1, 16, 16).expand(1, 3, 16, 16) / 255
    expected = (curve - curve[255]).exp()[None].expand(3, -1)
    torch.testing.assert_close(response(levels)[0].flatten(1).double(), expected, rtol=1e-4, atol=1e-7)


def test_white_is_the_curves_end_and_levels_between_two_are_straight() -> None:
    response = PriorResponse().double()
    white = torch.ones(1, 3, 1, 1, dtype=torch.float64)
    assert response(white).unique().item() == pytest.approx(1.0)
    steps = torch.tensor([100.0, 100.25, 101.0], dtype=torch.float64).expand(1, 3, 1, 3) / 255
    low, between, high = response(steps)[0, 0, 0].tolist()
    assert between == pytest.approx(0.75 * low + 0.25 * high)


def test_the_fit_undoes_another_camera() -> None:
    response, support, query = PriorResponse(), camera_shots(1.5), camera_shots(1.5, seed=7)
    statistics = response.sufficient_statistics(support)
    assert error(response, query, None) > 0.3
    assert error(response, query, statistics) < 0.1


def test_gains_before_the_curve_are_of_its_height() -> None:
    response, gains = PriorResponse(), (1.25, 1.0, 0.8)
    statistics = response.sufficient_statistics(camera_shots(2.0, gains=gains))
    assert error(response, camera_shots(2.0, gains=gains, seed=7), statistics) < 0.1
    shapes = [
        response.posterior(response.sufficient_statistics(camera_shots(2.0, gains=each))).log_curve
        for each in (gains, (1.0, 1.0, 1.0))
    ]
    assert (shapes[0] - shapes[1])[16:].abs().max() < 0.1


def test_brackets_are_statistics_too_and_leave_white_where_it_is() -> None:
    response, evs = PriorResponse(), torch.tensor([-2.0, 0.0, 2.0])
    pictures = shoot(lambda clipped: clipped ** (1 / 1.6), texture(128))
    statistics = bracket_information((pictures * 255).round().to(torch.uint8), evs, read_curve_prior())
    weights = response.weights(statistics)
    torch.testing.assert_close(weights[255], torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-6)
    query = camera_shots(1.6, seed=7)
    assert error(response, query, statistics) < 0.5 * error(response, query, None)


def test_what_the_support_shows_is_known_better() -> None:
    response = PriorResponse()
    before, after = (
        response.posterior(statistics) for statistics in (None, response.sufficient_statistics(camera_shots(2.0)))
    )
    assert (after.deviation <= before.deviation + 1e-9).all()
    assert (after.deviation < 0.5 * before.deviation)[32:200].all()
    assert not before.log_curve[250].any()


def test_a_black_or_white_support_returns_the_prior() -> None:
    response = PriorResponse()
    pictures = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
    statistics = response.sufficient_statistics(Shots(pictures, pictures))
    torch.testing.assert_close(response.weights(statistics), response.weights(None), rtol=0, atol=1e-6)


def test_parameters_get_exact_gradients() -> None:
    response, support = PriorResponse(gain_deviation=0.5).double(), camera_shots(1.8, size=16)
    statistics = response.sufficient_statistics(support)
    query = camera_shots(1.8, seed=5, size=2).ldr * 0.9 + 0.05
    directions = [torch.randn_like(parameter) for parameter in response.parameters()]

    def output(steps: torch.Tensor) -> torch.Tensor:
        moved = {
            name: parameter.detach() + step * direction
            for (name, parameter), step, direction in zip(response.named_parameters(), steps, directions, strict=True)
        }
        return torch.func.functional_call(response, moved, (query, statistics))

    start = torch.zeros(len(directions), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(output, start)
    assert torch.autograd.gradgradcheck(output, start)


def test_training_the_prior_through_the_fit_lowers_the_loss() -> None:
    """Of cameras that are far from the prior, with little support."""
    response = PriorResponse(evidence=0.01)
    optimizer = torch.optim.Adam(response.parameters(), lr=0.02)
    tasks = [(camera_shots(gamma, size=8), camera_shots(gamma, seed=9, size=32)) for gamma in (1.1, 1.2, 1.3)]
    losses = []
    for _ in range(15):
        losses.append(
            sum(
                torch.log(response(query.ldr, response.sufficient_statistics(support)).clamp_min(1e-4))
                .sub(query.exposure.clamp(1e-4, 1).log())
                .abs()
                .mean()
                for support, query in tasks
            )
        )
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in response.parameters())
    assert losses[-1].item() < 0.8 * losses[0].item()


@pytest.mark.parametrize("change", [{"tau": 0.0}, {"gain_deviation": -1.0}, {"evidence": 0.0}])
def test_bad_arguments_name_their_key(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"response\.tau, response\.gain_deviation"):
        PriorResponse(**change)
