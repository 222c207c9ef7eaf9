"""A colour chart photographed as JPEG and RAW: a response against light that no merge had a part in.

Each camera has two lights with four exposures each. The three frames -2, 0 and +2 places around the middle of one
light teach; those of the other light are judged, on the six neutral patches: for these, unlike for colours, a camera's
colour matrix is one factor a channel, and that factor is free. The prior is refitted without the camera that is judged.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from scoring import Errors
from stacks import Case, Stack
from systems import Converter
from tables import Row
from unseen import without_camera

_PATCHES = (4, 6)
_HALF_PATCH_PX = 12
_NEUTRAL = slice(18, 24)
# RAW is stored in 8 bits: below this its rounding rules
_LEAST_RAW = 4.0


class _Light(NamedTuple):
    frames: list[np.ndarray]
    raw: list[np.ndarray]
    times: np.ndarray


def chart_rows(root: Path, converter: Converter, *, curves: Path) -> Iterator[Row]:
    """Yield errors of every system on every camera's chart, in each light by what the other one taught.

    Args:
        root: A folder for each camera.
        converter: All systems.
        curves: The real curves ``dorf201.npz``, for priors without the camera.
    """
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        lights = [_read_light(folder, number) for number in (1, 2)]
        with without_camera(folder.name, converter, curves=curves, charts=root):
            for judged, teaching in ((0, 1), (1, 0)):
                yield from _judge(folder.name, lights[judged], lights[teaching], converter, label=f"light {judged + 1}")


def _judge(camera: str, judged: _Light, teaching: _Light, converter: Converter, *, label: str) -> Iterator[Row]:
    teacher = _as_stack(camera, teaching, query=1)
    found: dict[str, list[np.ndarray]] = {}
    refusals: dict[str, str] = {}
    for number, raw in enumerate(judged.raw):
        case = Case(_as_stack(camera, judged, query=number), teacher, [0, 1, 2])
        for conversion in converter.conversions(case):
            error = _patch_error(conversion.light, judged.frames[number], raw)
            found.setdefault(conversion.system, []).append(error)
            refusals[conversion.system] = conversion.refusal
    for system, errors in found.items():
        error = np.concatenate(errors)
        error = error - np.nanmedian(error, axis=0)
        ok = float(np.sqrt(np.nanmean(error**2)))
        row = Errors(ok, *[float("nan")] * 4)
        yield Row("chart", f"{camera}, {label}", camera, False, False, system, refusals[system], *row)


def _patch_error(light: np.ndarray, ldr: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """Return stops of error on each neutral patch and channel, NaN where JPEG or RAW says nothing."""
    shown, linear, predicted = (_patch_means(picture)[_NEUTRAL] for picture in (ldr, raw, light))
    is_known = (shown > 12) & (shown < 240) & (linear >= _LEAST_RAW) & (linear < 250)
    # what one frame is off in scale is not free: the frames of a light share it, so that their whole range counts
    return np.where(is_known, np.log2(np.maximum(predicted, 1e-9)) - np.log2(np.maximum(linear, 1e-9)), np.nan)


def _patch_means(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    rows, columns = _PATCHES
    means = []
    for row in range(rows):
        for column in range(columns):
            y, x = int((row + 0.5) / rows * height), int((column + 0.5) / columns * width)
            part = picture[y - _HALF_PATCH_PX : y + _HALF_PATCH_PX, x - _HALF_PATCH_PX : x + _HALF_PATCH_PX]
            means.append(part.reshape(-1, 3).mean(axis=0))
    return np.array(means)


def _read_light(folder: Path, number: int) -> _Light:
    frames, raw = (
        [cv2.imread(str(folder / f"wb1i{number}e{step}-{kind}.png"))[..., ::-1].copy() for step in range(1, 5)]
        for kind in ("jpg", "raw")
    )
    return _Light(frames, raw, _relative_times(raw))


def _relative_times(raw: Sequence[np.ndarray]) -> np.ndarray:
    """Return exposure times up to a factor, from RAW: the medians of the patches' ratios from frame to frame."""
    means = [_patch_means(picture) for picture in raw]
    stops = [0.0]
    for darker, brighter in pairwise(means):
        is_known = (darker >= _LEAST_RAW) & (brighter < 250)
        stops.append(stops[-1] + float(np.median(np.log2(brighter[is_known] / darker[is_known]))))
    return 2.0 ** np.array(stops)


def _as_stack(camera: str, light: _Light, *, query: int) -> Stack:
    return Stack(camera, camera, camera, light.frames, light.times, query, light.raw[query].astype(float))
