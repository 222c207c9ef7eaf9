"""The local response stage against an ordinary least-squares solver, and on cameras whose law is known."""

import copy
import math

import pytest
import torch
from torch import Tensor

from ldr2hdr.radiometry import LOG_OFFSET
from ldr2hdr.response.features import extract_features, hats, local_mean
from ldr2hdr.response.local import LocalRidgeResponse
from ldr2hdr.response.ridge import RidgeResponse, inverse_gamma_curve
from ldr2hdr.tasks import Shots

# of the priors on curve, second difference and local weights, where a huge one allows no difference; and which curve
STRENGTHS = (
    (1, 1, 1, "learned"),
    (1, 1, 0.1, "learned"),
    (1, 1, 0.01, "learned"),
    (1, 1, 1e9, "learned"),
    (1, 1e3, 1e9, "learned"),
    (1e9, 1, 1e9, "learned"),
    (1e9, 1, 1e9, "display"),
)


def scenes(generator: torch.Generator, count: int = 4, size: int = 32) -> Tensor:
    """Smooth pictures of log-uniform light with a little texture, some of it above white."""
    coarse = torch.rand(count, 3, 5, 5, generator=generator, dtype=torch.float64) * 5 - 4.4
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    texture = torch.rand(count, 1, size, size, generator=generator, dtype=torch.float64) - 0.5
    return torch.exp2(smooth + texture)


def shoot(exposure: Tensor, *, strength: float = 0.0, gamma: float = 1.7) -> Tensor:
    """A camera with gains, a power response, 8 bits, and local tone mapping of a strength."""
    gains = torch.tensor([0.8, 1.0, 1.25], dtype=torch.float64)[:, None, None]
    clipped = (exposure * gains).clamp(max=1)
    surround = local_mean(clipped.mean(dim=1, keepdim=True), 6) + 0.05
    return ((clipped * surround ** (-strength) * 0.05**strength).clamp(max=1) ** (1 / gamma) * 255).round() / 255


def stop_errors(response: torch.nn.Module, exposure: Tensor, ldr: Tensor) -> float:
    """RMSE in stops on the last two of four pictures, adapted to the first two."""
    with torch.no_grad():
        linear = response(ldr[2:], response.sufficient_statistics(Shots(ldr[:2], exposure[:2])))
    seen = (ldr[2:] > 0.05) & (exposure[2:] < 0.75)
    return torch.log2((linear + LOG_OFFSET) / (exposure[2:] + LOG_OFFSET))[seen].square().mean().sqrt().item()


def test_a_camera_that_a_curve_explains_keeps_the_curve(generator: torch.Generator) -> None:
    exposure = scenes(generator)
    ldr = shoot(exposure)
    local, curve = (stop_errors(r.double(), exposure, ldr) for r in (LocalRidgeResponse(), RidgeResponse()))
    assert local < 1.1 * curve
    assert local < 0.05


def test_local_tone_mapping_is_undone_where_a_curve_cannot(generator: torch.Generator) -> None:
    exposure = scenes(generator)
    ldr = shoot(exposure, strength=0.4)
    local, curve = (stop_errors(r.double(), exposure, ldr) for r in (LocalRidgeResponse(), RidgeResponse()))
    assert local < 0.6 * curve


def oracle_fit(
    response: LocalRidgeResponse, columns: Tensor, target: Tensor, count: int, strength: tuple[float, float, float, str]
) -> Tensor:
    """One channel's weights by an ordinary least-squares solver on stacked rows."""
    on_curve, on_bend, on_local, kind = strength
    curve = response.curve_prior[0] if kind == "learned" else inverse_gamma_curve(response.curve_prior.shape[1], 2.2)
    num_knots, num_local = response.curve_prior.shape[1], response.local_prior.shape[1]
    ridge = torch.cat(
        [
            on_curve * response.log_prior_weight.exp().expand(num_knots),
            on_local * response.log_local_weight.exp(),
        ]
    ).sqrt()
    second = torch.diff(torch.eye(num_knots).double(), n=2, dim=0)
    second = torch.cat([second, torch.zeros(num_knots - 2, num_local)], dim=1)
    second = second * (on_bend * response.log_smoothness_weight.exp()).sqrt()
    prior = torch.cat([curve.double(), response.local_prior[0] * (on_local < 1e9)])
    rows = torch.cat([columns / math.sqrt(count), torch.diag(ridge), second])
    values = torch.cat([target / math.sqrt(count), ridge * prior, second @ prior])
    return torch.linalg.lstsq(rows, values[:, None]).solution[:, 0]


def test_weights_are_the_stack_of_least_squares_fits_by_held_out_error(generator: torch.Generator) -> None:
    response = LocalRidgeResponse(num_knots=6, prior_weight=1e-4, trust=2.0).double()
    with torch.no_grad():
        response.local_prior.copy_(torch.randn(response.local_prior[0].shape, generator=generator).double() / 5)
        response.curve_prior.add_(torch.linspace(0.3, 0, 6))
    exposure = scenes(generator, count=2, size=12)
    ldr = shoot(exposure, strength=0.2)
    ldr[..., :2] = 252 / 255
    support = Shots(ldr, exposure)
    features = extract_features(support.ldr)
    columns = torch.stack([*hats(features.tone * 5, 6).unbind(dim=-1), *features.local], dim=-1)
    target = torch.log(exposure + LOG_OFFSET).clamp_max(math.log(2))
    # on the ramp to white a square is weighted by the square of how far from white the pixel is
    root = 1 - features.whiteness
    assert ((root > 0) & (root < 1)).float().mean() > 0.05
    columns, target = columns * root[..., None], target * root
    count = target[:, 0].numel()

    def fit(channel: int, pictures: list[int], strength: tuple[float, float, float, str]) -> Tensor:
        rows, values = columns[pictures, channel].flatten(0, 2), target[pictures, channel].flatten()
        return oracle_fit(response, rows, values, count, strength)

    errors = []
    for strength in STRENGTHS:
        squares = 0.0
        for left_out in (0, 1):
            for channel in range(3):
                predicted = columns[left_out, channel] @ fit(channel, [1 - left_out], strength)
                squares += (predicted - target[left_out, channel]).square().sum().item() / count
        errors.append(squares)
    share = torch.softmax(-2.0 * torch.log(torch.tensor(errors).double() + 1e-4), dim=0)
    assert share.max() < 0.99, "a test of stacking needs more than one candidate"
    weights = response.weights(response.sufficient_statistics(support))
    for channel in range(3):
        expected = sum(s * fit(channel, [0, 1], strength) for s, strength in zip(share, STRENGTHS, strict=True))
        torch.testing.assert_close(weights.curve[channel], expected[:6], atol=1e-7, rtol=1e-7)
        torch.testing.assert_close(weights.local[channel], expected[6:], atol=1e-7, rtol=1e-7)


def test_without_support_the_weights_are_the_prior(generator: torch.Generator) -> None:
    response = LocalRidgeResponse(num_knots=256).double()
    levels = torch.rand(1, 3, 8, 8, generator=generator, dtype=torch.float64) * 0.98
    torch.testing.assert_close(response(levels), levels**2.2, atol=2e-4, rtol=0)
    white = response(torch.ones(1, 3, 4, 4, dtype=torch.float64)).unique()
    torch.testing.assert_close(white, torch.full_like(white, (1 + LOG_OFFSET) * 2**0.5 - LOG_OFFSET))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_pictures_and_any_number_of_shots_stay_finite(count: int, level: float) -> None:
    response = LocalRidgeResponse()
    support = Shots(torch.full((count, 3, 9, 7), level), torch.full((count, 3, 9, 7), 2 * level))
    linear = response(support.ldr, response.sufficient_statistics(support))
    assert bool(linear.isfinite().all())
    assert bool((linear >= 0).all())


def test_pictures_that_contradict_each_other_leave_the_prior(generator: torch.Generator) -> None:
    exposure = scenes(generator, count=2).clamp(max=0.9)
    ldr = torch.stack([exposure[0] ** (1 / 1.6), exposure[1] ** (1 / 2.8)])
    response = LocalRidgeResponse().double()
    weights = response.weights(response.sufficient_statistics(Shots(ldr, exposure)))
    # both are as far from gamma 2.2, which the prior is, and farther from each other
    slope, expected = (curve[:, 20] - curve[:, 10] for curve in (weights.curve, response.curve_prior))
    torch.testing.assert_close(slope, expected, rtol=0.03, atol=0)


def test_single_precision_is_enough(generator: torch.Generator) -> None:
    for _ in range(5):
        exposure = scenes(generator, count=3)
        ldr = shoot(exposure, strength=0.3)
        response = LocalRidgeResponse(trust=1e-6)  # all candidates count alike
        single, double = (
            net.weights(net.sufficient_statistics(Shots(ldr.to(dtype), exposure.to(dtype)))).curve
            for net, dtype in ((response, torch.float32), (copy.deepcopy(response).double(), torch.float64))
        )
        torch.testing.assert_close(single.double(), double, atol=5e-3, rtol=0)


def test_a_display_gamma_is_found_whatever_the_learned_prior(generator: torch.Generator) -> None:
    exposure = scenes(generator, count=2).clamp(max=0.9)
    ldr = torch.stack([exposure[0] ** (1 / 1.6), exposure[1] ** (1 / 2.8)])
    response = LocalRidgeResponse().double()
    with torch.no_grad():
        response.curve_prior.mul_(0.4)
    weights = response.weights(response.sufficient_statistics(Shots(ldr, exposure)))
    display = inverse_gamma_curve(24, 2.2).double()
    torch.testing.assert_close(
        (weights.curve[1, 20] - weights.curve[1, 10]), display[20] - display[10], rtol=0.03, atol=0
    )


def test_from_just_below_white_to_white_there_is_no_step() -> None:
    levels = torch.linspace(249 / 255, 1, 200, dtype=torch.float64)[None, None, None].expand(1, 3, 4, 200)
    surround = torch.full_like(levels, 0.5)
    picture = torch.cat([surround, levels, surround], dim=2)
    white = LocalRidgeResponse().double()(picture)[0, 0, 5].detach()
    jumps = white.log2().diff()
    assert white[-1] / white[0] > 1.3
    assert jumps.max() < 0.02


def test_white_is_never_darker_than_where_the_shades_end() -> None:
    response = LocalRidgeResponse()
    with torch.no_grad():
        response.white_prior[:, 0] = -5
    torch.testing.assert_close(response(torch.ones(1, 3, 4, 4)), torch.ones(1, 3, 4, 4))


def test_light_far_above_white_counts_as_one_stop(generator: torch.Generator) -> None:
    response = LocalRidgeResponse()
    white = torch.ones(2, 3, 8, 8)
    bright, lamp = (
        response.sufficient_statistics(Shots(white, torch.full_like(white, value))) for value in (2.0, 1000.0)
    )
    torch.testing.assert_close(response(white, lamp), response(white, bright), atol=1e-2, rtol=0)


def test_priors_strengths_and_trust_get_exact_gradients(generator: torch.Generator) -> None:
    response = LocalRidgeResponse(num_knots=4, prior_weight=1e-2, trust=1.0).double()
    exposure = scenes(generator, count=3, size=6)
    ldr = shoot(exposure, strength=0.2)
    statistics = response.sufficient_statistics(Shots(ldr[:2], exposure[:2]))
    names = [name for name, _ in response.named_parameters()]

    def output(*values: Tensor) -> Tensor:
        return torch.func.functional_call(response, dict(zip(names, values, strict=True)), (ldr[2:], statistics)).mean()

    arguments = tuple(parameter.detach().requires_grad_() for parameter in response.parameters())
    assert torch.autograd.gradcheck(output, arguments)


@pytest.mark.parametrize("make", [LocalRidgeResponse, RidgeResponse])
def test_a_diverged_prior_gives_numbers_that_the_guards_see(make: type, generator: torch.Generator) -> None:
    response = make()
    exposure = scenes(generator, count=2).float()
    with torch.no_grad():
        next(response.parameters()).fill_(float("nan"))
        response.log_smoothness_weight.fill_(float("inf"))
    linear = response(exposure.clamp(max=1), response.sufficient_statistics(Shots(exposure.clamp(max=1), exposure)))
    assert not bool(linear.isfinite().all())


@pytest.mark.parametrize("change", [{"num_knots": 2}, {"gamma": 0.0}, {"trust": 0.0}, {"local_weight": -1.0}])
def test_bad_arguments_name_their_key(change: dict[str, float]) -> None:
    (key,) = change
    with pytest.raises(ValueError, match=rf"response\..*{key}|{key}"):
        LocalRidgeResponse(**change)
