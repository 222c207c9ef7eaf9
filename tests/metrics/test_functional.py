import math

import pytest
import torch

from ldr2hdr.metrics.colour import delta_e_itp
from ldr2hdr.metrics.functional import PSNR_CAP_DB, Display, log2_rmse, pu21_psnr, pu21_psnr_y, region_share
from ldr2hdr.metrics.mu_law import psnr_clipped, psnr_linear, psnr_mu, psnr_mu_ntire2021
from ldr2hdr.radiometry import luminance

# PU21-PSNR and PU21-PSNR-Y by the official encoder run in Octave
REFERENCE_DB = {
    "gain": (24.153283, 24.078286),
    "gamma": (16.376653, 16.480986),
    "clip": (20.447900, 20.452595),
    "rgb": (30.665469, 42.921161),
    "ripple": (37.963814, 37.893050),
}
PSNRS = [pu21_psnr, pu21_psnr_y, psnr_mu, psnr_mu_ntire2021, psnr_linear, psnr_clipped]


def test_fixture_is_the_published_one(reference):
    assert reference.min().item() == pytest.approx(0.032214919, abs=1e-9)
    assert reference.max().item() == pytest.approx(3022.1644043, abs=1e-7)
    assert reference.mean().item() == pytest.approx(76.46920441, abs=1e-8)


@pytest.mark.parametrize("name", REFERENCE_DB)
def test_psnr_agrees_with_the_official_code(reference, distorted, name):
    colour, grey = REFERENCE_DB[name]
    assert pu21_psnr(distorted[name], reference).item() == pytest.approx(colour, abs=1e-6)
    assert pu21_psnr_y(distorted[name], reference).item() == pytest.approx(grey, abs=1e-6)


@pytest.mark.parametrize("metric", [*PSNRS, log2_rmse, delta_e_itp])
def test_batch_equals_single_pictures_and_masks_equal_crops(reference, distorted, metric):
    preds = torch.stack(list(distorted.values()))
    targets = reference.expand_as(preds)
    torch.testing.assert_close(metric(preds, targets), torch.stack([metric(p, reference) for p in preds]))
    if metric is psnr_mu_ntire2021:
        return  # its white is of the whole reference, not of the region
    # of the others some take the maximum of the whole reference, which the crop therefore has to contain
    mask = torch.zeros(96, 128, dtype=torch.bool)
    mask[10:60, 20:120] = True
    inside = (..., slice(10, 60), slice(20, 120))
    masked = metric(preds, targets, mask.expand(len(preds), -1, -1))
    torch.testing.assert_close(masked, metric(preds[inside], targets[inside]))


@pytest.mark.parametrize("metric", [*PSNRS, log2_rmse, delta_e_itp])
def test_an_empty_region_is_nan_and_what_lies_outside_does_not_matter(reference, distorted, metric):
    nothing = torch.zeros(96, 128, dtype=torch.bool)
    assert metric(distorted["gain"], reference, nothing).isnan()
    mask = ~nothing
    mask[0] = False
    spoilt = distorted["gain"].clone()
    spoilt[:, 0] = math.nan
    assert metric(spoilt, reference, mask).isfinite()


@pytest.mark.parametrize("metric", PSNRS)
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


def test_share_of_a_region_counts_pixels():
    picture, mask = torch.rand(2, 3, 2, 4), torch.zeros(2, 2, 4, dtype=torch.bool)
    mask[1, 0] = True
    assert region_share(picture, picture, mask).tolist() == [0, 0.5]
    assert region_share(picture, picture).tolist() == [1, 1]


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
