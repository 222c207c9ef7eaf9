import math

import pytest
import torch

from ldr2hdr.metrics.functional import (
    PSNR_CAP_DB,
    Display,
    log2_rmse,
    psnr_mu,
    pu21_psnr,
    pu21_psnr_y,
)
from ldr2hdr.radiometry import luminance

# PU21-PSNR and PU21-PSNR-Y by the official encoder run in Octave, and PSNR-mu of H / max(reference)
REFERENCE_DB = {
    "gain": (24.153283, 24.078286, 29.7528),
    "gamma": (16.376653, 16.480986, 20.5962),
    "clip": (20.447900, 20.452595, 28.2275),
    "rgb": (30.665469, 42.921161, 36.2760),
    "ripple": (37.963814, 37.893050, 43.6365),
}


@pytest.fixture(scope="module")
def reference():
    y, x = torch.meshgrid(
        torch.linspace(0, 1, 96, dtype=torch.float64),
        torch.linspace(0, 1, 128, dtype=torch.float64),
        indexing="ij",
    )
    base = 10 ** (-1 + 3.5 * x) * (1 + 0.5 * torch.sin(2 * math.pi * 7 * y))
    sun = 3000 * torch.exp(-((x - 0.7) ** 2 + (y - 0.3) ** 2) / 0.005)
    return (torch.stack([base, base * (0.6 + 0.4 * y), base * (0.9 - 0.5 * x)]) + sun).clamp(0.005, 1e4)


@pytest.fixture(scope="module")
def distorted(reference):
    j, i = torch.meshgrid(
        torch.arange(1, 97, dtype=torch.float64), torch.arange(1, 129, dtype=torch.float64), indexing="ij"
    )
    return {
        "gain": 0.7 * reference,
        "gamma": 1000 * (reference / 1000) ** 0.8,
        "clip": reference.clamp_max(200),
        "rgb": reference * torch.tensor([1.2, 1.0, 0.8], dtype=torch.float64).view(3, 1, 1),
        "ripple": reference * (1 + 0.1 * torch.sin(12.9898 * i + 78.233 * j)),
    }


def test_fixture_is_the_published_one(reference):
    assert reference.min().item() == pytest.approx(0.032214919, abs=1e-9)
    assert reference.max().item() == pytest.approx(3022.1644043, abs=1e-7)
    assert reference.mean().item() == pytest.approx(76.46920441, abs=1e-8)


@pytest.mark.parametrize("name", REFERENCE_DB)
def test_psnr_agrees_with_the_official_code(reference, distorted, name):
    colour, grey, mu = REFERENCE_DB[name]
    assert pu21_psnr(distorted[name], reference).item() == pytest.approx(colour, abs=1e-6)
    assert pu21_psnr_y(distorted[name], reference).item() == pytest.approx(grey, abs=1e-6)
    assert psnr_mu(distorted[name], reference).item() == pytest.approx(mu, abs=1e-4)


def test_a_tone_curve_costs_more_than_losing_all_highlights(reference, distorted):
    # nothing is lost in "gamma" and every highlight in "clip": known, and why CRF correction exists
    assert pu21_psnr(distorted["gamma"], reference) < pu21_psnr(distorted["clip"], reference) - 4


@pytest.mark.parametrize("metric", [pu21_psnr, pu21_psnr_y, psnr_mu, log2_rmse])
def test_batch_equals_single_pictures_and_masks_equal_crops(reference, distorted, metric):
    preds = torch.stack(list(distorted.values()))
    targets = reference.expand_as(preds)
    torch.testing.assert_close(metric(preds, targets), torch.stack([metric(p, reference) for p in preds]))
    # psnr_mu takes its white from the whole reference, which the crop therefore has to contain
    mask = torch.zeros(96, 128, dtype=torch.bool)
    mask[10:60, 20:120] = True
    inside = (..., slice(10, 60), slice(20, 120))
    masked = metric(preds, targets, mask.expand(len(preds), -1, -1))
    torch.testing.assert_close(masked, metric(preds[inside], targets[inside]))


@pytest.mark.parametrize("metric", [pu21_psnr, pu21_psnr_y, psnr_mu, log2_rmse])
def test_an_empty_region_is_nan_and_what_lies_outside_does_not_matter(reference, distorted, metric):
    nothing = torch.zeros(96, 128, dtype=torch.bool)
    assert metric(distorted["gain"], reference, nothing).isnan()
    mask = ~nothing
    mask[0] = False
    spoilt = distorted["gain"].clone()
    spoilt[:, 0] = math.nan
    assert metric(spoilt, reference, mask).isfinite()


@pytest.mark.parametrize("metric", [pu21_psnr, pu21_psnr_y, psnr_mu])
def test_equal_pictures_have_the_cap_not_infinity(reference, metric):
    assert metric(reference, reference).item() == PSNR_CAP_DB


def test_log2_rmse_counts_stops_and_floors_black():
    target = torch.full((3, 2, 2), 0.25)
    assert log2_rmse(target * 4, target).item() == pytest.approx(2)
    assert log2_rmse(target * torch.tensor([2.0, 1.0, 0.5]).view(3, 1, 1), target).item() == pytest.approx(
        math.sqrt(2 / 3)
    )
    assert log2_rmse(torch.zeros(3, 2, 2), torch.full((3, 2, 2), 2.0**-12)).item() == 0
    assert log2_rmse(torch.zeros(3, 2, 2), torch.ones(3, 2, 2)).item() == pytest.approx(10)


def test_display_scales_by_the_reference_alone_and_clips_both():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 31, 33, generator=generator).exp()
    target[:, :, 0, 0] = 1e5
    pred = target * 3
    pred[:, :, 1, 1] = 0
    shown = Display(anchor_cd_m2=20.0, peak_cd_m2=1000.0).present(pred, target)
    medians = luminance(shown.target).flatten(1).median(dim=1).values
    torch.testing.assert_close(medians, torch.full((2,), 20.0))
    torch.testing.assert_close(shown.pred[:, :, 5:], 3 * shown.target[:, :, 5:])  # not scaled by itself
    assert shown.target.max() == 1000
    assert shown.pred.max() == 1000
    assert shown.pred.min() == pytest.approx(0.005)


def test_the_unit_of_both_pictures_does_not_matter_on_a_display():
    generator = torch.Generator().manual_seed(0)
    pred, target = torch.rand(2, 3, 8, 9, generator=generator, dtype=torch.float64).add(0.1)
    display = Display()
    for factor in (0.25, 64.0):
        torch.testing.assert_close(
            pu21_psnr(*display.present(pred * factor, target * factor)),
            pu21_psnr(*display.present(pred, target)),
        )


def test_a_black_reference_is_shown_black():
    shown = Display().present(torch.full((3, 2, 2), 1e-3), torch.zeros(3, 2, 2))
    assert shown.target.unique().tolist() == pytest.approx([0.005])
    assert shown.pred.unique().tolist() == pytest.approx([20 * 1024 * 1e-3])


@pytest.mark.parametrize("value", [math.nan, math.inf, -1e-6])
def test_pictures_that_hide_errors_are_refused(value):
    good, bad = torch.ones(3, 2, 2), torch.ones(3, 2, 2)
    bad[1, 1, 1] = value
    with pytest.raises(ValueError, match="pred must be finite and non-negative, got 1 of 12"):
        Display().present(bad, good)
    with pytest.raises(ValueError, match="target must be finite and non-negative, got 1 of 12"):
        Display().present(good, bad)


@pytest.mark.parametrize(
    "parameters",
    [{"anchor_cd_m2": 0.001}, {"anchor_cd_m2": 2000.0}, {"peak_cd_m2": 20_000.0}, {"anchor_cd_m2": math.nan}],
)
def test_impossible_displays_are_refused(parameters):
    with pytest.raises(ValueError, match="anchor_cd_m2 <= peak_cd_m2 <= 10000"):
        Display(**parameters)
    with pytest.raises(ValueError, match=r"median_floor must be positive, got 0\.0"):
        Display(median_floor=0.0)
