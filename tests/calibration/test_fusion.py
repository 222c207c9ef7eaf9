"""Tones, fusion and deghosting: closed forms, and things that move."""

import numpy as np
import pytest
import torch

from ldr2hdr.calibration.deghosting import find_moved, measure_spreads
from ldr2hdr.calibration.fusion import fuse
from ldr2hdr.calibration.tones import linear_tones, measure, tones_of_curve

LEVELS = np.arange(256.0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def tones():
    """A power law."""
    curve = 2.2 * torch.log(torch.arange(256).clamp_min(0.25).double() / 250)
    return tones_of_curve(curve[:, None].expand(-1, 3))


def shoot(light, ev):
    """Exact levels of light by the power law; white is level 255."""
    return (250 * (light * 2.0**ev) ** (1 / 2.2)).clip(0, 255).astype(np.float32)


def exposures_of(tones, scenes, evs):
    return [measure(tones, shoot(scene, ev)).scaled(2.0**-ev) for scene, ev in zip(scenes, evs, strict=True)]


@pytest.fixture
def light(rng):
    return np.exp2(rng.uniform(-7, 3, (64, 96, 3)))


def test_a_curve_gives_back_its_light(tones):
    levels = np.repeat(np.linspace(8, 250, 777, dtype=np.float32)[None, :, None], 3, axis=2)
    np.testing.assert_allclose(measure(tones, levels).light, (levels / 250) ** 2.2, rtol=5e-3)


def test_curves_that_fall_or_are_not_finite_are_refused():
    for wrong in (torch.arange(256).flip(0), torch.full((256,), torch.nan)):
        with pytest.raises(ValueError, match="never falls"):
            tones_of_curve(wrong.double()[:, None].expand(-1, 3))


def test_still_exposures_merge_exactly(tones, light):
    evs = [-4, -2, 0, 2]
    fused = fuse(exposures_of(tones, [light] * 4, evs), [np.ones(light.shape[:2], np.float32)] * 4)
    np.testing.assert_allclose(fused.light, light, rtol=5e-3)
    assert not fused.is_clipped.any()
    assert fused.variance.max() < 0.1


def test_bounds_are_those_of_the_ends(tones):
    light = np.full((8, 8, 3), 64.0)
    light[:, 4:] = 0
    fused = fuse(exposures_of(tones, [light] * 2, [-2, 0]), [np.ones((8, 8), np.float32)] * 2)
    assert fused.is_clipped[:, :4].all()
    assert fused.is_black[:, 4:].all()
    np.testing.assert_allclose(fused.light[:, :3], 4 * (255 / 250) ** 2.2, rtol=1e-3)
    np.testing.assert_allclose(fused.light[:, 5:], (0.25 / 250) ** 2.2, rtol=1e-3)


def test_linear_tones_are_the_levels():
    light = measure(linear_tones(), np.repeat(LEVELS.astype(np.float32)[None, :, None], 3, axis=2)).light
    np.testing.assert_allclose(light[0, :, 1], LEVELS / 255, rtol=1e-6)


def test_of_mixed_colours_one_white_channel_spoils_all():
    levels = np.full((5, 5, 3), 100, np.float32)
    levels[2, 2, 0] = 255
    assert measure(linear_tones(), levels).weight[2, 2].max() == 0


@pytest.mark.parametrize("position", range(3))
def test_what_moved_is_the_references_alone(tones, rng, position):
    """A patch is elsewhere in one exposure, or everywhere else but in the reference; the reference decides."""
    light = np.exp2(rng.uniform(-3, -2, (96, 128, 3)))
    evs, scenes = [-1.0, 0.0, 1.0], [light.copy() for _ in range(3)]
    scenes[position][30:60, 40:80] *= 3
    exposures, valid = exposures_of(tones, scenes, evs), [np.ones(light.shape[:2], bool)] * 3
    order = [1, 0, 2]
    moved = find_moved(exposures, valid, order, measure_spreads(exposures, valid, order))
    is_there = [away[30:60, 40:80].all() for away in moved]
    assert is_there == {0: [True, False, False], 1: [True, False, True], 2: [False, False, True]}[position]
    for away in moved:
        assert not away[:18].any()
    fused = fuse(exposures, [(~away).astype(np.float32) for away in moved])
    np.testing.assert_allclose(fused.light, scenes[1], rtol=5e-3)


def test_where_the_reference_is_white_the_next_darker_one_decides(tones, rng):
    light = np.exp2(rng.uniform(-3, -2, (96, 128, 3)))
    light[20:70, 30:100] = 8.0  # white at 0 stops
    evs, scenes = [-5.0, -4.0, 0.0], [light.copy() for _ in range(3)]
    scenes[0][30:60, 40:80] *= 0.25  # still above the reference's white: only the middle one contradicts
    exposures, valid = exposures_of(tones, scenes, evs), [np.ones(light.shape[:2], bool)] * 3
    order = [2, 1, 0]
    moved = find_moved(exposures, valid, order, measure_spreads(exposures, valid, order))
    assert moved[0][30:60, 40:80].all()
    assert not moved[1].any()
    scenes[1][30:60, 40:80] *= 0.01  # darker than white: the reference contradicts
    exposures = exposures_of(tones, scenes, evs)
    moved = find_moved(exposures, valid, order, measure_spreads(exposures, valid, order))
    assert moved[1][30:60, 40:80].all()


def test_noise_and_a_wrong_time_are_not_motion(tones, rng):
    light = np.exp2(rng.uniform(-6, 0, (96, 128, 3)))
    levels = [shoot(light, ev) + rng.normal(0, 1.5, light.shape) for ev in (-1.0, 0.0, 1.2)]
    exposures = [
        measure(tones, value.round().clip(0, 255).astype(np.float32)).scaled(2.0**-ev)
        for value, ev in zip(levels, (-1.0, 0.0, 1.0), strict=True)
    ]
    valid, order = [np.ones(light.shape[:2], bool)] * 3, [1, 0, 2]
    moved = find_moved(exposures, valid, order, measure_spreads(exposures, valid, order))
    assert max(away.mean() for away in moved) < 0.01
