"""Merges of known light: closed forms, laws, moves, ghosts, and a network where all is white."""

import math

import cv2
import numpy as np
import pytest
import torch
from handmade import write_dng
from plain import plain

from ldr2hdr.calibration.registration import Motion
from ldr2hdr.inference.merging.merging import MergeOptions, merge_bracket
from ldr2hdr.inference.merging.sets import BracketFiles, as_bracket
from ldr2hdr.inference.profiles.brackets import RefusedBracket
from merging.brackets import GAMMA, light_of, shoot, write_bracket

EVS = (-4.0, -2.0, 0.0, 2.0)
STILL = MergeOptions(is_aligned=False, is_deghosted=False)
CURVE = (GAMMA * torch.log(torch.arange(256).clamp_min(0.25).double() / 250))[:, None].expand(-1, 3)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def light(rng):
    return light_of(rng)


@pytest.fixture
def bracket(tmp_path, light):
    folder = write_bracket(tmp_path / "bracket", {ev: shoot(light, ev) for ev in EVS})
    return as_bracket(sorted(folder.glob("*.png")))


def in_stops(merged, light):
    return np.log2(merged.exposure.movedim(0, -1).numpy() / light)


def test_exposures_of_a_known_camera_merge_to_the_light(bracket, light):
    merged = merge_bracket(bracket, STILL._replace(reference=2), log_curve=CURVE)
    assert np.abs(in_stops(merged, light)).max() < 0.15  # a level in the dark
    assert np.sqrt(np.mean(in_stops(merged, light) ** 2)) < 0.02
    assert merged.clipped_share == merged.moved_share == 0
    assert merged.uncertainty.clipped.max() == merged.uncertainty.invented.max() == 0


def test_all_choices_leave_a_still_bracket_as_it_is(bracket, light):
    merged = merge_bracket(bracket, MergeOptions(reference=2), log_curve=CURVE)
    assert merged.motions == (Motion(),) * 4
    assert merged.moved_share == 0
    assert np.sqrt(np.mean(in_stops(merged, light) ** 2)) < 0.02


def test_an_unknown_camera_is_estimated(bracket, light):
    error = in_stops(merge_bracket(bracket, MergeOptions(reference=2)), light)
    # the contrast is told by the exposures; nothing tells a factor between them and white but the prior
    assert np.std(error) < 0.1
    assert abs(error.mean()) < 0.3


def test_the_order_of_the_files_is_no_matter(bracket):
    merged = merge_bracket(bracket, MergeOptions(reference=1))
    order = [2, 0, 3, 1]
    turned = BracketFiles(
        tuple(bracket.paths[number] for number in order), tuple(bracket.evs[number] for number in order), ""
    )
    other = merge_bracket(turned, MergeOptions(reference=3))
    assert torch.equal(merged.exposure, other.exposure)
    assert (merged.reference, other.reference) == (1, 3)


def test_a_factor_of_all_times_is_seen_by_the_anchor_alone(bracket):
    longer = bracket._replace(evs=tuple(ev + 3 for ev in bracket.evs))
    free, same = (merge_bracket(one, STILL, log_curve=CURVE).exposure for one in (bracket, longer))
    torch.testing.assert_close(free, same)
    anchored = [merge_bracket(one, STILL._replace(anchor=1.0), log_curve=CURVE).exposure for one in (bracket, longer)]
    torch.testing.assert_close(anchored[0], anchored[1] * 8)


def test_sets_with_one_anchor_have_one_scale(bracket):
    halves = [bracket._replace(paths=bracket.paths[part], evs=bracket.evs[part]) for part in (slice(0, 3), slice(1, 4))]
    one, other = (merge_bracket(half, STILL._replace(anchor=0.0), log_curve=CURVE).exposure for half in halves)
    ratio = (one / other).log2()
    assert abs(float(ratio.median())) < 0.01


def test_strips_leave_no_seams(tmp_path, rng):
    light = light_of(rng, height=300, width=64)
    bracket = as_bracket(
        sorted(write_bracket(tmp_path / "tall", {ev: shoot(light, ev) for ev in (-2.0, 0.0)}).glob("*.png"))
    )
    merged = merge_bracket(bracket, MergeOptions(reference=1), log_curve=CURVE)
    assert np.abs(in_stops(merged, light)).max() < 0.5


def test_a_moving_thing_is_the_references(tmp_path, rng):
    light = np.full((160, 200, 3), 0.05) * np.exp2(0.2 * rng.standard_normal((160, 200, 3)))
    scenes = [light.copy() for _ in EVS]
    for number, scene in enumerate(scenes):
        scene[60:100, 20 + 40 * number : 50 + 40 * number] *= 6
    folder = write_bracket(tmp_path / "b", {ev: shoot(scene, ev) for ev, scene in zip(EVS, scenes, strict=True)})
    bracket = as_bracket(sorted(folder.glob("*.png")))
    options = MergeOptions(reference=2, is_aligned=False)
    merged = merge_bracket(bracket, options, log_curve=CURVE)
    assert np.abs(in_stops(merged, scenes[2])).max() < 0.3
    assert merged.moved_share > 0.1
    ghosts = merge_bracket(bracket, options._replace(is_deghosted=False), log_curve=CURVE)
    assert np.abs(in_stops(ghosts, scenes[2])).max() > 0.5


def test_hand_held_exposures_are_brought_together(tmp_path, rng):
    wide = np.exp2(
        sum(
            cv2.GaussianBlur(rng.standard_normal((400, 520, 3)).astype(np.float32), (0, 0), sigma) * sigma
            for sigma in (2, 4, 8)
        )
        - 4
    )
    motions = [Motion(math.radians(0.5), (8.5, -6.25)), Motion(), Motion(math.radians(-0.3), (-4.0, 11.5))]
    pictures = {}
    for ev, motion in zip((-2.0, 0.0, 2.0), motions, strict=True):
        matrix = cv2.invertAffineTransform(motion.matrix((300, 400)))
        matrix[:, 2] += (60, 50)
        moved = cv2.warpAffine(wide, matrix, (400, 300), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        pictures[ev] = shoot(moved.clip(1e-4), ev)
    bracket = as_bracket(sorted(write_bracket(tmp_path / "b", pictures).glob("*.png")))
    options = MergeOptions(reference=1, is_deghosted=False)
    inner = (slice(30, -30), slice(30, -30))
    light = wide[50:350, 60:460]
    error = in_stops(merge_bracket(bracket, options, log_curve=CURVE), light)[inner]
    unmoved = in_stops(merge_bracket(bracket, options._replace(is_aligned=False), log_curve=CURVE), light)[inner]
    assert np.sqrt(np.mean(error**2)) < 0.1
    assert np.sqrt(np.mean(unmoved**2)) > 3 * np.sqrt(np.mean(error**2))


def test_what_is_white_everywhere_is_the_networks_and_said_so(tmp_path, light):
    bright = light.copy()
    bright[20:40, 30:60] = 1000.0
    folder = write_bracket(tmp_path / "b", {ev: shoot(bright, ev) for ev in EVS})
    bracket = as_bracket(sorted(folder.glob("*.png")))
    options = MergeOptions(reference=2)
    bound = merge_bracket(bracket, options, log_curve=CURVE)
    np.testing.assert_allclose(bound.exposure[:, 22:38, 32:58], 16 * (255 / 250) ** GAMMA, rtol=1e-3)
    merged = merge_bracket(bracket, options, log_curve=CURVE, network=lambda: plain(lambda ldr: ldr * 10))
    inside, outside = merged.exposure[:, 22:38, 32:58], np.ones(light.shape[:2], bool)
    np.testing.assert_allclose(inside, 16 * 10, rtol=1e-3)
    outside[20:40, 30:60] = False
    assert torch.equal(merged.exposure[:, outside], bound.exposure[:, outside])
    clipped, invented, sigma = merged.uncertainty
    assert (clipped.numpy() > 0).sum() == 20 * 30
    assert invented[30, 45].item() == pytest.approx(0.9, abs=0.01)
    assert invented[outside].max() == 0
    assert sigma[30, 45] > 3 > 1 > sigma[outside].max()
    assert (merged.is_filled, bound.is_filled) == (True, False)
    assert merged.clipped_share == pytest.approx(600 / light[..., 0].size)


def test_no_network_is_loaded_without_need(bracket):
    def fail():
        raise AssertionError("not needed")

    assert not merge_bracket(bracket, STILL, log_curve=CURVE, network=fail).is_filled


def test_raw_files_are_merged_as_they_are(tmp_path, rng):
    pytest.importorskip("rawpy", reason="extra raw")
    light = np.exp2(rng.uniform(-8, -1, (32, 48))).repeat(2, 0).repeat(2, 1)  # grey, so that no colour is interpolated
    light = cv2.GaussianBlur(light, (0, 0), 4)
    for ev in (-2, 0, 2):
        mosaic = (light * 2.0**ev * 16383).round().clip(0, 16383).astype(np.uint16)
        write_dng(tmp_path / f"{ev + 2}.dng", mosaic, white=16383)
    bracket = as_bracket(sorted(tmp_path.glob("*.dng")), evs=[-2.0, 0.0, 2.0])
    merged = merge_bracket(bracket, STILL._replace(reference=1))
    error = np.log2(merged.exposure.numpy()[:, 4:-4, 4:-4] / light[4:-4, 4:-4])
    assert np.sqrt(np.mean(error**2)) < 0.02


@pytest.mark.parametrize("number", [-1, 4])
def test_a_reference_that_is_none_is_refused(bracket, number):
    with pytest.raises(RefusedBracket, match=f"reference of 1 to 4, got {number + 1}"):
        merge_bracket(bracket, MergeOptions(reference=number))


def test_other_sizes_are_refused(tmp_path, light):
    pictures = {0.0: shoot(light, 0), 1.0: shoot(light[:50], 1)}
    bracket = as_bracket(sorted(write_bracket(tmp_path / "b", pictures).glob("*.png")))
    with pytest.raises(RefusedBracket, match=r"one size.*128 x 96.*128 x 50"):
        merge_bracket(bracket)
