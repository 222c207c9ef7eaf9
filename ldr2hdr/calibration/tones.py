"""Tones of a camera: the light that a level stands for, how uncertain that is, and what a level weighs in a merge."""

from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ldr2hdr.calibration.curve import FIRST_WHITE, MAX_LEVEL, NUM_LEVELS

_WHITE: Final = NUM_LEVELS - 1
LEVEL_DEVIATION: Final = 1.0
"""Noise of a level by rounding, sensor and coder."""
TONE_DEVIATION: Final = 0.05
"""Relative error of light that pixels share: of the curve, of times, of local tone mapping."""
# Of a linear sensor: light of one electron (a small pixel holds 10000), and noise of reading, in units of white
_ELECTRON: Final = 1e-4
_READ_DEVIATION: Final = 3e-4
_LINEAR_DEVIATION: Final = 0.01
# Beside white, blur and coder mix clipped light in: from this level on, its own or a neighbour's, a pixel weighs less
_FIRST_DOUBTED: Final = 230.0
_LEAST_TRUST: Final = 0.02
_FIRST_BLACK: Final = 0.5


class Tones(NamedTuple):
    """Light of each level, 1 where the camera clips.

    Attributes:
        light: By level and channel, not falling.
        noise: Relative variance of that light from pixel to pixel.
        deviation: Relative error that is alike over many pixels: of the curve, of times, of local tone mapping.
        clips_together: Whether a channel that clips makes the others wrong, as in colours that were mixed afterwards.
    """

    light: Float[np.ndarray, "256 3"]
    noise: Float[np.ndarray, "256 3"]
    deviation: float
    clips_together: bool = False


class Measured(NamedTuple):
    """Tones of one exposure: what it says about the light in the picture.

    Attributes:
        light: 1 where the camera clips.
        noise: Relative variance of it from pixel to pixel.
        weight: Inverse of the relative variance with all errors; 0 where only a bound is known.
        is_white: Where the light is at least ``light``.
        is_black: Where it is at most ``light``.
    """

    light: Float[np.ndarray, "h w 3"]
    noise: Float[np.ndarray, "h w 3"]
    weight: Float[np.ndarray, "h w 3"]
    is_white: Bool[np.ndarray, "h w 3"]
    is_black: Bool[np.ndarray, "h w 3"]

    def scaled(self, factor: float) -> "Measured":
        """Return the same in another unit of light."""
        return self._replace(light=self.light * np.float32(factor))


def tones_of_curve(
    log_curve: Float[Tensor, "256 3"],
    *,
    level_deviation: float = LEVEL_DEVIATION,
    tone_deviation: float = TONE_DEVIATION,
) -> Tones:
    """Return the tones of a log inverse response.

    Args:
        log_curve: Natural logarithm of exposure by level, not falling, 0 at level 250.
        level_deviation: Noise, in levels.
        tone_deviation: Relative error of light that pixels share.

    Raises:
        ValueError: If it falls or is not finite.
    """
    curve = log_curve.detach().double().cpu()
    if not bool(curve.isfinite().all()) or bool((curve.diff(dim=0) < 0).any()):
        raise ValueError("expected a finite curve that never falls")
    slope = torch.gradient(curve, dim=0)[0]
    noise = (slope * level_deviation) ** 2
    light = (curve - curve[MAX_LEVEL]).exp()
    return Tones(light.numpy().astype(np.float32), noise.numpy().astype(np.float32), tone_deviation)


def linear_tones() -> Tones:
    """Return the tones of developed RAW files, whose levels are light: shot noise, and noise of reading."""
    light = np.arange(NUM_LEVELS) / _WHITE
    noise = (_ELECTRON * light + _READ_DEVIATION**2) / np.maximum(light, 0.25 / _WHITE) ** 2
    by_channel = np.repeat(np.stack([light, noise])[..., None], 3, axis=2).astype(np.float32)
    return Tones(by_channel[0], by_channel[1], _LINEAR_DEVIATION, clips_together=True)


def measure(tones: Tones, levels: Float[np.ndarray, "h w 3"]) -> Measured:
    """Return the light that levels stand for, and what it weighs.

    Args:
        tones: Of the camera.
        levels: 0 to 255, and between where a picture was moved by parts of a pixel.
    """
    light, noise = _look_up(tones.light, levels), _look_up(tones.noise, levels)
    brightest = cv2.dilate(levels, np.ones((3, 3), np.uint8))
    if tones.clips_together:
        brightest = np.repeat(brightest.max(axis=2, keepdims=True), 3, axis=2)
    is_white, is_black = levels >= FIRST_WHITE, levels < _FIRST_BLACK
    if tones.clips_together:
        is_white = np.repeat(is_white.any(axis=2, keepdims=True), 3, axis=2)
    trust = np.clip((FIRST_WHITE - brightest) / (FIRST_WHITE - _FIRST_DOUBTED), _LEAST_TRUST, 1)
    weight = np.where(is_white | is_black, 0, trust / (noise + tones.deviation**2)).astype(np.float32)
    return Measured(light, noise, weight, is_white, is_black)


def _look_up(table: Float[np.ndarray, "256 3"], levels: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    below = np.minimum(levels.astype(np.uint8), _WHITE - 1)
    found = np.empty(levels.shape, np.float32)
    for channel in range(3):
        index = below[..., channel]
        low, rise = table[:, channel], np.append(np.diff(table[:, channel]), 0).astype(np.float32)
        found[..., channel] = low[index] + rise[index] * (levels[..., channel] - index)
    return found
