"""EVs measured from pixels, for sets that state none, and to check those that do."""

import functools
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.calibration.curve import is_well_exposed, levels_of
from ldr2hdr.data.cameras.crf import SrgbCurve
from ldr2hdr.data.datasets.ev import Told
from ldr2hdr.data.datasets.headers import Setting
from ldr2hdr.data.datasets.pixels import read_exposures
from ldr2hdr.data.datasets.record import Problem, SceneRecord
from ldr2hdr.io import read_ldr

_MAX_PIXELS: Final = 2**18
_MIN_SHARED: Final = 50
# sRGB stands in for the camera's own curve, of unknown contrast: of virtual cameras, steps of 2 stops were measured
# within 0.3 (median) and 0.95 (largest of 48); of a scene of LDR-HDR-pair, as 2.5 and 2.2
_TOLERANCE: Final = 0.5


def estimate_evs(ldr: Float[Tensor, "n 3 h w"]) -> tuple[float, ...] | None:
    """EVs of the exposures of a static scene, that of the middle one 0, as if the response were sRGB.

    Neighbours in brightness are compared: the median over all pixels that are well exposed in both.

    Returns:
        None if two neighbours share fewer than 50 well-exposed pixels.
    """
    step = max(1, round((ldr[0, 0].numel() / _MAX_PIXELS) ** 0.5))
    small = ldr[..., ::step, ::step]
    order = small.mean(dim=(1, 2, 3)).argsort().tolist()
    stops = SrgbCurve().inverse(small.double()).log2()
    is_told = is_well_exposed(levels_of(small))
    evs = {order[0]: 0.0}
    for darker, brighter in itertools.pairwise(order):
        shared = is_told[darker] & is_told[brighter]
        if int(shared.sum()) < _MIN_SHARED:
            return None
        evs[brighter] = evs[darker] + (stops[brighter] - stops[darker])[shared].median().item()
    middle = evs[order[(len(order) - 1) // 2]]
    return tuple(evs[index] - middle for index in range(len(ldr)))


def tell_by_pixels(paths: Sequence[Path]) -> Told:
    """Measure EVs by `estimate_evs`; there are none where it finds none, or the exposures differ in size.

    The files are decoded once per process, until they change.

    Raises:
        ImageError: If a file cannot be read.
    """
    states = tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in paths)
    evs = _estimate_evs_of(states)
    return Told("pixels", {} if evs is None else {path: Setting(ev) for path, ev in zip(paths, evs, strict=True)})


@functools.cache
def _estimate_evs_of(states: tuple[tuple[Path, int, int], ...]) -> tuple[float, ...] | None:
    pictures = [read_ldr(path) for path, _, _ in states]
    if len({tuple(picture.shape) for picture in pictures}) != 1:
        return None
    return estimate_evs(torch.stack(pictures))


def compare_with_pixels(record: SceneRecord) -> tuple[Problem, ...]:
    """Exposures whose step from the next darker one is not what the pixels show, by more than half of it.

    A check for sets without HDR; with one, the fit of the scale gives it without knowing the response.

    Raises:
        ImageError: If a file cannot be read.
    """
    if len(record.exposures) < 2:
        return ()
    evs = estimate_evs(read_exposures(record.exposures))
    if evs is None:
        message = "neighbouring exposures share too few well-exposed pixels to check their EVs"
        return (Problem("ev_missing", record.exposures[0].path, message),)
    problems = []
    pairs = zip(record.exposures, record.exposures[1:], evs, evs[1:], strict=False)
    for darker, brighter, measured_darker, measured_brighter in pairs:
        nominal, measured = brighter.ev - darker.ev, measured_brighter - measured_darker
        if abs(measured - nominal) > _TOLERANCE * max(nominal, 1.0):
            message = f"{nominal:.2f} stops above {darker.path.name} by {brighter.ev_source}, {measured:.2f} by pixels"
            problems.append(Problem("ev_mismatch", brighter.path, message))
    return tuple(problems)
