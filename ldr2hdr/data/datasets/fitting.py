"""Records brought to sensor exposure, each fitted once and remembered; those that do not fit become problems."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from jaxtyping import Float
from torch import Tensor

from ldr2hdr.calibration.scale import ScaleFit, fit_scale
from ldr2hdr.data.datasets.ev import sort_exposures
from ldr2hdr.data.datasets.pixels import read_exposures, read_linear
from ldr2hdr.data.datasets.record import HdrReference, Problem, SceneRecord
from ldr2hdr.io import ImageError
from ldr2hdr.io.files import replacing

_FORMAT_VERSION: Final = 2
# A response rises; one that is four times flatter than gamma 2.2 was fitted to pictures of different scenes
_MIN_RISE: Final = 0.25
# Of 192 single exposures by virtual cameras, one had less with its own HDR, none more with that of another scene
_MIN_AGREEMENT: Final = 0.7
# Local tone mapping was measured to feign 0.37 stops
_MAX_EV_ERROR: Final = 0.5


class Fitted(NamedTuple):
    """A record at its scale without exposures that do not fit, None if it cannot be used; and what is wrong with it."""

    record: SceneRecord | None
    problems: tuple[Problem, ...]


class FittedPixels(NamedTuple):
    """Fit of pixels that are in memory.

    Attributes:
        fitted: What became of the record.
        evs: Of its exposures in their order; estimated anew where they had been estimated.
        fit: At these EVs.
    """

    fitted: Fitted
    evs: tuple[float, ...]
    fit: ScaleFit


class _Fit(NamedTuple):
    """Remembered part of a `ScaleFit`, with the EVs that it is of."""

    scale: float
    deviations_stops: tuple[float, ...]
    rise: float
    agreement: float
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
    hdr = _require_hdr(record)
    settings = (hdr.transfer, [(exposure.ev, exposure.ev_source) for exposure in record.exposures])
    of_settings = hashlib.sha256(repr(settings).encode()).hexdigest()[:8]
    remembered = cache_dir / "fits" / f"{record.content_hash}-{of_settings}-v{_FORMAT_VERSION}.json"
    try:
        fit = _recall(remembered) if remembered.exists() else _read_and_fit(record, hdr)
    except ImageError as error:
        return Fitted(None, (Problem.of_damage((hdr.path, *record.paths), error),))
    if not remembered.exists():
        _remember(fit, remembered)
    return _judge(record, hdr, fit, max_residual_stops=max_residual_stops)


def fit_pixels(
    record: SceneRecord,
    pictures: Float[Tensor, "n 3 h w"],
    linear: Float[Tensor, "3 h w"],
    *,
    max_residual_stops: float,
) -> FittedPixels:
    """Fit as `fit_record` does, but pixels that are in memory, and remember nothing.

    Args:
        record: With exposures and HDR.
        pictures: Its exposures, or the same pixels of each.
        linear: Its HDR, not scaled, at these pixels.
        max_residual_stops: What is further from the HDR than this cannot be used.

    Raises:
        ValueError: If the record has no exposures or no HDR, or sizes do not match.
    """
    hdr = _require_hdr(record)
    evs, fit = _fit(record, pictures, linear)
    return FittedPixels(_judge(record, hdr, _summary(evs, fit), max_residual_stops=max_residual_stops), evs, fit)


def _require_hdr(record: SceneRecord) -> HdrReference:
    if record.hdr is None or not record.exposures:
        raise ValueError(f"expected a scene with exposures and HDR, got {record.id!r} without")
    return record.hdr


def _read_and_fit(record: SceneRecord, hdr: HdrReference) -> _Fit:
    pictures, linear = read_exposures(record.exposures), read_linear(hdr)
    if pictures.shape[1:] != linear.shape:
        raise ImageError(f"expected the size of the exposures, {tuple(pictures.shape[2:])}: {hdr.path}")
    return _summary(*_fit(record, pictures, linear))


def _fit(
    record: SceneRecord, pictures: Float[Tensor, "n 3 h w"], linear: Float[Tensor, "3 h w"]
) -> tuple[tuple[float, ...], ScaleFit]:
    evs = tuple(exposure.ev for exposure in record.exposures)
    found = fit_scale(pictures, linear, evs=evs)
    if len(evs) > 1 and all(exposure.ev_source == "pixels" for exposure in record.exposures):
        evs = tuple(ev + error for ev, error in zip(evs, found.ev_errors, strict=True))
        found = fit_scale(pictures, linear, evs=evs)
    return evs, found


def _summary(evs: tuple[float, ...], fit: ScaleFit) -> _Fit:
    return _Fit(fit.scale, fit.deviations_stops, fit.rise, fit.agreement, fit.num_pixels, evs, fit.ev_errors)


def _judge(record: SceneRecord, hdr: HdrReference, fit: _Fit, *, max_residual_stops: float) -> Fitted:
    mismatches = tuple(
        Problem("ev_mismatch", exposure.path, f"the exposure is {error:+.2f} stops off its EV by {exposure.ev_source}")
        for exposure, error in zip(record.exposures, fit.ev_errors, strict=True)
        if abs(error) > _MAX_EV_ERROR
    )
    is_near = [deviation <= max_residual_stops for deviation in fit.deviations_stops]
    if fit.rise < _MIN_RISE or fit.agreement < _MIN_AGREEMENT or 2 * sum(is_near) <= len(is_near):
        message = (
            f"no response of a camera leads from the HDR to the exposures: {len(is_near) - sum(is_near)} of "
            f"{len(is_near)} are further off than dataset.max_residual_stops={max_residual_stops:g}, the worst by "
            f"{max(fit.deviations_stops):.2f} stops; rise {fit.rise:.2f} of gamma 2.2 (at least {_MIN_RISE}), rank "
            f"correlation {fit.agreement:.2f} (at least {_MIN_AGREEMENT}), {fit.num_pixels} well-exposed pixels; scene "
            f"{record.id!r} is left out"
        )
        return Fitted(None, (*mismatches, Problem("misfit", hdr.path, message)))
    deviations = zip(record.exposures, fit.deviations_stops, is_near, strict=True)
    left_out = tuple(
        Problem("misfit", exposure.path, f"the exposure is {deviation:.2f} stops off the HDR and is left out")
        for exposure, deviation, near in deviations
        if not near
    )
    kept = (
        replace(exposure, ev=ev) for exposure, ev, near in zip(record.exposures, fit.evs, is_near, strict=True) if near
    )
    scaled = replace(hdr, scale=fit.scale)
    return Fitted(replace(record, hdr=scaled, exposures=sort_exposures(kept)), (*mismatches, *left_out))


def _remember(fit: _Fit, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(fit._asdict()))


def _recall(path: Path) -> _Fit:
    entries = json.loads(path.read_text())
    return _Fit(**entries | {key: tuple(entries[key]) for key in ("deviations_stops", "evs", "ev_errors")})
