"""The response correction agrees with the published code, and does what a least-squares fit promises."""

import pytest
import torch

from ldr2hdr.metrics.crf_correction import correct_crf
from ldr2hdr.metrics.functional import pu21_psnr, pu21_psnr_y
from ldr2hdr.metrics.saliency import pu21_vsi
from ldr2hdr.metrics.structure import pu21_ssim
from ldr2hdr.radiometry import decode_pq, encode_pq, luminance

# crf_correction.m, m_vsi.m and the PU21 encoder of their authors run in Octave: PSNR, PSNR-Y, VSI and SSIM after
# correction
CORRECTED = {
    "gain": (69.285994, 69.268983, 0.99999836, 0.99999248),
    "gamma": (49.062806, 58.714310, 0.99991716, 0.99992557),
    "clip": (22.412292, 22.507685, 0.92502693, 0.94499210),
    "rgb": (48.795441, 60.216857, 0.99998139, 0.99999314),
    "ripple": (37.969771, 37.899140, 0.99913081, 0.97360567),
}
LUMINANCE_WEIGHTS = {
    "gain": (0.07529217, -0.16740735, 1.13176357, 0.00252848),
    "gamma": (-0.56119998, 1.11347812, 0.50734596, -0.02010804),
    "clip": (3.40136661, -2.70915004, 1.59623760, -0.03386086),
}


def pq_luminance(picture):
    return encode_pq(luminance(picture.double()), "rounded")


@pytest.mark.parametrize("name", CORRECTED)
def test_scores_after_correction_are_those_of_the_official_code(reference, distorted, name):
    picture = correct_crf(distorted[name], reference).picture
    psnr, psnr_y, vsi, ssim = CORRECTED[name]
    assert pu21_psnr(picture, reference).item() == pytest.approx(psnr, abs=1e-6)
    assert pu21_psnr_y(picture, reference).item() == pytest.approx(psnr_y, abs=1e-6)
    assert pu21_vsi(picture, reference).item() == pytest.approx(vsi, abs=5e-4)
    assert pu21_ssim(picture, reference).item() == pytest.approx(ssim, abs=1e-8)


@pytest.mark.parametrize("name", LUMINANCE_WEIGHTS)
def test_the_cubic_is_that_of_the_official_code(reference, distorted, name):
    weights = correct_crf(distorted[name], reference).luminance_weights
    torch.testing.assert_close(weights, weights.new_tensor(LUMINANCE_WEIGHTS[name]), atol=1e-8, rtol=0)


def test_a_lossless_gamma_scores_below_lost_highlights_until_the_response_is_corrected(reference, distorted):
    """Nothing is lost in "gamma" and every highlight in "clip": the reason for the correction."""
    gamma, clip = distorted["gamma"], distorted["clip"]
    assert pu21_psnr(gamma, reference) < pu21_psnr(clip, reference) - 4
    corrected = {name: correct_crf(distorted[name], reference).picture for name in ("gamma", "clip")}
    assert pu21_psnr(corrected["gamma"], reference) > pu21_psnr(corrected["clip"], reference) + 26
    assert pu21_psnr(corrected["clip"], reference) < pu21_psnr(clip, reference) + 2


def test_nothing_to_correct_is_left_as_it_is(reference):
    correction = correct_crf(reference, reference)
    torch.testing.assert_close(correction.picture, reference, rtol=3e-12, atol=0)
    torch.testing.assert_close(correction.luminance_weights, torch.tensor([0, 0, 1, 0]).double(), atol=1e-11, rtol=0)


@pytest.mark.parametrize("name", CORRECTED)
def test_no_correction_is_farther_from_the_reference_than_none(reference, distorted, name):
    wanted = pq_luminance(reference)
    before, after = (
        (pq_luminance(picture) - wanted).square().mean()
        for picture in (distorted[name], correct_crf(distorted[name], reference).picture)
    )
    assert after <= before


def test_batch_equals_single_pictures_and_single_precision_is_enough(reference, distorted):
    preds = torch.stack(list(distorted.values()))
    batch = correct_crf(preds, reference.expand_as(preds))
    singles = [correct_crf(picture, reference) for picture in preds]
    for column, parts in zip(batch, zip(*singles, strict=True), strict=True):
        torch.testing.assert_close(column, torch.stack(parts), rtol=1e-8, atol=1e-9)
    targets = reference.expand_as(preds)
    rounded = correct_crf(preds.float(), targets.float()).picture
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(pu21_psnr(rounded, targets.float()), pu21_psnr(batch.picture, targets).float())


def test_a_swap_of_dark_and_bright_is_told(reference, distorted):
    assert all(correct_crf(picture, reference).is_monotone for picture in distorted.values())
    assert not correct_crf(10 / reference, reference).is_monotone
    # a cubic that falls only between its ends
    code = torch.linspace(0.3, 0.7, 3 * 400, dtype=torch.float64).view(3, 20, 20)
    wave = 0.5 + 20 * (code - 0.5) ** 3 - 0.4 * (code - 0.5)
    grey = [decode_pq(values, "rounded")[:1].expand(3, -1, -1) for values in (code, wave)]
    assert not correct_crf(grey[0].flip(1), grey[1].flip(1)).is_monotone


@pytest.mark.parametrize("level", [0.0, 5.0])
def test_a_picture_without_contrast_becomes_the_mean_tone(reference, level):
    correction = correct_crf(torch.full_like(reference, level), reference)
    expected = pq_luminance(reference).mean()
    torch.testing.assert_close(pq_luminance(correction.picture), expected.expand(96, 128), rtol=1e-6, atol=0)


def test_light_beyond_all_displays_stays_finite(reference):
    wild = reference * torch.logspace(-30, 30, 128, dtype=torch.float64)
    assert correct_crf(wild.float(), reference.float()).picture.isfinite().all()
