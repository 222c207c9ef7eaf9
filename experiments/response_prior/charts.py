"""Neutral patches of a colour chart, photographed as JPEG and RAW: levels, and the light that made them."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

_ROWS, _COLUMNS = 4, 6
_PATCH_PX = 65
_INSIDE = slice(18, 47)
_NUM_COLOURS = 18
# RAW is stored in 8 bits: below this its rounding rules
_LEAST_RAW = 6.0
_CLIPPED_RAW = 253
_CLIPPED_SHARE = 0.02


class Chart(NamedTuple):
    """The six neutral patches in one light, at four exposures.

    Attributes:
        levels: Mean JPEG level, ``(4, 6, 3)``.
        log_light: Natural log of light on the sensor, at each exposure, ``(4, 6, 3)``; a factor a channel is unknown.
        is_known: Where RAW measures the light, ``(6, 3)``.
    """

    levels: np.ndarray
    log_light: np.ndarray
    is_known: np.ndarray


def read_chart(folder: Path, light: int) -> Chart:
    """Read a camera's chart in one of its two lights."""
    jpeg, raw = (
        np.stack([_patches(folder / f"wb1i{light}e{step}-{kind}.png") for step in range(1, 5)])
        for kind in ("jpg", "raw")
    )
    means = raw.mean(axis=2)
    log_times = _log_times(means)
    weight = ((raw >= _CLIPPED_RAW).mean(axis=2) <= _CLIPPED_SHARE).astype(float)
    times = np.exp(log_times)[:, None, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        log_light = np.log((means * weight).sum(axis=0) / (times * weight).sum(axis=0))
    is_known = (means * weight).max(axis=0) > _LEAST_RAW
    neutral = slice(_NUM_COLOURS, None)
    exposed = log_light[None, neutral] + log_times[:, None, None]
    return Chart(jpeg.mean(axis=2)[:, neutral], exposed, is_known[neutral])


def _patches(path: Path) -> np.ndarray:
    """Pixels of each patch, ``(24, n, 3)``."""
    picture = cv2.imread(str(path))
    if picture is None:
        raise OSError(f"cannot read the picture of a chart: {path}")
    grid = picture[: _ROWS * _PATCH_PX, : _COLUMNS * _PATCH_PX, ::-1].astype(float)
    grid = grid.reshape(_ROWS, _PATCH_PX, _COLUMNS, _PATCH_PX, 3)[:, _INSIDE, :, _INSIDE]
    return grid.transpose(0, 2, 1, 3, 4).reshape(_ROWS * _COLUMNS, -1, 3)


def _log_times(means: np.ndarray) -> np.ndarray:
    """Exposure of each frame by RAW: the medians of the patches' ratios from frame to frame."""
    steps = [0.0]
    for darker, brighter in pairwise(means):
        is_measured = (darker > 8) & (brighter < 245)
        steps.append(float(np.median(np.log(brighter[is_measured] / darker[is_measured]))))
    return np.cumsum(steps)
