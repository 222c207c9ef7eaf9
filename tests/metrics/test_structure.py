"""SSIM agrees with MATLAB's, and away from the border with torchmetrics."""

import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from ldr2hdr.metrics.structure import pu21_ssim, ssim_map
from ldr2hdr.radiometry import encode_pu21, luminance

# MATLAB's documented algorithm run in Octave: mean of the whole map, and without five pixels of border
REFERENCE = {
    "gain": (0.97649152, 0.97670442),
    "gamma": (0.80074994, 0.81085466),
    "clip": (0.94956841, 0.95216399),
    "rgb": (0.99974522, 0.99974765),
    "ripple": (0.97360704, 0.97426343),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_ssim_agrees_with_matlab(reference, distorted, name):
    whole, inside = REFERENCE[name]
    assert pu21_ssim(distorted[name], reference).item() == pytest.approx(whole, abs=1e-8)
    assert pu21_ssim(distorted[name].float(), reference.float()).item() == pytest.approx(whole, abs=2e-6)
    codes = [encode_pu21(luminance(picture)) for picture in (distorted[name], reference)]
    assert ssim_map(*codes)[5:-5, 5:-5].mean().item() == pytest.approx(inside, abs=1e-8)


def test_map_agrees_with_torchmetrics_away_from_the_border(reference, distorted):
    codes = [encode_pu21(luminance(picture)) for picture in (distorted["ripple"], reference)]
    _, full = structural_similarity_index_measure(
        *(code[None, None] for code in codes), data_range=256.0, return_full_image=True
    )
    inside = (slice(5, -5), slice(5, -5))
    torch.testing.assert_close(ssim_map(*codes)[inside], full[0, 0][inside], atol=1e-6, rtol=0)


def test_equal_pictures_are_one_and_batches_are_single_pictures(reference, distorted):
    preds = torch.stack([reference, *distorted.values()])
    values = pu21_ssim(preds, reference.expand_as(preds))
    assert values[0] == 1
    torch.testing.assert_close(values, torch.stack([pu21_ssim(pred, reference) for pred in preds]))
