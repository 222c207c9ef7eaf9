"""Laws of the estimator that turns brackets into a camera's curve."""

import math

import pytest
import torch
from brackets import texture

from ldr2hdr.calibration.information import bracket_information, fit_rows, rows_information
from ldr2hdr.calibration.posterior import (
    SCENE_DEVIATION,
    CurveInformation,
    by_level,
    condition,
    of_camera,
    pool,
    posterior_mean,
)
from ldr2hdr.calibration.prior import CurvePrior, hat_basis, read_curve_prior
from ldr2hdr.calibration.rows import bracket_rows, count_joint_levels, disagreement, row_errors

EVS = torch.tensor([-2.0, 0.0, 2.0], dtype=torch.float64)


@pytest.fixture(scope="module")
def prior() -> CurvePrior:
    return read_curve_prior()


def draw(prior: CurvePrior, seed: int) -> torch.Tensor:
    """A curve of a camera ``(256, 3)`` by the prior."""
    generator = torch.Generator().manual_seed(seed)
    joint = prior.joint()
    noise = torch.randn(len(joint.mean), generator=generator, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(joint.covariance)
    theta = joint.mean + vectors @ (values.clamp_min(0).sqrt() * noise)
    ramp = 1e-4 * torch.arange(256, dtype=torch.float64)[:, None]
    risen = (hat_basis(prior.knots) @ theta.view(3, -1).T - ramp).cummax(dim=0).values + ramp
    return risen - risen[250]


def gamma_curve(exponent: float) -> torch.Tensor:
    level = torch.arange(256, dtype=torch.float64).clamp_min(0.25)
    return (exponent * torch.log(level / 250))[:, None].expand(-1, 3).contiguous()


def photograph(
    curve: torch.Tensor,
    evs: torch.Tensor,
    *,
    size: int = 192,
    seed: int = 0,
    gains: tuple[float, ...] = (1.0, 1.0, 1.0),
) -> torch.Tensor:
    """8-bit frames of a texture by a camera with this log inverse response, without noise."""
    scene = texture(size, seed) * torch.tensor(gains, dtype=torch.float64)[:, None, None]
    frames = []
    for ev in evs.tolist():
        light = (scene * 2.0**ev).log()
        channels = []
        for channel in range(3):
            table = curve[:, channel]
            # rounding to the nearest level: a level begins half way to the one below
            edges = (table[1:] + table[:-1]) / 2
            channels.append(torch.searchsorted(edges.contiguous(), light[channel].contiguous()))
        frames.append(torch.stack(channels))
    return torch.stack(frames).to(torch.uint8)


def test_a_support_that_says_nothing_returns_the_prior(prior: CurvePrior) -> None:
    black = torch.zeros(3, 3, 8, 8, dtype=torch.uint8)
    information = bracket_information(black, EVS, prior)
    assert not information.precision.any()
    found = by_level(condition(prior.joint(), information), prior.knots)
    expected = hat_basis(prior.knots) @ prior.mean
    torch.testing.assert_close(found.log_curve, expected[:, None].expand(-1, 3), rtol=0, atol=1e-12)
    variance = hat_basis(prior.knots) @ prior.covariance @ hat_basis(prior.knots).T * (1 + prior.tau**2)
    torch.testing.assert_close(found.deviation[:, 1], variance.diagonal().sqrt(), rtol=1e-6, atol=1e-9)


def test_one_frame_says_nothing(prior: CurvePrior) -> None:
    frames = photograph(gamma_curve(2.2), EVS[:1])
    assert not bracket_information(frames, EVS[:1], prior).precision.any()


def test_two_frames_that_agree_with_the_prior_leave_it(prior: CurvePrior) -> None:
    mean = (hat_basis(prior.knots) @ prior.mean)[:, None].expand(-1, 3).contiguous()
    found = posterior_mean(bracket_information(photograph(mean, EVS[:2]), EVS[:2], prior), prior)
    assert (found - mean)[16:].abs().max() < 0.02 * math.log(2)


def test_scaling_all_times_changes_nothing(prior: CurvePrior) -> None:
    frames = photograph(gamma_curve(1.8), EVS)
    first, second = (bracket_information(frames, evs, prior) for evs in (EVS, EVS + 5.25))
    torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)


def test_permuting_frames_changes_nothing(prior: CurvePrior) -> None:
    evs = torch.tensor([-3.0, -1.0, 0.5, 2.0], dtype=torch.float64)
    frames, order = photograph(gamma_curve(1.8), evs), [2, 0, 3, 1]
    first, second = (
        posterior_mean(bracket_information(*bracket, prior), prior)
        for bracket in ((frames, evs), (frames[order], evs[order]))
    )
    torch.testing.assert_close(first, second, rtol=0, atol=1e-8)


def test_grey_stays_grey(prior: CurvePrior) -> None:
    """Channels that show the same learn the same, and what one channel shows, the others follow but for tau."""
    grey = photograph(gamma_curve(1.6), EVS)[:, :1].repeat(1, 3, 1, 1)
    found = posterior_mean(bracket_information(grey, EVS, prior), prior)
    torch.testing.assert_close(found[:, :1].expand(-1, 3), found, rtol=0, atol=1e-9)
    grey[:, 1:] = 0
    alone = posterior_mean(bracket_information(grey, EVS, prior), prior)
    mean = hat_basis(prior.knots) @ prior.mean
    moved, followed = (alone[64, 0] - mean[64]).item(), (alone[64, 1] - mean[64]).item()
    assert abs(moved) > 0.2
    assert followed == pytest.approx(moved / (1 + prior.tau.item() ** 2), rel=0.02)


def test_white_balance_changes_nothing_in_the_curve(prior: CurvePrior) -> None:
    curve = draw(prior, 4)
    found = [
        posterior_mean(bracket_information(photograph(curve, EVS, gains=gains), EVS, prior), prior)
        for gains in ((1.0, 1.0, 1.0), (1.7, 1.0, 0.6))
    ]
    assert (found[0] - found[1])[16:251].abs().max() < 0.06 * math.log(2)


def test_another_camera_is_recovered(prior: CurvePrior) -> None:
    curve = gamma_curve(1.6)
    found = posterior_mean(bracket_information(photograph(curve, EVS), EVS, prior), prior)
    before = hat_basis(prior.knots) @ prior.mean
    levels = slice(24, 240)

    def error(log_curve: torch.Tensor) -> float:
        difference = (log_curve - curve[:, 1])[levels]
        return (difference - difference.median()).square().mean().sqrt().item() / math.log(2)

    assert error(found[:, 1]) < 0.3 * error(before)


def test_brackets_add_up(prior: CurvePrior) -> None:
    parts = [bracket_information(photograph(gamma_curve(1.8), EVS, seed=seed), EVS, prior) for seed in (0, 1)]
    together = pool(parts)
    torch.testing.assert_close(together.precision, parts[0].precision + parts[1].precision)
    one, both = (condition(prior.joint(), told).covariance.diagonal() for told in (parts[0], together))
    assert (both <= one + 1e-12).all()


@pytest.fixture
def small() -> CurvePrior:
    """A prior with an invertible covariance."""
    root = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean = torch.tensor([-3.0, -1.0, 0.0, 0.1]).double()
    return CurvePrior(torch.tensor([0, 100, 250, 255]), mean, root @ root.T, torch.tensor(0.2).double())


def scene_at(prior: CurvePrior, deviations: float, *, evidence: float) -> CurveInformation:
    """A scene whose curve is so many deviations off the prior's mean, along its first principal direction."""
    joint = prior.joint()
    values, vectors = torch.linalg.eigh(joint.covariance)
    theta = joint.mean + deviations * values[-1].sqrt() * vectors[:, -1]
    precision = evidence * joint.covariance.inverse()
    return CurveInformation(precision, precision @ theta)


def test_a_scene_tells_of_its_camera_what_the_joint_law_of_both_says(small: CurvePrior) -> None:
    """Camera x, scene z = x + d, data on z: the block of x, of the Gaussian over both that data condition."""
    joint, scene = small.joint(), scene_at(small, 1.5, evidence=3.0)
    covariance = joint.covariance
    noise = scene.precision.inverse() + (1 + SCENE_DEVIATION**2) * covariance
    gain = covariance @ noise.inverse()
    seen = scene.precision.inverse() @ scene.information
    found = condition(joint, *of_camera([scene], small))
    torch.testing.assert_close(found.mean, joint.mean + gain @ (seen - joint.mean))
    torch.testing.assert_close(found.covariance, covariance - gain @ covariance)


def test_a_scene_that_is_far_off_speaks_for_its_camera(small: CurvePrior) -> None:
    def believed(deviations: float) -> float:
        joint, scene = small.joint(), scene_at(small, deviations, evidence=1e6)
        moved = condition(joint, *of_camera([scene], small)).mean - joint.mean
        whole = torch.linalg.solve(scene.precision, scene.information) - joint.mean
        return float(moved.norm() / whole.norm())

    assert (
        believed(1.0) == pytest.approx(believed(2.0), abs=1e-4) == pytest.approx(1 / (1 + SCENE_DEVIATION**2), abs=1e-4)
    )
    assert believed(20.0) > 0.98


def test_scenes_that_tell_all_of_themselves_leave_the_camera_unsure(small: CurvePrior) -> None:
    (scene,) = of_camera([scene_at(small, 1.0, evidence=1e6)], small)
    variances = [float(condition(small.joint(), pool([scene] * num)).covariance.trace()) for num in (1, 3)]
    whole = float(small.joint().covariance.trace())
    ratio = SCENE_DEVIATION**2
    for num, variance in zip((1, 3), variances, strict=True):
        assert variance / whole == pytest.approx(ratio / (ratio + num), rel=1e-3)


def test_scenes_together_tell_what_each_tells_alone(small: CurvePrior) -> None:
    scenes = [scene_at(small, deviations, evidence=3.0) for deviations in (0.5, 3.0)]
    for together, scene in zip(of_camera(scenes, small), scenes, strict=True):
        (alone,) = of_camera([scene], small)
        assert all(map(torch.equal, together, alone))


def test_a_scene_that_tells_nothing_tells_nothing_of_the_camera(prior: CurvePrior) -> None:
    num = len(prior.joint().mean)
    nothing = CurveInformation(torch.zeros(num, num).double(), torch.zeros(num).double())
    assert not any(part.any() for told in of_camera([nothing], prior) for part in told)


def test_histograms_add_up_over_strips(prior: CurvePrior) -> None:
    frames = photograph(gamma_curve(1.8), EVS)
    upper, lower = (count_joint_levels(strip, EVS) for strip in (frames[:, :, :50], frames[:, :, 50:]))
    whole = bracket_information(frames, EVS, prior)
    both = upper._replace(counts=upper.counts + lower.counts)
    torch.testing.assert_close(bracket_information(both, EVS, prior), whole, rtol=0, atol=0)


def test_pixels_that_show_no_scene_are_not_counted() -> None:
    frames = photograph(gamma_curve(1.8), EVS)
    is_valid = torch.ones(3, *frames.shape[2:], dtype=torch.bool)
    is_valid[1, :, :30] = False
    counts = count_joint_levels(frames, EVS, is_valid=is_valid)
    for pair in range(len(counts.frame)):
        touches = 1 in (counts.frame[pair], counts.shorter_frame[pair])
        expected = count_joint_levels(frames[..., 30:], EVS) if touches else count_joint_levels(frames, EVS)
        assert torch.equal(counts.counts[pair], expected.counts[pair])


def test_a_wrong_time_is_seen(prior: CurvePrior) -> None:
    frames = photograph(gamma_curve(2.2), EVS)
    stated = EVS + torch.tensor([0.0, 0.02, 0.0])
    fit = fit_rows(bracket_rows(count_joint_levels(frames, stated), stated), prior, num_frames=3)
    errors = fit.time_errors / math.log(2)
    assert errors[1] > max(errors[0], errors[2], 0)


def test_the_rows_of_a_frame_can_be_taken_out(prior: CurvePrior) -> None:
    evs = torch.tensor([-3.0, -1.5, 0.0, 1.5], dtype=torch.float64)
    frames = photograph(gamma_curve(1.8), evs)
    rows = bracket_rows(count_joint_levels(frames, evs), evs)
    fit = fit_rows(rows, prior, num_frames=4)
    torch.testing.assert_close(rows_information(rows, fit.weight, prior, num_frames=4), fit.information)
    is_kept = ~rows.involves(3)
    others = rows_information(rows.select(is_kept), fit.weight[is_kept], prior, num_frames=4)
    alone = bracket_information(frames[:3], evs[:3], prior)
    difference = posterior_mean(others, prior) - posterior_mean(alone, prior)
    # frame 2 has the same partners, with and without frame 3
    assert difference[16:251].abs().max() < 0.02 * math.log(2)


def test_rows_miss_their_own_curve_by_rounding_alone(prior: CurvePrior) -> None:
    curve = draw(prior, 1)
    frames = photograph(curve, EVS, size=256)
    errors = row_errors(bracket_rows(count_joint_levels(frames, EVS), EVS), curve)
    assert errors.abs().median() < 0.02
    off_by_one = EVS * 1.5
    errors = row_errors(bracket_rows(count_joint_levels(frames, off_by_one), off_by_one), curve)
    assert errors.abs().median() > 0.9


def test_the_posterior_is_the_textbook_one(small: CurvePrior) -> None:
    """With an invertible prior, mean and covariance by the precisions' sum."""
    knots, generator = small.knots, torch.Generator().manual_seed(1)
    design = torch.randn(30, 12, generator=generator, dtype=torch.float64)
    information = CurveInformation(design.T @ design, design.sum(0))
    joint = small.joint()
    precision = joint.covariance.inverse()
    covariance = (precision + information.precision).inverse()
    mean = covariance @ (precision @ joint.mean + information.information)
    found = by_level(condition(joint, information), knots)
    torch.testing.assert_close(found.deviation[knots], covariance.diagonal().sqrt().view(3, 4).T)
    risen = mean.view(3, 4).T.cummax(0).values
    torch.testing.assert_close(found.log_curve[knots], risen)
    torch.testing.assert_close(posterior_mean(information, small)[knots], risen - risen[2])


def test_frames_of_one_scene_agree_and_those_of_two_do_not() -> None:
    curve = gamma_curve(2.2)
    frames, evs = photograph(curve, EVS[:2]), EVS[:2]
    assert disagreement(bracket_rows(count_joint_levels(frames, evs), evs), curve) < 0.05
    frames[1] = photograph(curve, EVS[1:2], seed=5)[0]
    assert disagreement(bracket_rows(count_joint_levels(frames, evs), evs), curve) > 0.5
