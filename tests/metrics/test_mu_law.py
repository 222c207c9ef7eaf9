"""PSNRs of other papers, on the picture of which their figures are known."""

import numpy as np
import pytest
import torch

from ldr2hdr.metrics.functional import PSNR_CAP_DB
from ldr2hdr.metrics.mu_law import psnr_clipped, psnr_linear, psnr_mu, psnr_mu_ntire2021

# PSNR-mu in units of the maximum, PSNR-L, and PSNR-mu of the NTIRE challenge
REFERENCE_DB = {
    "gain": (29.7528, 31.2515, 29.3345),
    "gamma": (20.5962, 35.7974, 19.5885),
    "clip": (28.2275, 22.1636, 29.4569),
    "rgb": (36.2760, 36.5384, 35.8699),
    "ripple": (43.6365, 43.8040, 43.2498),
}


@pytest.mark.parametrize("name", REFERENCE_DB)
def test_figures_are_the_known_ones(reference, distorted, name):
    found = [metric(distorted[name], reference).item() for metric in (psnr_mu, psnr_linear, psnr_mu_ntire2021)]
    assert found == pytest.approx(REFERENCE_DB[name], abs=6e-5)


def test_linear_and_compressed_light_rank_a_tone_curve_and_lost_highlights_oppositely(reference, distorted):
    gamma, clip = distorted["gamma"], distorted["clip"]
    assert psnr_mu(gamma, reference) < psnr_mu(clip, reference) - 7
    assert psnr_linear(gamma, reference) > psnr_linear(clip, reference) + 13


@pytest.mark.parametrize("shape", [(1, 1), (7, 11), (40, 31)])
def test_white_of_the_challenge_is_the_99th_percentile(generator, shape):
    target = torch.rand(3, *shape, generator=generator, dtype=torch.float64)
    white = np.percentile(target.numpy(), 99)
    black = torch.zeros_like(target)
    expected = torch.log1p(5000 * torch.tanh(target / white)) / np.log1p(5000)
    assert psnr_mu_ntire2021(black, target).item() == pytest.approx(-10 * np.log10(expected.square().mean().item()))


def test_clipped_exposure_does_not_see_highlights():
    target = torch.tensor([0.5, 3.0, 100.0]).view(3, 1, 1)
    assert psnr_clipped(target.clamp_max(1), target).item() == PSNR_CAP_DB
    assert psnr_clipped(target - 0.1, target).item() == pytest.approx(20 + 10 * np.log10(3), abs=1e-5)
