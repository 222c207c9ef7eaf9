"""Registration: synthetic moves of real light are found to a third of a pixel, whatever the exposures."""

import math

import cv2
import numpy as np
import pytest

from ldr2hdr.calibration.registration import Motion, find_motion, register

SIZE = (320, 480)
MARGIN = 60


@pytest.fixture(scope="module")
def scene():
    """Light with edges and texture at many sizes, eight stops of it."""
    rng = np.random.default_rng(5)
    shape = (SIZE[0] + 2 * MARGIN, SIZE[1] + 2 * MARGIN)
    stops = sum(
        2.0 * cv2.GaussianBlur(rng.standard_normal((*shape, 3)).astype(np.float32), (0, 0), sigma) * sigma / 4
        for sigma in (2, 4, 8, 16)
    )
    for _ in range(60):
        corner, size = rng.integers(0, shape), rng.integers(10, 90, 2)
        stops[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] += rng.uniform(-1.5, 1.5)
    return np.exp2(stops - stops.mean())


def shoot(scene, motion, ev, *, gamma=2.2, seed=0):
    """A photograph by a camera that moved: JPEG, noise, a power law."""
    matrix = cv2.invertAffineTransform(motion.matrix(SIZE))
    matrix[:, 2] += MARGIN
    light = cv2.warpAffine(scene, matrix, SIZE[::-1], flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    codes = 255 * (np.clip(light, 0, None) * 0.2 * 2.0**ev).clip(0, 1) ** (1 / gamma)
    codes += np.random.default_rng(seed).normal(0, 1, codes.shape)
    levels = codes.round().clip(0, 255).astype(np.uint8)
    return cv2.imdecode(cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, 92])[1], cv2.IMREAD_COLOR)


def farthest(motion, other):
    """Largest distance, in pixels, between where two motions bring a corner."""
    height, width = SIZE
    corners = np.array([[0, width - 1, 0, width - 1], [0, 0, height - 1, height - 1], [1, 1, 1, 1]])
    return np.linalg.norm((motion.matrix(SIZE) - other.matrix(SIZE)) @ corners, axis=0).max()


@pytest.mark.parametrize(
    ("degrees", "shift"),
    [(0, (0.4, -0.3)), (1, (30, 30)), (-1, (30, -30)), (0.6, (-29.5, 3.2)), (-0.2, (-7.7, 21.1)), (0, (0, 0))],
)
@pytest.mark.parametrize("ev", [-2, 2])
def test_moves_are_found_to_a_third_of_a_pixel(scene, degrees, shift, ev):
    motion = Motion(math.radians(degrees), shift)
    found, correlation = find_motion(shoot(scene, Motion(), 0), shoot(scene, motion, ev, gamma=1.8, seed=1))
    assert farthest(found, motion) < 0.3
    assert correlation > 0.5


def test_motions_add_up_along_the_exposures(scene):
    motions = [Motion(math.radians(0.1 * step), (4.0 * step, -3.0 * step)) for step in range(-2, 3)]
    evs = [-3.0, -1.5, 0.0, 1.5, 3.0]
    pictures = [
        shoot(scene, motion, ev, seed=number) for number, (motion, ev) in enumerate(zip(motions, evs, strict=True))
    ]
    found = register(pictures[::-1], evs[::-1], reference=2)
    assert found.is_aligned == (True,) * 5
    assert found.motions[2] == Motion()
    assert max(farthest(*pair) for pair in zip(found.motions[::-1], motions, strict=True)) < 0.3


def test_a_thing_that_moves_by_itself_does_not_lead_astray(scene):
    moving = shoot(scene, Motion(0.0, (5.5, 2.25)), 1)
    moving[100:180, 200:320] = np.random.default_rng(3).integers(0, 255, (80, 120, 3))
    found, _ = find_motion(shoot(scene, Motion(), 0), moving)
    assert farthest(found, Motion(0.0, (5.5, 2.25))) < 0.3


@pytest.mark.parametrize("level", [0, 120, 255])
def test_a_picture_without_detail_is_taken_as_still(scene, level):
    flat = np.full((*SIZE, 3), level, np.uint8)
    found = register([shoot(scene, Motion(), 0), flat], [0.0, 1.0], reference=0)
    assert found.motions == (Motion(), Motion())
    assert found.is_aligned == (True, False)


def test_motions_compose():
    first, second = Motion(0.1, (3.0, 4.0)), Motion(-0.2, (1.0, 2.0))
    whole = np.vstack([second.matrix(SIZE), [0, 0, 1]]) @ np.vstack([first.matrix(SIZE), [0, 0, 1]])
    np.testing.assert_allclose(second.after(first).matrix(SIZE), whole[:2], atol=1e-9)
