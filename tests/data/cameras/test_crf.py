import pytest
import torch

from ldr2hdr.data.cameras.crf import ExtendedSigmoidCurve, GammaCurve, SigmoidCurve, SplineCurve, SrgbCurve
from ldr2hdr.data.cameras.crf_families import (
    ExtendedSigmoidFamily,
    GammaFamily,
    SigmoidFamily,
    SplineFamily,
    SrgbFamily,
)
from ldr2hdr.data.cameras.dorf import DorfFamily, TableCurve

GREY = (1.0, 1.0, 1.0)
FAMILIES = {
    "gamma": GammaFamily({"seen": [1.8, 2.7], "unseen": [[1.1, 1.7], [2.8, 4.0]]}, channel_spread=0.05),
    "srgb": SrgbFamily(
        {"seen": [0.03, 0.1], "unseen": [[0.01, 0.02], [0.11, 0.2]]},
        {"seen": [2.0, 2.7], "unseen": [[1.3, 1.9], [2.8, 3.5]]},
        channel_spread=0.05,
    ),
    "sigmoid": SigmoidFamily(
        {"law": "normal", "mean": 0.9, "std": 0.1, "clip": [0.2, 2.5]},
        {"law": "normal", "mean": 0.6, "std": 0.1, "clip": [0.0, 5.0]},
        channel_spread=0.05,
    ),
    "extended_sigmoid": ExtendedSigmoidFamily(
        {"seen": [0.5, 0.8], "unseen": [[0.4, 0.45], [0.9, 1.5]]},
        {"seen": [0.2, 0.6], "unseen": [[0.1, 0.15], [0.7, 1.5]]},
        toe={"seen": [1.0, 1.5], "unseen": [[0.7, 0.9], [1.6, 2.5]]},
        channel_spread=0.05,
    ),
    "spline": SplineFamily(
        {"seen": [1.8, 2.6], "unseen": [[1.2, 1.7], [2.7, 3.4]]},
        {"seen": [0.1, 0.4], "unseen": [[0.5, 1.0]]},
        channel_spread=0.05,
    ),
    "dorf": DorfFamily({"seen": [0.0, 0.9], "unseen": [[0.92, 0.99]]}, channel_spread=0.05),
}


def draw_curves(name):
    generator = torch.Generator().manual_seed(7)
    return [FAMILIES[name].sample(generator, ranges=ranges) for ranges in ("seen", "unseen") for _ in range(20)]


def ramp(low, high, count):
    return torch.linspace(low, high, count, dtype=torch.float64).expand(3, 1, count)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_curve_is_strictly_monotone_between_its_fixed_ends(name):
    for curve in draw_curves(name):
        ldr = curve(ramp(0, 1, 4097))
        assert bool((ldr.diff(dim=-1) > 0).all())
        torch.testing.assert_close(ldr[..., 0], torch.zeros_like(ldr[..., 0]), rtol=0, atol=1e-12)
        torch.testing.assert_close(ldr[..., -1], torch.ones_like(ldr[..., -1]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_curve_inverts_in_both_directions(name):
    samples = ramp(0, 1, 4097)
    for curve in draw_curves(name):
        torch.testing.assert_close(curve.inverse(curve(samples)), samples, rtol=0, atol=1e-6)
        torch.testing.assert_close(curve(curve.inverse(samples)), samples, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_of_curves_and_inverses_equal_finite_differences(name):
    curve = draw_curves(name)[0]
    samples = ramp(0.013, 0.987, 9).clone().requires_grad_()
    assert torch.autograd.gradcheck(curve, samples)
    assert torch.autograd.gradcheck(curve.inverse, samples)


@pytest.mark.parametrize(
    ("curve", "exposure", "ldr"),
    [
        (GammaCurve((2.0, 2.0, 2.0)), 0.25, 0.5),
        # IEC 61966-2-1 by hand: 1.055 * 0.5**(1/2.4) - 0.055, and a toe of the exact slope 12.9232
        (SrgbCurve(), 0.5, 0.7353569830524495),
        (SrgbCurve(), 0.001, 0.0129232),
        # ITU-R BT.709 by hand: 1.099 * 0.5**0.45 - 0.099
        (SrgbCurve((0.099,) * 3, (1 / 0.45,) * 3), 0.5, 0.7055150),
        # (1 + s) H / (H + s) with s = 0.6, H = 0.4
        (SigmoidCurve(GREY, (0.6,) * 3), 0.4, 0.64),
        # the same to the power 2
        (ExtendedSigmoidCurve(GREY, (0.6,) * 3, (2.0,) * 3), 0.4, 0.4096),
    ],
)
def test_curves_equal_hand_computed_values(curve, exposure, ldr):
    assert curve(torch.full((3, 1, 1), exposure, dtype=torch.float64))[0].item() == pytest.approx(ldr, abs=1e-6)


def test_inverse_sigmoid_equals_the_published_inverse_at_the_means():
    ldr = ramp(0, 1, 101)
    published = (0.6 * ldr / (1.6 - ldr)) ** (1 / 0.9)  # HDRCNN's inverse of its mean curve
    torch.testing.assert_close(SigmoidCurve((0.9,) * 3, (0.6,) * 3).inverse(ldr), published)


def test_spline_runs_through_its_knots_and_is_straight_where_heights_are_equal():
    bent = SplineCurve(GREY, ((0.1, 0.2, 0.3, 0.4),) * 3)
    torch.testing.assert_close(bent(ramp(0, 1, 5))[0, 0], torch.tensor([0, 0.1, 0.3, 0.6, 1], dtype=torch.float64))
    straight = SplineCurve(GREY, ((0.25,) * 4,) * 3)
    torch.testing.assert_close(straight(ramp(0, 1, 33)), ramp(0, 1, 33))


def test_spline_has_no_corner():
    curve = SplineCurve(GREY, ((0.1, 0.2, 0.3, 0.4),) * 3)
    step = 1e-7
    for knot in (0.25, 0.5, 0.75):
        before, at, after = curve(ramp(knot - step, knot + step, 3))[0, 0].tolist()
        assert (at - before) / step == pytest.approx((after - at) / step, rel=1e-4)


def test_channels_differ_within_the_spread_and_stay_in_the_range():
    family = GammaFamily({"seen": [2.0, 2.2], "unseen": [[2.5, 2.6]]}, channel_spread=0.2)
    exponents = [family.sample(torch.Generator().manual_seed(i), ranges="seen").exponent for i in range(30)]
    assert all(2.0 <= value <= 2.2 for exponent in exponents for value in exponent)
    assert any(len(set(exponent)) == 3 for exponent in exponents)


def test_bend_is_the_root_mean_square_of_the_log_heights():
    family = SplineFamily({"seen": [2.2, 2.2], "unseen": [[3.0, 3.0]]}, {"seen": [0.3, 0.3], "unseen": [[1, 1]]})
    heights = torch.tensor(family.sample(torch.Generator().manual_seed(0), ranges="seen").heights).log()
    deviation = (heights - heights.mean(dim=1, keepdim=True)).square().mean(dim=1).sqrt()
    torch.testing.assert_close(deviation, torch.full((3,), 0.3), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GammaCurve((2.2, 0.0, 2.2)), "positive exponent"),
        (lambda: SrgbCurve(exponent=(1.0, 2.4, 2.4)), "positive exponent - 1"),
        (lambda: SigmoidCurve(GREY, (-0.1, 0.6, 0.6)), "positive shoulder"),
        (lambda: SplineCurve(GREY, ((0.5, 0.5), (0.5, 0.5), (0.5, 0.4))), "sum to 1"),
        (lambda: GammaFamily({"seen": [1.8, 2.6]}), "gamma.exponent needs unseen"),
        (lambda: TableCurve(((0.0, 0.5, 1.0), (0.0, 0.0, 1.0), (0.0, 0.5, 1.0))), "rise from 0 to 1"),
        (lambda: TableCurve(((0.0, 0.5, 0.9),) * 3), "rise from 0 to 1"),
        (lambda: DorfFamily({"seen": [0.0, 0.9], "unseen": [[0.95, 1.0]]}), r"dorf.share must be within \[0, 1\)"),
        (
            lambda: SplineFamily(
                {"seen": [2, 2], "unseen": [[3, 3]]}, {"seen": [0, 1], "unseen": [[2, 3]]}, num_bins=3
            ),
            "spline.num_bins",
        ),
    ],
)
def test_bad_curves_name_the_parameter(make, message):
    with pytest.raises(ValueError, match=message):
        make()
