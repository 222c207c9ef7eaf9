import math

import numpy as np
import pytest
import torch

from ldr2hdr.metrics.bootstrap import Interval, bootstrap_difference, bootstrap_mean, is_undecided, scene_means


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def names(count):
    return [f"place {index}" for index in range(count)]


def test_places_are_averaged_first_and_undefined_values_left_out():
    values = torch.tensor([1.0, math.nan, 3.0, 10.0, math.nan])
    assert scene_means(values, ["a", "a", "a", "b", "c"]).tolist() == [2.0, 10.0]
    assert bootstrap_mean(values, ["a", "a", "a", "b", "c"], generator=seeded())[::3] == (6.0, 2)


def test_interval_agrees_with_an_independent_bootstrap():
    values = torch.randn(23, generator=seeded(1), dtype=torch.float64).exp()
    interval = bootstrap_mean(values, names(23), generator=seeded(), num_resamples=20_000)
    resamples = np.random.default_rng(5).choice(values.numpy(), size=(20_000, 23)).mean(axis=1)
    low, high = np.percentile(resamples, [2.5, 97.5])
    spread = resamples.std()
    assert interval.mean == pytest.approx(values.mean().item(), rel=1e-12)
    # the error of a quantile of 20000 draws is about 2 % of their spread
    assert interval.low == pytest.approx(low, abs=0.08 * spread)
    assert interval.high == pytest.approx(high, abs=0.08 * spread)


def test_interval_covers_the_truth_as_often_as_it_says():
    data = torch.randn(300, 40, generator=seeded(2))
    hits = 0
    for values in data:
        interval = bootstrap_mean(values, names(40), generator=seeded(), num_resamples=400)
        hits += interval.low <= 0 <= interval.high
    # 95 % of 300 is 285; the binomial spread is 3.8, and percentile intervals of 40 run 1 % narrow
    assert 270 <= hits <= 296


def test_equal_values_have_an_interval_of_no_width():
    interval = bootstrap_mean(torch.full((9,), 0.5), names(9), generator=seeded())
    assert interval == Interval(0.5, 0.5, 0.5, 9)


def test_the_same_seed_is_the_same_interval():
    values = torch.rand(8, generator=seeded(3))
    first, second = (bootstrap_mean(values, names(8), generator=seeded(7)) for _ in range(2))
    assert first == second


def test_what_is_common_to_both_cancels():
    values, baseline, scene = torch.randn(3, 12, generator=seeded(4), dtype=torch.float64)
    plain = bootstrap_difference(values, baseline, names(12), generator=seeded())
    hard = bootstrap_difference(values + 50 * scene, baseline + 50 * scene, names(12), generator=seeded())
    assert plain == pytest.approx(hard, abs=1e-9)
    swapped = bootstrap_difference(baseline, values, names(12), generator=seeded())
    assert (swapped.mean, swapped.low) == pytest.approx((-plain.mean, -plain.high), abs=1e-9)


def test_a_difference_needs_both_values():
    values, baseline = torch.tensor([1.0, math.nan, 5.0]), torch.tensor([0.0, 1.0, math.nan])
    assert bootstrap_difference(values, baseline, names(3), generator=seeded())[::3] == (1.0, 1)


def test_too_few_scenes_have_a_mean_but_no_interval():
    one = bootstrap_mean(torch.tensor([2.0]), ["a"], generator=seeded())
    assert one.mean == 2
    assert math.isnan(one.low)
    assert is_undecided(one)
    none = bootstrap_mean(torch.tensor([math.nan]), ["a"], generator=seeded())
    assert none.num_scenes == 0
    assert math.isnan(none.mean)
    assert is_undecided(none)


@pytest.mark.parametrize(
    ("interval", "smallest", "expected"),
    [
        (Interval(1.0, 0.5, 1.5, 9), 0.0, False),
        (Interval(-1.0, -1.5, -0.5, 9), 0.0, False),
        (Interval(1.0, -0.1, 2.0, 9), 0.0, True),
        (Interval(1.0, 0.0, 2.0, 9), 0.0, True),
        (Interval(-3.0, -3.5, -2.5, 9), 3.5, True),
        (Interval(-4.0, -4.5, -3.5, 9), 3.5, False),
    ],
)
def test_undecided_is_zero_inside_or_too_small_to_matter(interval, smallest, expected):
    assert is_undecided(interval, smallest=smallest) is expected


def test_bad_input_is_refused():
    values = torch.ones(2)
    with pytest.raises(ValueError, match="got 1 places for 2 values"):
        bootstrap_mean(values, ["a"], generator=seeded())
    with pytest.raises(ValueError, match="finite or NaN, got 1 infinite"):
        bootstrap_mean(torch.tensor([1.0, math.inf]), ["a", "b"], generator=seeded())
    with pytest.raises(ValueError, match="num_resamples=0"):
        bootstrap_mean(values, ["a", "b"], generator=seeded(), num_resamples=0)
    with pytest.raises(ValueError, match=r"confidence=1\.0"):
        bootstrap_mean(values, ["a", "b"], generator=seeded(), confidence=1.0)
