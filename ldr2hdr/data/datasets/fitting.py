"""Records brought to sensor exposure, each fitted once and remembered; those that do not fit are told."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from ldr2hdr.data.datasets.ev import sort_exposures
from ldr2hdr.data.datasets.pixels import read_exposures, read_linear
from ldr2hdr.data.datasets.record import HdrReference, Problem, SceneRecord
from ldr2hdr.data.datasets.scale import fit_scale
from ldr2hdr.io import ImageError
from ldr2hdr.io.files import replacing

_FORMAT_VERSION: Final = 1
# A response rises; one that is four times flatter than gamma 2.2 was fitted to pictures of different scenes
_MIN_RISE: Final = 0.25
# Local tone mapping was measured to feign 0.37 stops
_MAX_EV_ERROR: Final = 0.5


class Fitted(NamedTuple):
    """A record at its scale, or None if it cannot be used, and what is wrong with it."""

    record: SceneRecord | None
    problems: tuple[Problem, ...]


class _Fit(NamedTuple):
    """What is remembered of a `ScaleFit`, with the EVs that it is of."""

    scale: float
    residual_stops: float
    rise: float
    num_pixels: int
    evs: tuple[float, ...]
    ev_errors: tuple[float, ...]


def fit_record(record: SceneRecord, *, cache_dir: Path, max_residual_stops: float) -> Fitted:
    """Bring a record's HDR to sensor exposure; EVs that were estimated from pixels are estimated anew by it.

    Args:
        record: With exposures and HDR.
        cache_dir: Where fits are remembered, by the content of the files.
        max_residual_stops: What is further from the HDR than this cannot be used.

    Raises:
        ValueError: If the record has no exposures or no HDR.
    """
    hdr = record.hdr
    if hdr is None or not record.exposures:
        raise ValueError(f"expected a scene with exposures and HDR, got {record.id!r} without")
    settings = (hdr.transfer, [(exposure.ev, exposure.ev_source) for exposure in record.exposures])
    of_settings = hashlib.sha256(repr(settings).encode()).hexdigest()[:8]
    remembered = cache_dir / "fits" / f"{record.content_hash}-{of_settings}-v{_FORMAT_VERSION}.json"
    try:
        fit = _recall(remembered) if remembered.exists() else _fit(record, hdr)
    except ImageError as error:
        damaged = next((path for path in record.paths if str(path) in str(error)), hdr.path)
        return Fitted(None, (Problem("damaged", damaged, str(error)),))
    if not remembered.exists():
        _remember(fit, remembered)
    return _judge(record, hdr, fit, max_residual_stops=max_residual_stops)


def _fit(record: SceneRecord, hdr: HdrReference) -> _Fit:
    pictures, linear = read_exposures(record.exposures), read_linear(hdr)
    evs = tuple(exposure.ev for exposure in record.exposures)
    if pictures.shape[1:] != linear.shape:
        raise ImageError(f"expected the size of the exposures, {tuple(pictures.shape[2:])}: {hdr.path}")
    found = fit_scale(pictures, linear, evs=evs)
    if len(evs) > 1 and all(exposure.ev_source == "pixels" for exposure in record.exposures):
        evs = tuple(ev + error for ev, error in zip(evs, found.ev_errors, strict=True))
        found = fit_scale(pictures, linear, evs=evs)
    return _Fit(found.scale, found.residual_stops, found.rise, found.num_pixels, evs, found.ev_errors)


def _judge(record: SceneRecord, hdr: HdrReference, fit: _Fit, *, max_residual_stops: float) -> Fitted:
    mismatches = tuple(
        Problem("ev_mismatch", exposure.path, f"the exposure is {error:+.2f} stops off its EV by {exposure.ev_source}")
        for exposure, error in zip(record.exposures, fit.ev_errors, strict=True)
        if abs(error) > _MAX_EV_ERROR
    )
    if fit.rise < _MIN_RISE or fit.residual_stops > max_residual_stops:
        message = (
            f"no response of a camera leads from the HDR to the exposures: residual {fit.residual_stops:.2f} stops "
            f"(dataset.max_residual_stops={max_residual_stops:g}), rise {fit.rise:.2f} of gamma 2.2 (at least "
            f"{_MIN_RISE}), {fit.num_pixels} well-exposed pixels; scene {record.id!r} is left out"
        )
        return Fitted(None, (*mismatches, Problem("misfit", hdr.path, message)))
    scaled = replace(hdr, scale=fit.scale, fit_residual=fit.residual_stops)
    exposures = sort_exposures(replace(exposure, ev=ev) for exposure, ev in zip(record.exposures, fit.evs, strict=True))
    return Fitted(replace(record, hdr=scaled, exposures=exposures), mismatches)


def _remember(fit: _Fit, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(fit._asdict()))


def _recall(path: Path) -> _Fit:
    entries = json.loads(path.read_text())
    return _Fit(**entries | {key: tuple(entries[key]) for key in ("evs", "ev_errors")})
