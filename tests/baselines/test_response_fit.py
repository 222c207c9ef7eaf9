import itertools
import time

import pytest
import torch

from ldr2hdr.baselines.inverse_gamma import InverseGamma
from ldr2hdr.baselines.response_fit import ResponseFit, isotonic_regression
from ldr2hdr.tasks import Shots

FLOOR = 2.0**-10


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def sigmoid_inverse(ldr):
    """Exposure of Eilertsen's response with n = 0.9 and s = 0.6."""
    return (0.6 * ldr / (1.6 - ldr)) ** (1 / 0.9)


INVERSES = {
    "gamma 1.8": lambda x: x**1.8,
    "gamma 2.6": lambda x: x**2.6,
    "sigmoid": sigmoid_inverse,
    "linear": lambda x: x,
}


def noiseless(inverse, levels):
    """Two pictures of 96 px hold 72 pixels a level: so many, the channels in different order."""
    order = torch.stack([levels[torch.randperm(len(levels), generator=seeded(k))] for k in range(3)])
    ldr = order.reshape(1, 3, 1, -1).repeat(1, 1, 72, 1) / 255
    return Shots(ldr, inverse(ldr))


def pool_adjacent_violators(values, weights):
    blocks = []
    for value, weight in zip(values, weights, strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, wa, na), (b, wb, nb) = blocks[-2:]
            blocks[-2:] = [[(a * wa + b * wb) / (wa + wb), wa + wb, na + nb]]
    return list(itertools.chain.from_iterable([value] * count for value, _, count in blocks))


@pytest.mark.parametrize("length", [1, 2, 3, 17, 256])
def test_isotonic_regression_pools_adjacent_violators(length):
    values = torch.randn(3, length, generator=seeded(length), dtype=torch.float64)
    weights = torch.rand(3, length, generator=seeded(), dtype=torch.float64) * 100 + 1e-3
    expected = [pool_adjacent_violators(v, w) for v, w in zip(values.tolist(), weights.tolist(), strict=True)]
    fitted = isotonic_regression(values, weights)
    torch.testing.assert_close(fitted, torch.tensor(expected, dtype=torch.float64), rtol=1e-8, atol=1e-8)
    assert (fitted.diff() >= 0).all()


@pytest.mark.parametrize("name", INVERSES)
def test_a_noiseless_curve_is_recovered_at_the_levels_seen(name):
    support = noiseless(INVERSES[name], torch.arange(256.0))
    lit = support.exposure > FLOOR
    exact = ResponseFit(smoothing=1e-9).adapt(support)(support.ldr)
    torch.testing.assert_close(exact[lit], support.exposure[lit], rtol=2e-2, atol=0)
    smooth = ResponseFit().adapt(support)(support.ldr)
    assert (smooth[lit] / support.exposure[lit]).log2().square().mean().sqrt() < 0.02


@pytest.mark.parametrize("name", INVERSES)
def test_levels_not_seen_are_interpolated_and_extrapolated(name):
    support = noiseless(INVERSES[name], torch.arange(60.0, 200.0, 10.0))
    ldr = (torch.arange(40.0, 250.0) / 255).expand(1, 3, 1, -1)
    error = ResponseFit().adapt(support)(ldr).log2() - INVERSES[name](ldr).log2()
    assert error[..., 20:150].abs().max() < 0.05
    assert error.abs().max() < 0.3


@pytest.mark.parametrize("seed", range(20))
def test_the_table_never_falls_and_is_finite(seed):
    generator = seeded(seed)
    num_levels = int(torch.randint(1, 257, (), generator=generator))
    palette = torch.randint(0, 256, (num_levels,), generator=generator)
    picks = torch.randint(num_levels, (2, 3, 9, 7), generator=generator)
    exposure = torch.randn(2, 3, 9, 7, generator=generator).mul(5).exp()
    exposure[0, :, 0] = 0
    for system in (ResponseFit(), ResponseFit(pooled_px=0.0), ResponseFit(smoothing=1e-6)):
        table = system.fit(Shots(palette[picks] / 255, exposure))
        assert table.isfinite().all()
        assert (table.diff(dim=1) >= 0).all()
        assert (table >= FLOOR).all()


def test_the_query_is_looked_up_pixel_by_pixel_and_changes_nothing():
    support = noiseless(sigmoid_inverse, torch.arange(256.0))
    predict = ResponseFit().adapt(support)
    query = torch.rand(4, 3, 5, 7, generator=seeded())
    first = predict(query)
    predict(torch.ones(1, 3, 2, 2))
    torch.testing.assert_close(predict(query), first, rtol=0, atol=0)
    torch.testing.assert_close(predict(query[1:2]), first[1:2], rtol=0, atol=0)
    torch.testing.assert_close(predict(query.flip(-1)), first.flip(-1), rtol=0, atol=0)


def test_one_noisy_shot_beats_inverse_gamma():
    generator = seeded()
    ldr = torch.rand(1, 3, 24, 24, generator=generator).mul(255).round() / 255
    exposure = ldr**1.6 * 0.8
    noise = torch.randn(ldr.shape, generator=generator).mul(0.2).exp()
    predict = ResponseFit().adapt(Shots(ldr, exposure * noise))
    visible = exposure > 0.02
    errors = [
        (system(ldr)[visible] / exposure[visible]).log2().square().mean().sqrt() for system in (predict, InverseGamma())
    ]
    assert errors[0] < 0.1 < 0.5 < errors[1]


def test_without_support_it_is_inverse_gamma():
    ldr = torch.rand(2, 3, 4, 4, generator=seeded())
    for support in (None, Shots(torch.zeros(0, 3, 4, 4), torch.zeros(0, 3, 4, 4))):
        torch.testing.assert_close(ResponseFit().adapt(support)(ldr), ldr**2.2, rtol=0, atol=0)


def test_a_black_support_leaves_the_other_levels_to_inverse_gamma():
    black = torch.zeros(1, 3, 4, 4)
    table = ResponseFit().fit(Shots(black, black))
    assert table[:, 0].tolist() == pytest.approx([FLOOR] * 3)
    prior = (torch.arange(256) / 255) ** 2.2
    torch.testing.assert_close(table[:, 20:255], prior[20:255].expand(3, -1), rtol=1e-4, atol=0)


def test_a_white_support_moves_white_alone_and_cuts_at_the_cap():
    white = torch.ones(1, 3, 4, 4)
    table = ResponseFit().fit(Shots(white, white * 1.5))
    assert table[:, 255].tolist() == pytest.approx([1.5] * 3)
    assert table[:, 128].tolist() == pytest.approx([(128 / 255) ** 2.2] * 3)
    sun = ResponseFit().fit(Shots(white, white * 1e5))
    assert sun[:, 255].tolist() == pytest.approx([2.0] * 3)


def test_white_is_the_log_mean_pooled_over_channels():
    ldr = torch.full((1, 3, 1, 400), 0.5)
    exposure = torch.full_like(ldr, 0.2)
    ldr[0, 0, 0, :200], exposure[0, 0, 0, :200] = 1.0, 1.0
    exposure[0, 0, 0, 100:200] = 2.0
    ldr[0, 1, 0, :200], exposure[0, 1, 0, :200] = 1.0, 2.0
    white = ResponseFit(pooled_px=200.0).fit(Shots(ldr, exposure))[:, 255]
    # red has log2 mean 0.5, green 1, together 0.75; each counts 200 pixels of its own and 200 of these
    assert white.log2().tolist() == pytest.approx([0.625, 0.875, 0.75], abs=1e-5)


def test_a_task_of_the_usual_size_is_fitted_at_once():
    support = Shots(*(torch.rand(2, 3, 96, 96, generator=seeded(k)) for k in range(2)))
    start = time.perf_counter()
    for _ in range(3):
        ResponseFit().fit(support)
    assert (time.perf_counter() - start) / 3 < 0.3  # takes 0.01 s; the margin is for a busy machine


@pytest.mark.parametrize(
    "parameters", [{"smoothing": 0.0}, {"floor": 0.0}, {"highlight_cap": 0.5}, {"pooled_px": -1.0}]
)
def test_bad_parameters_are_refused(parameters):
    with pytest.raises(ValueError, match="smoothing > 0, floor > 0, highlight_cap >= 1 and pooled_px >= 0"):
        ResponseFit(**parameters)
