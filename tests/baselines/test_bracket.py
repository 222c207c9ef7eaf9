"""Multi-exposure merges as systems, on brackets of which everything is known."""

import logging

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ldr2hdr.baselines.bracket import NoBracketError, measure_evs
from ldr2hdr.baselines.debevec_malik1997 import DebevecMalik1997
from ldr2hdr.baselines.inverse_gamma import InverseGamma
from ldr2hdr.baselines.mertens2007 import Mertens2007
from ldr2hdr.baselines.response_fit import ResponseFit
from ldr2hdr.baselines.robertson1999 import Robertson1999
from ldr2hdr.calibration.merge import merge_DebevecMalik1997, recover_response_DebevecMalik1997
from ldr2hdr.radiometry import expose
from ldr2hdr.tasks import Shots

MERGES = {"debevec": DebevecMalik1997(), "robertson": Robertson1999(), "mertens": Mertens2007()}
MEASURING = {name: MERGES[name] for name in ("debevec", "robertson")}
# Root mean square error in stops, support exposures 1 and 2 stops apart. Robertson's response has no smoothness to
# bridge wide steps; fusion does not measure light.
TOLERANCES = {
    ("debevec", 1.0): 0.03,
    ("debevec", 2.0): 0.03,
    ("robertson", 1.0): 0.05,
    ("robertson", 2.0): 0.3,
    ("mertens", 1.0): 1.5,
    ("mertens", 2.0): 1.5,
}
CURVES = {"gamma": lambda x: x ** (1 / 2.2), "sigmoid": lambda x: 1.6 * x**0.9 / (x**0.9 + 0.6)}
every_merge = pytest.mark.parametrize("name", MERGES)
SIZE = 96


def scene(size=SIZE, seed=0):
    """Light from 6 stops below the clipping point to 2 above, detailed at each scale."""
    generator = torch.Generator().manual_seed(seed)
    layers = [torch.rand(1, 3, n, n, generator=generator) / n**0.5 for n in (3, 6, 12, 24)]
    total = sum(F.interpolate(layer, size=(size, size), mode="bilinear")[0] for layer in layers)
    low, high = total.amin(dim=(1, 2), keepdim=True), total.amax(dim=(1, 2), keepdim=True)
    return torch.exp2(-6 + 8 * (total - low) / (high - low))


def shoot(light, evs, curve="gamma"):
    """8-bit exposures of one scene, with their labels."""
    exposure = expose(light.expand(len(evs), *light.shape), torch.tensor(evs))
    return Shots((CURVES[curve](exposure.clamp(max=1)) * 255).round() / 255, exposure)


def part(shots, *numbers):
    return Shots(shots.ldr[list(numbers)], shots.exposure[list(numbers)])


def stops_off(predicted, truth):
    return torch.log2(predicted / truth)


def rms(values):
    return values.square().mean().sqrt().item()


@pytest.mark.parametrize(("name", "step"), TOLERANCES)
@pytest.mark.parametrize("curve", CURVES)
def test_the_scene_is_recovered_at_the_exposure_of_the_query(name, step, curve):
    light = scene()
    support = shoot(light, torch.arange(-2.0, 2.1, step).tolist(), curve)
    query = shoot(light, [0.5, -0.75], curve)
    predicted = MERGES[name].adapt(support)(query.ldr)
    is_seen = ((support.ldr > 0.1) & (support.ldr < 0.9)).any(dim=0)
    assert is_seen.float().mean() > 0.8
    assert rms(stops_off(predicted, query.exposure)[:, is_seen]) < TOLERANCES[name, step]


@pytest.mark.parametrize("name", MEASURING)
def test_highlights_that_the_query_lost_are_measured(name):
    shots = shoot(scene(), [-3.0, -2.0, -1.0, 0.0, 1.0])
    support, query = part(shots, 0, 1, 2), part(shots, 4)
    predicted = MERGES[name].adapt(support)(query.ldr)
    lost = (query.exposure > 1.2) & (support.ldr[:1] > 0.1)
    assert lost.float().mean() > 0.1
    assert query.exposure[lost].max() > 6
    assert rms(stops_off(predicted, query.exposure)[lost]) < 0.3
    # a single picture has nothing to say of them
    assert InverseGamma()(query.ldr)[lost].max() == 1


@pytest.mark.parametrize("name", MEASURING)
def test_the_query_is_one_more_exposure_of_the_bracket(name):
    """Highlights that all of the support lost are told by a darker query."""
    shots = shoot(scene(), [-3.0, -1.0, 0.0, 1.0])
    support, query = part(shots, 1, 2, 3), part(shots, 0)
    predicted = MERGES[name].adapt(support)(query.ldr)
    lost = (support.ldr == 1).all(dim=0) & (query.ldr[0] < 0.8)
    assert lost.float().mean() > 0.01
    assert rms(stops_off(predicted[0], query.exposure[0])[lost]) < 0.3


@every_merge
def test_labels_count_by_their_ratio_alone(name):
    shots = shoot(scene(32), [-2.0, -1.0, 0.0, 1.0])
    support, query = part(shots, 0, 1, 2), part(shots, 3)
    scaled = Shots(support.ldr, support.exposure * 8)
    first, second = (MERGES[name].adapt(labelled)(query.ldr) for labelled in (support, scaled))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@every_merge
def test_the_order_of_the_support_does_not_matter(name):
    shots = shoot(scene(), [-2.0, -1.0, 0.0, 1.0])
    query = part(shots, 3)
    first, second = (MERGES[name].adapt(part(shots, *order))(query.ldr) for order in ((0, 1, 2), (2, 0, 1)))
    assert rms(stops_off(first, second)) < 0.05


@every_merge
def test_queries_are_placed_one_by_one_and_change_nothing(name):
    shots = shoot(scene(40), [-2.0, -1.0, 0.0, 1.0, 2.0])
    predict = MERGES[name].adapt(part(shots, 0, 2, 4))
    kept = shots.ldr.clone()
    together = predict(shots.ldr[[1, 3]])
    torch.testing.assert_close(predict(shots.ldr[[3]]), together[1:], rtol=0, atol=0)
    torch.testing.assert_close(shots.ldr, kept, rtol=0, atol=0)


@every_merge
@pytest.mark.parametrize("size", [(31, 17), (5, 40)])
def test_odd_sizes_and_extreme_queries_give_finite_light(name, size):
    light = scene(48)[:, : size[0], : size[1]]
    support = shoot(light, [-2.0, 0.0, 2.0])
    predict = MERGES[name].adapt(support)
    for query in (torch.zeros(1, 3, *size), torch.ones(1, 3, *size), support.ldr[:1], 1 - support.ldr[1:2]):
        predicted = predict(query)
        assert predicted.shape == query.shape
        assert predicted.isfinite().all()
        assert (predicted > 0).all()


@pytest.mark.parametrize("name", MEASURING)
def test_a_white_query_is_at_least_white_at_its_median(name):
    support = shoot(scene(48), [-2.0, 0.0, 2.0])
    predicted = MERGES[name].adapt(support)(torch.ones(1, 3, 48, 48))
    assert predicted.median().item() == pytest.approx(1, rel=0.02)


def test_debevec_and_malik_merge_as_the_functions_of_calibration():
    support = shoot(scene(48), [-2.0, 0.0, 2.0])
    evs = torch.tensor([0.0, 2.0, 4.0])
    response = recover_response_DebevecMalik1997(support.ldr, evs)
    expected = merge_DebevecMalik1997(support.ldr, evs, response=response).exposure
    torch.testing.assert_close(MERGES["debevec"].adapt(support).scene, expected, rtol=1e-5, atol=0)


# ---- what the support must be ---------------------------------------------------------------------------------------


def test_exposures_are_the_ratio_of_the_labels():
    assert measure_evs(shoot(scene(16), [-2.0, 1.0, 0.5])).tolist() == pytest.approx([0.0, 3.0, 2.5], abs=1e-5)


def test_only_a_merge_needs_one_scene():
    assert all(merge.needs_one_scene for merge in MERGES.values())
    assert not any(getattr(system, "needs_one_scene", False) for system in (InverseGamma(), ResponseFit()))


@every_merge
def test_pictures_of_several_scenes_are_refused(name):
    """What task=camera shows."""
    first, second = (shoot(scene(32, seed), [0.0]) for seed in (0, 1))
    support = Shots(torch.cat([first.ldr, second.ldr]), torch.cat([first.exposure, second.exposure]))
    with pytest.raises(NoBracketError, match=r"exposures of one scene, got labels whose ratios spread by .*task=scene"):
        MERGES[name].adapt(support)


@every_merge
def test_a_support_that_is_no_bracket_is_refused(name):
    adapt = MERGES[name].adapt
    shots = shoot(scene(16), [-2.0, 0.0])
    with pytest.raises(NoBracketError, match="merges the support, got none"):
        adapt(None)
    with pytest.raises(NoBracketError, match=r"two exposures or more, got 1; raise task\.shots"):
        adapt(part(shots, 0))
    with pytest.raises(NoBracketError, match=r"different exposures, got 2 within 0\.05 stops"):
        adapt(part(shots, 0, 0))
    with pytest.raises(NoBracketError, match="without a pixel that all of them light"):
        adapt(Shots(shots.ldr, torch.zeros_like(shots.exposure)))


@every_merge
def test_a_query_of_another_size_is_refused(name):
    predict = MERGES[name].adapt(shoot(scene(32), [-2.0, 0.0, 2.0]))
    with pytest.raises(ValueError, match=r"bracket's size \(3, 32, 32\), pixel on pixel, got \(3, 32, 31\)"):
        predict(torch.rand(1, 3, 32, 31))


@pytest.mark.parametrize("name", MEASURING)
def test_a_bracket_that_does_not_show_its_response_leaves_inverse_gamma(name, caplog):
    support = shoot(torch.full((3, 1, 1), 0.9), [0.0, 4.0])
    query = torch.rand(2, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    with caplog.at_level(logging.WARNING):
        predicted = MERGES[name].adapt(support)(query)
    torch.testing.assert_close(predicted, query**2.2, rtol=0, atol=0)
    assert "leaves inverse gamma 2.2: response recovery needs pixels between black and white" in caplog.text


# ---- Robertson by OpenCV --------------------------------------------------------------------------------------------


def test_robertson_fixes_the_scale_without_its_middle_level():
    shots = shoot(scene(), [-1.0, 0.0, 1.0, 2.0])
    levels = (shots.ldr * 255).round()
    ldr = torch.where(levels == 128, 127, levels) / 255
    pictures = [np.ascontiguousarray(p.permute(1, 2, 0).mul(255).round().byte().numpy()) for p in ldr[:3]]
    times = np.array([0.5, 1.0, 2.0], np.float32)
    assert np.isnan(cv2.createCalibrateRobertson().process(pictures, times)).all()
    support = Shots(ldr[:3], shots.exposure[:3])
    predicted = Robertson1999().adapt(support)(ldr[3:])
    is_seen = ((ldr > 0.1) & (ldr < 0.9)).any(dim=0)
    assert rms(stops_off(predicted[0], shots.exposure[3])[is_seen]) < 0.25


def test_robertson_gives_a_light_that_clips_everywhere_its_bound():
    shots = shoot(scene(), [-1.0, 0.0, 1.0])
    lost = (shots.ldr == 1).all(dim=0)
    assert lost.float().mean() > 0.01
    pictures = [np.ascontiguousarray(p.permute(1, 2, 0).mul(255).round().byte().numpy()) for p in shots.ldr]
    by_opencv = cv2.createMergeRobertson().process(pictures, np.array([0.5, 1.0, 2.0], np.float32))
    assert by_opencv[lost.permute(1, 2, 0).numpy()].max() == 0
    predicted = Robertson1999().adapt(part(shots, 0, 1))(shots.ldr[2:])[0]
    # white in the exposure two stops below the query: at least 4 times the query's white
    assert predicted[lost].log2().sub(2).abs().max() < 0.3


def test_robertson_ignores_a_white_that_jpeg_has_moved():
    shots = shoot(scene(), [-2.0, -1.0, 0.0, 1.0])
    generator = torch.Generator().manual_seed(0)
    rung = torch.where(shots.ldr == 1, 1 - torch.randint(0, 5, shots.ldr.shape, generator=generator) / 255, shots.ldr)
    lost = (shots.exposure[3] > 1.2) & (shots.exposure[0] < 0.8)
    predicted = Robertson1999().adapt(Shots(rung[:3], shots.exposure[:3]))(rung[3:])[0]
    assert rms(stops_off(predicted, shots.exposure[3])[lost]) < 0.3


def test_robertson_s_response_never_falls():
    noise = torch.rand(3, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    noise = (noise * 255).round() / 255
    curve = Robertson1999().recover(noise, torch.tensor([0.0, 1.0, 2.0])).curve
    assert (curve.diff(dim=1) >= 0).all()
    assert (curve > 0).all()
    assert curve[:, 255].tolist() == pytest.approx([1.0] * 3)


# ---- Mertens by OpenCV ----------------------------------------------------------------------------------------------


def test_mertens_fuses_as_opencv_does_with_the_weights_of_the_paper():
    support = shoot(scene(40), [-2.0, 0.0, 2.0])
    pictures = [np.ascontiguousarray(p.permute(1, 2, 0).mul(255).round().byte().numpy()) for p in support.ldr]
    fused = torch.from_numpy(cv2.createMergeMertens(1.0, 1.0, 1.0).process(pictures)).permute(2, 0, 1)
    expected = fused.clamp_min(0.5 / 255) ** 2.2
    torch.testing.assert_close(Mertens2007().adapt(support).scene, expected, rtol=1e-5, atol=0)
    default = torch.from_numpy(cv2.createMergeMertens().process(pictures)).permute(2, 0, 1)
    assert (fused - default).abs().max() > 0.05


def test_mertens_fuses_the_same_each_time_on_any_number_of_threads():
    support = shoot(scene(40), [-2.0, -1.0, 0.0, 1.0])
    num_threads = cv2.getNumThreads()
    cv2.setNumThreads(4)
    try:
        scenes = torch.stack([Mertens2007().adapt(support).scene for _ in range(20)])
        assert cv2.getNumThreads() == 4
    finally:
        cv2.setNumThreads(num_threads)
    torch.testing.assert_close(scenes, scenes[:1].expand_as(scenes), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Robertson1999(max_iterations=0), "max_iterations must be positive, got 0"),
        (lambda: Mertens2007(contrast=-1.0), "exposure fusion needs contrast"),
        (lambda: Mertens2007(display_gamma=0.0), "display_gamma > 0"),
    ],
)
def test_bad_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
