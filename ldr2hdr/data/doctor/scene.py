"""Examination of the pixels of one scene."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.calibration.alignment import align_Ward2003
from ldr2hdr.calibration.merge import recover_response_DebevecMalik1997
from ldr2hdr.data.datasets.fitting import fit_pixels
from ldr2hdr.data.datasets.measured import compare_with_pixels, estimate_evs
from ldr2hdr.data.datasets.pixels import read_linear
from ldr2hdr.data.datasets.record import SceneRecord
from ldr2hdr.data.doctor.facts import ExposureFacts, HdrFacts, SceneFacts, judge_facts
from ldr2hdr.data.doctor.findings import Finding, from_problem
from ldr2hdr.data.doctor.pictures import (
    Reduced,
    dark_and_white,
    encode_thumbnail,
    range_stops,
    reduce_picture,
    sign_picture,
    tone_map,
)
from ldr2hdr.io import ImageError, read_ldr

MAX_RESIDUAL_STOPS: Final = 0.75  # the readers' default: pairs further apart are left out
_MAX_SHIFT_PX: Final = 32
# Below, a shift may be due to noise or to resampling
_SHIFT_PX: Final = 1
_MAX_THUMBNAILS: Final = 5


class Examined(NamedTuple):
    """Facts and findings of one scene; no facts if a file is damaged."""

    facts: SceneFacts | None
    findings: tuple[Finding, ...]


class _Measured(NamedTuple):
    """EVs by the pixels, and results of the fit to the HDR."""

    evs: tuple[float | None, ...]
    curve: Float[Tensor, "3 256"] | None = None
    scale: float | None = None
    residual_stops: float | None = None
    num_pixels: int | None = None
    is_usable: bool = True


def examine_scene(record: SceneRecord, *, tick: Callable[[Path], None]) -> Examined:
    """Decode all files of a scene, one after the other, and compare them.

    Args:
        record: The scene.
        tick: Called after each file.
    """
    findings: list[Finding] = []
    reduced: dict[Path, Reduced] = {}
    for path in record.paths:
        try:
            is_hdr = record.hdr is not None and path == record.hdr.path
            picture = read_linear(record.hdr) if is_hdr and record.hdr is not None else read_ldr(path)
            reduced[path] = reduce_picture(picture)
        except (ImageError, OSError) as error:
            findings.append(Finding("error", "damaged", path, str(error), record.id))
        tick(path)
    if findings:
        return Examined(None, tuple(findings))
    pictures = [reduced[exposure.path] for exposure in record.exposures]
    hdr = reduced[record.hdr.path] if record.hdr is not None else None
    measured, problems = _measure(record, pictures, hdr)
    shifts, of_shifts = _align(record, pictures)
    facts = _gather(record, pictures, hdr, measured=measured, shifts=shifts)
    return Examined(facts, (*problems, *of_shifts, *judge_facts(facts)))


def _measure(record: SceneRecord, pictures: Sequence[Reduced], hdr: Reduced | None) -> tuple[_Measured, list[Finding]]:
    if not pictures:
        return _Measured(()), []
    samples = torch.stack([picture.samples for picture in pictures])
    if hdr is None:
        problems = [from_problem(problem, scene=record.id) for problem in compare_with_pixels(record)]
        return _Measured(estimate_evs(samples) or (None,) * len(pictures), _recover(record, samples)), problems
    fitted, evs, fit = fit_pixels(record, samples, hdr.samples, max_residual_stops=MAX_RESIDUAL_STOPS)
    problems = [from_problem(problem, scene=record.id) for problem in fitted.problems]
    is_usable = fitted.record is not None
    if not math.isfinite(fit.residual_stops):
        return _Measured((None,) * len(evs), num_pixels=fit.num_pixels, is_usable=is_usable), problems
    measured = tuple(ev + error for ev, error in zip(evs, fit.ev_errors, strict=True))
    if not is_usable:  # its curve and scale mean nothing
        return _Measured(measured, None, None, fit.residual_stops, fit.num_pixels, is_usable=False), problems
    return _Measured(measured, fit.curve, fit.scale, fit.residual_stops, fit.num_pixels), problems


def _recover(record: SceneRecord, samples: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "3 256"] | None:
    evs = torch.tensor([exposure.ev for exposure in record.exposures])
    try:
        return recover_response_DebevecMalik1997(samples, evs).log_exposure / math.log(2)
    except ValueError:  # a single exposure, or none that overlap
        return None


def _align(record: SceneRecord, pictures: Sequence[Reduced]) -> tuple[list[tuple[int, int] | None], list[Finding]]:
    """Return the shifts of the middle of each exposure on the reference."""
    unknown: list[tuple[int, int] | None] = [None] * len(pictures)
    if len(pictures) < 2:
        return unknown, []
    patches = torch.stack([picture.patch for picture in pictures])
    evs = torch.tensor([exposure.ev for exposure in record.exposures])
    limit = min(_MAX_SHIFT_PX, min(patches.shape[-2:]) // 4)
    try:
        shifts = align_Ward2003(patches, evs, max_shift_px=limit).shifts_px.tolist()
    except ValueError as error:
        return unknown, [Finding("note", "not_alignable", record.exposures[0].path, str(error), record.id)]
    findings = [
        Finding(
            "warning" if max(abs(down), abs(right)) > _SHIFT_PX else "note",
            "misaligned",
            exposure.path,
            f"shifted by {down:+d} px down and {right:+d} px right against the middle exposure",
            record.id,
        )
        for exposure, (down, right) in zip(record.exposures, shifts, strict=True)
        if down or right
    ]
    return [(down, right) for down, right in shifts], findings


def _gather(
    record: SceneRecord,
    pictures: Sequence[Reduced],
    hdr: Reduced | None,
    *,
    measured: _Measured,
    shifts: Sequence[tuple[int, int] | None],
) -> SceneFacts:
    exposures = tuple(
        ExposureFacts(told.path, told.ev, told.ev_source, ev, *dark_and_white(picture.samples), shift)
        for told, picture, ev, shift in zip(record.exposures, pictures, measured.evs, shifts, strict=True)
    )
    whole = hdr or pictures[0]
    of_hdr = None
    if hdr is not None and record.hdr is not None:
        peak = hdr.samples.max().item() * (measured.scale or 0.0)
        stops = math.log2(peak) if peak > 0 else None
        of_hdr = HdrFacts(
            record.hdr.path,
            range_stops(hdr.samples),
            measured.scale,
            measured.residual_stops,
            stops,
            measured.num_pixels,
        )
    seen = hdr if hdr is not None else pictures[len(pictures) // 2]
    return SceneFacts(
        record=record,
        size=whole.size,
        exposures=exposures,
        hdr=of_hdr,
        is_usable=measured.is_usable,
        curve=measured.curve,
        signature=sign_picture(seen.small, is_linear=hdr is not None),
        thumbnails=tuple(_thumbnails(record, pictures, hdr)),
    )


def _thumbnails(record: SceneRecord, pictures: Sequence[Reduced], hdr: Reduced | None) -> Iterator[tuple[str, bytes]]:
    num = min(len(pictures), _MAX_THUMBNAILS)
    for position in range(num):
        # the darkest, the brightest, and between them at equal steps
        index = round(position * (len(pictures) - 1) / max(num - 1, 1))
        yield f"{record.exposures[index].ev:+.1f} EV", encode_thumbnail(pictures[index].small)
    if hdr is not None:
        yield "HDR, tone-mapped", encode_thumbnail(tone_map(hdr.small))
