"""Response recovery and merge against the truth they were made from, and against OpenCV."""

import cv2
import numpy as np
import pytest
import torch
from brackets import EVS, shoot, texture

from ldr2hdr.calibration.merge import (
    InverseResponse,
    merge_DebevecMalik1997,
    merge_exposures,
    recover_response_DebevecMalik1997,
)
from ldr2hdr.data.cameras.crf import ExtendedSigmoidCurve, GammaCurve, SigmoidCurve, SplineCurve, SrgbCurve
from ldr2hdr.data.cameras.development import Jpeg

CURVES = {
    "gamma": GammaCurve((2.2, 2.1, 2.3)),
    "srgb": SrgbCurve(),
    "sigmoid": SigmoidCurve((0.9, 0.85, 0.95), (0.6, 0.6, 0.65)),
    "extended_sigmoid": ExtendedSigmoidCurve((0.6, 0.6, 0.6), (0.5, 0.5, 0.5), toe=(1.2, 1.2, 1.2)),
    "spline": SplineCurve((2.2, 2.2, 2.2), ((0.14, 0.18, 0.2, 0.18, 0.16, 0.14),) * 3),
}
GAMMA = CURVES["gamma"]


def evs_of(values=EVS):
    return torch.tensor(values)


def recover_and_merge(ldr, evs=EVS):
    response = recover_response_DebevecMalik1997(ldr, evs_of(evs))
    return response, merge_DebevecMalik1997(ldr, evs_of(evs), response=response)


def known_response(curve):
    levels = torch.arange(256, dtype=torch.float64).div(255).clamp_min(0.25 / 255)
    table = curve.inverse(levels.expand(3, 1, 256))[:, 0].log()
    return InverseResponse(table, 0.0)


def stops_off(exposure, truth):
    return torch.log2(exposure.double() / truth).abs()


def is_well_exposed(ldr):
    return ((ldr > 0.1) & (ldr < 0.9)).any(dim=0)


def as_bytes(ldr):
    return [np.ascontiguousarray((picture.permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)) for picture in ldr]


@pytest.mark.parametrize("name", CURVES)
def test_three_exposures_give_the_scene_with_its_scale(name):
    truth = texture(96)
    ldr = shoot(CURVES[name], truth)
    response, merged = recover_and_merge(ldr)
    errors = stops_off(merged.exposure, truth)[is_well_exposed(ldr)]
    assert errors.square().mean().sqrt() < 0.05
    assert errors.quantile(0.99) < 0.11
    assert response.residual_stops < 0.05


@pytest.mark.parametrize("name", CURVES)
def test_the_recovered_response_is_the_curves_inverse(name):
    response, _ = recover_and_merge(shoot(CURVES[name], texture(96)))
    known = known_response(CURVES[name]).log_exposure
    assert ((response.log_exposure - known)[:, 25:231].abs() / np.log(2)).max() < 0.1
    assert bool((response.log_exposure.diff(dim=1) >= 0).all())
    assert bool((response.log_exposure[:, 255] == 0).all())


def test_a_curve_that_data_and_noise_bend_down_is_made_monotone():
    noise = torch.rand(3, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    response = recover_response_DebevecMalik1997(noise, evs_of(), smoothness=1e-4)
    assert bool((response.log_exposure.diff(dim=1) >= 0).all())


def test_unrelated_pictures_disagree_by_more_than_half_a_stop():
    noise = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert recover_response_DebevecMalik1997(noise, evs_of()).residual_stops > 0.5


def test_a_good_jpeg_does_not_move_the_scale(generator):
    """Counted in full, clipped pixels that ringing pulled below white put it 0.9 stops wrong."""
    truth = texture(128)
    pictures = Jpeg(quality=95)(shoot(GAMMA, truth), generator)
    _, merged = recover_and_merge(pictures)
    assert torch.log2(merged.exposure.double() / truth)[is_well_exposed(pictures)].median().abs() < 0.1


def test_pixels_without_weight_are_bounds_and_say_so():
    # columns: clipped in all, black in all, black at -4 and white at +4, well exposed at +4 alone
    truth = torch.tensor([40.0, 1e-9, 0.0625, 0.015625]).expand(3, 1, 4)
    ldr = (truth * torch.tensor([2.0**-4, 2.0**4])[:, None, None, None]).clamp(max=1)
    ldr[0, :, :, 1:] = 0
    ldr[1, :, :, 2] = 1
    response = known_response(GammaCurve((1.0, 1.0, 1.0)))
    merged = merge_DebevecMalik1997(ldr, evs_of((-4.0, 4.0)), response=response)
    black = 0.25 / 255
    expected = torch.tensor([2.0**4, black * 2**-4, (2.0**-4 * black * 2**4) ** 0.5, 64 / 255 / 16])
    torch.testing.assert_close(merged.exposure, expected.expand(3, 1, 4), rtol=1e-5, atol=0)
    assert merged.is_clipped[0, 0].tolist() == [True, False, False, False]
    assert merged.is_black[0, 0].tolist() == [False, True, False, False]


def test_pixels_that_show_something_else_have_no_part():
    truth = texture(64)
    ldr = shoot(GAMMA, truth)
    is_valid = torch.ones(3, 64, 64, dtype=torch.bool)
    is_valid[1, :, :20] = False
    results = []
    for level in (0.0, 0.5, 1.0):
        pictures = ldr.clone()
        pictures[1, :, :, :20] = level
        response = recover_response_DebevecMalik1997(pictures, evs_of(), is_valid=is_valid)
        results.append(merge_DebevecMalik1997(pictures, evs_of(), response=response, is_valid=is_valid).exposure)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_a_common_ev_scales_the_result_and_order_does_not_matter():
    ldr = shoot(GAMMA, texture(64))
    _, merged = recover_and_merge(ldr)
    _, brighter = recover_and_merge(ldr, evs=[ev + 3 for ev in EVS])
    _, reversed_order = recover_and_merge(ldr.flip(0), evs=EVS[::-1])
    torch.testing.assert_close(brighter.exposure * 8, merged.exposure, rtol=1e-5, atol=0)
    torch.testing.assert_close(reversed_order.exposure, merged.exposure, rtol=1e-5, atol=0)


def test_opencv_recovers_the_same_response_where_nothing_is_clipped():
    # its weights at 0 and 255 are not zero (issue 24966), so its bracket has neither
    ldr = shoot(CURVES["srgb"], texture(96) / 12 + 0.002)
    assert ldr.min() > 0
    assert ldr.max() < 250 / 255
    times = np.array([2.0**ev for ev in EVS], dtype=np.float32)
    calibrate = cv2.createCalibrateDebevec(samples=600, lambda_=100.0)
    table = torch.from_numpy(calibrate.process(as_bytes(ldr), times=times.copy()))[:, 0].double().log().T
    response, _ = recover_and_merge(ldr)
    ours, theirs = (t - t[:, 128:129] for t in (response.log_exposure, table))
    assert ((ours - theirs)[:, 32:200].abs() / np.log(2)).max() < 0.1


def test_opencv_merges_to_the_same_radiance_where_nothing_is_clipped():
    ldr = shoot(CURVES["srgb"], texture(96) / 12 + 0.002)
    response = known_response(CURVES["srgb"])
    merged = merge_DebevecMalik1997(ldr, evs_of(), response=response)
    times = np.array([2.0**ev for ev in EVS], dtype=np.float32)
    table = np.ascontiguousarray(response.log_exposure.exp().T[:, None].float().numpy())
    theirs = torch.from_numpy(cv2.createMergeDebevec().process(as_bytes(ldr), times=times, response=table))
    differences = stops_off(merged.exposure, theirs.permute(2, 0, 1).double())
    assert differences.mean() < 0.002
    # its tent weights are one level higher than the hat, which shows where a level is 1 or 2
    assert differences.max() < 0.06


@pytest.mark.parametrize(
    ("ldr", "evs", "message"),
    [
        (torch.full((2, 3, 8, 8), 0.5), (1.0, 1.0), "two different, finite exposures"),
        (torch.full((1, 3, 8, 8), 0.5), (1.0,), "two different, finite exposures"),
        (torch.full((2, 3, 8, 8), 0.5), (1.0, float("nan")), "two different, finite exposures"),
        (torch.full((2, 3, 8, 8), 128.0), (0.0, 1.0), "divide 8-bit levels by 255"),
        (torch.full((2, 3, 8, 8), float("nan")), (0.0, 1.0), r"pictures in \[0, 1\]"),
        (torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)]), (0.0, 1.0), "none in red"),
    ],
)
def test_what_is_no_bracket_is_refused(ldr, evs, message):
    with pytest.raises(ValueError, match=message):
        recover_response_DebevecMalik1997(ldr, evs_of(evs))


def test_pixels_that_no_picture_shows_are_refused():
    is_valid = torch.ones(2, 4, 4, dtype=torch.bool)
    is_valid[:, 0, 0] = False
    with pytest.raises(ValueError, match="valid in none"):
        merge_DebevecMalik1997(
            torch.full((2, 3, 4, 4), 0.5), evs_of((0.0, 1.0)), response=known_response(GAMMA), is_valid=is_valid
        )


def true_curve(curve):
    """Log exposure by level ``(256, 3)`` of a camera without noise."""
    return known_response(curve).log_exposure.T


def test_a_merge_by_the_true_curve_is_the_truth():
    truth = texture(64)
    merged = merge_exposures(shoot(CURVES["srgb"], truth), evs_of(), log_curve=true_curve(CURVES["srgb"]))
    seen = (truth > 2.0**-6) & (truth < 3.5)
    assert stops_off(merged.exposure, truth)[seen].mean() < 0.02


def test_a_curve_of_any_height_merges_to_the_same():
    ldr, curve = shoot(GAMMA, texture(32)), true_curve(GAMMA)
    first, second = (merge_exposures(ldr, evs_of(), log_curve=each).exposure for each in (curve, curve - 1.5))
    torch.testing.assert_close(first, second)


def test_a_channel_beside_a_white_one_still_speaks():
    ldr = torch.tensor([[1.0, 100 / 255, 60 / 255], [1.0, 220 / 255, 130 / 255]])[..., None, None]
    evs = evs_of((0.0, 2.0))
    merged = merge_exposures(ldr, evs, log_curve=true_curve(GAMMA))
    alone = ldr.clone()
    alone[:, 0] = 0.5
    others = merge_exposures(alone, evs, log_curve=true_curve(GAMMA))
    assert merged.is_clipped.flatten().tolist() == [True, False, False]
    assert torch.equal(merged.exposure[1:], others.exposure[1:])
    assert merged.exposure[0].item() == pytest.approx(1.0)


def test_a_dark_level_counts_little():
    """At level 3 of 255 a frame is off by half a stop; where another shows level 150, it hardly matters."""
    ldr = torch.tensor([3.0, 150.0]).view(2, 1, 1, 1).expand(-1, 3, -1, -1) / 255
    curve = true_curve(GAMMA)
    ev = (curve[150, 1] - curve[3, 1]).item() / np.log(2) + 0.5
    merged = merge_exposures(ldr, evs_of((0.0, ev)), log_curve=curve)
    expected = curve[150] - ev * np.log(2)
    assert ((merged.exposure.flatten().log() - expected).abs() / np.log(2)).max() < 0.01
