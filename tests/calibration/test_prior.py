"""What is known of real cameras' responses before any of their pictures is seen."""

import math

import numpy as np
import pytest
import torch

from ldr2hdr.calibration.prior import PRIOR_FILE, hat_basis, read_curve_prior, read_dorf, read_prior, warp


def write(path, gammas, *, samples=1024):
    irradiance = np.tile(np.linspace(0, 1, samples), (len(gammas), 1))
    np.savez(path, irradiance=irradiance, brightness=irradiance ** (1 / np.array(gammas)[:, None]))
    return path


def test_the_prior_is_small_and_whole():
    prior = read_prior()
    assert PRIOR_FILE.stat().st_size < 100_000
    assert prior.mean[250] == 0
    assert (prior.mean.diff() > 0).all()
    torch.testing.assert_close(
        prior.components @ prior.components.T, torch.eye(8, dtype=torch.float64), rtol=0, atol=1e-6
    )
    assert (prior.deviations.diff() < 0).all()
    assert (prior.residual[16:251] / math.log(2)).max() < 0.06


def test_curves_are_read_once_each_and_inverted(tmp_path):
    gammas = [*np.linspace(1.2, 3.0, 60), 3.0]
    curves = read_dorf(write(tmp_path / "a.npz", gammas))
    assert curves.log_exposure.shape == (60, 256)
    assert curves.is_held_out.sum() == 40
    expected = 2.0 * np.log(np.arange(16, 256) / 250)
    row = np.abs(np.linspace(1.2, 3.0, 60) - 2.0).argmin()
    np.testing.assert_allclose(curves.log_exposure[row, 16:], expected * np.linspace(1.2, 3.0, 60)[row] / 2, atol=0.01)


def test_which_curves_are_held_out_does_not_depend_on_the_others(tmp_path):
    gammas = np.linspace(1.2, 3.0, 60)
    whole = read_dorf(write(tmp_path / "a.npz", gammas)).is_held_out
    turned = read_dorf(write(tmp_path / "b.npz", gammas[::-1])).is_held_out
    assert (whole == turned[::-1]).all()


def test_light_above_saturation_is_not_told(tmp_path):
    """White is where brightness reaches its top, not the end of the table."""
    irradiance = np.tile(np.linspace(0, 1, 1001), (41, 1))
    brightness = (irradiance / np.linspace(0.5, 0.9, 41)[:, None]).clip(max=1)
    np.savez(tmp_path / "a.npz", irradiance=irradiance, brightness=brightness)
    curves = read_dorf(tmp_path / "a.npz").log_exposure
    np.testing.assert_allclose(curves[:, 255], math.log(255 / 250), atol=2e-3)


def test_a_floor_keeps_black_finite(tmp_path):
    curves = read_dorf(write(tmp_path / "a.npz", np.linspace(1.2, 30.0, 60)))
    assert np.isfinite(curves.log_exposure).all()


@pytest.mark.parametrize("arrays", [{"irradiance": np.ones((50, 4))}, {"irradiance": [["a"]], "brightness": [["b"]]}])
def test_other_files_are_refused(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match="arrays irradiance and brightness"):
        read_dorf(tmp_path / "a.npz")


def test_the_chart_centred_prior_is_a_law_of_rising_curves():
    prior = read_curve_prior()
    assert (prior.knots.diff() > 0).all()
    assert prior.knots[0] == 0
    assert prior.knots[-1] == 255
    assert 250 in prior.knots
    assert (prior.mean.diff() > 0).all()
    assert torch.linalg.eigvalsh(prior.joint().covariance).min() > -1e-9
    at_white = prior.knots == 250
    assert prior.mean[at_white] == 0
    assert prior.covariance[at_white].abs().max() < 1e-6


def test_a_channel_has_the_common_curve_and_a_deviation_of_its_own():
    prior = read_curve_prior()
    joint = prior.joint()
    num = len(prior.knots)
    torch.testing.assert_close(joint.covariance[:num, num : 2 * num], prior.covariance)
    torch.testing.assert_close(joint.covariance[:num, :num], prior.covariance * (1 + prior.tau**2))


def test_the_basis_is_linear_in_the_warped_level():
    knots = torch.tensor([0, 10, 128, 250, 255])
    torch.testing.assert_close(hat_basis(knots)[knots], torch.eye(5, dtype=torch.float64))
    levels = torch.tensor([3.5, 200.25, 254.0], dtype=torch.float64)
    basis = hat_basis(knots, levels)
    torch.testing.assert_close(basis.sum(1), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(basis @ warp(knots.double()), warp(levels))
