"""The pinhole projection against closed forms and an independent double-precision renderer."""

import math

import numpy as np
import pytest
import torch

from ldr2hdr.data.scenes.projection import render_view


def render(panorama, *, yaw=0.0, pitch=0.0, fov=70.0, size=(24, 32)):
    return render_view(panorama, yaw_deg=yaw, pitch_deg=pitch, fov_deg=fov, size_px=size)


@pytest.fixture
def panorama():
    return np.random.default_rng(0).random((3, 64, 128)).astype(np.float16)


def smooth_panorama(height):
    """The direction of every pixel as its colour, plus 2: right, up, forward."""
    latitude = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    longitude = ((np.arange(2 * height) + 0.5) / (2 * height) - 0.5) * 2 * np.pi
    right = np.cos(latitude)[:, None] * np.sin(longitude)
    forward = np.cos(latitude)[:, None] * np.cos(longitude)
    up = np.broadcast_to(np.sin(latitude)[:, None], right.shape)
    return (np.stack([right, up, forward]) + 2).astype(np.float32)


@pytest.mark.parametrize(("yaw", "pitch", "fov"), [(0, 0, 70), (179, 25, 40), (-90, -89, 100), (33, 90, 60)])
def test_a_constant_panorama_gives_a_constant_view(yaw, pitch, fov):
    view = render(np.full((3, 32, 64), 3.5, np.float16), yaw=float(yaw), pitch=float(pitch), fov=float(fov))
    torch.testing.assert_close(view, torch.full((3, 24, 32), 3.5), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("yaw", "pitch", "fov"), [(0, 0, 70), (120, 0, 50), (-170, 30, 90), (180, -30, 40), (45, 80, 60), (10, -90, 60)]
)
def test_every_pixel_shows_its_direction(yaw, pitch, fov):
    """Camera matrix and rotation written out in double precision; the view must show each ray's direction."""
    height, width = 48, 64
    view = render(smooth_panorama(512), yaw=float(yaw), pitch=float(pitch), fov=float(fov), size=(height, width))
    focal = width / 2 / math.tan(math.radians(fov / 2))
    camera = np.array([[focal, 0, width / 2], [0, -focal, height / 2], [0, 0, 1]])
    y, x = np.mgrid[0:height, 0:width] + 0.5
    rays = np.linalg.solve(camera, np.stack([x, y, np.ones_like(x)]).reshape(3, -1))
    p, h = math.radians(pitch), math.radians(yaw)
    tilt = np.array([[1, 0, 0], [0, math.cos(p), math.sin(p)], [0, -math.sin(p), math.cos(p)]])
    turn = np.array([[math.cos(h), 0, math.sin(h)], [0, 1, 0], [-math.sin(h), 0, math.cos(h)]])
    expected = turn @ tilt @ (rays / np.linalg.norm(rays, axis=0)) + 2
    np.testing.assert_allclose(view.reshape(3, -1).numpy(), expected, atol=2e-3)


def test_the_middle_of_the_panorama_is_ahead_right_is_right_and_up_is_up():
    panorama = np.zeros((3, 64, 128), np.float16)
    panorama[0, :, 64:] = 1  # the right half
    panorama[1, :32] = 1  # the upper half
    view = render(panorama, size=(8, 8))
    np.testing.assert_allclose(view[0, :, [0, 7]], [[0, 1]] * 8, atol=1e-5)
    np.testing.assert_allclose(view[1, [0, 7]], [[1] * 8, [0] * 8], atol=1e-5)
    assert render(panorama, pitch=60.0, fov=30.0)[1].min() > 0.9999
    assert render(panorama, yaw=90.0, fov=30.0)[0].min() > 0.9999


def test_a_full_turn_is_no_turn(panorama):
    torch.testing.assert_close(render(panorama, yaw=17.0), render(panorama, yaw=377.0), rtol=0, atol=1e-4)
    torch.testing.assert_close(render(panorama, yaw=-180.0), render(panorama, yaw=180.0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("columns", [1, 40, 64, 127])
def test_turning_the_camera_is_rolling_the_panorama(panorama, columns):
    rolled = np.roll(panorama, -columns, axis=2)
    expected = render(rolled, pitch=20.0)
    torch.testing.assert_close(render(panorama, yaw=columns * 360 / 128, pitch=20.0), expected, rtol=0, atol=2e-4)


def test_a_mirrored_panorama_gives_the_mirrored_view(panorama):
    mirrored = render(panorama[:, :, ::-1], yaw=-50.0, pitch=-10.0)
    torch.testing.assert_close(mirrored.flip(-1), render(panorama, yaw=50.0, pitch=-10.0), rtol=0, atol=2e-4)


def test_there_is_no_seam():
    """Behind the camera a smooth panorama is as smooth as ahead of it."""
    panorama = smooth_panorama(256)
    ahead = render(panorama, yaw=0.0, fov=30.0, size=(16, 200)).diff(dim=-1).abs().max()
    behind = render(panorama, yaw=180.0, fov=30.0, size=(16, 200)).diff(dim=-1).abs().max()
    torch.testing.assert_close(behind, ahead, rtol=0.05, atol=1e-5)


def test_a_small_light_keeps_its_energy_in_a_coarse_view():
    """One bright pixel is found wherever the coarse grid lies, with a mean that varies little."""
    panorama = np.zeros((3, 256, 512), np.float16)
    panorama[:, 128, 256] = 1000
    means = [render(panorama, yaw=yaw, size=(16, 16)).mean().item() for yaw in np.linspace(-5, 5, 23)]
    assert min(means) > 0
    assert np.std(means) / np.mean(means) < 0.15


def test_views_of_any_shape_are_non_negative(panorama):
    for size in [(1, 1), (1, 7), (9, 2)]:
        view = render(panorama, pitch=-35.0, size=size)
        assert view.shape == (3, *size)
        assert view.dtype == torch.float32
        assert 0 <= view.min() <= view.max() <= 1
