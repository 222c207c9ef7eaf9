"""Exposure bracket to sensor exposure: merges by a curve, and the classical recovery of one.

They see what the response curve saw. Colour gains and mixing come before the curve, so each channel's result is
in the colours of that sensor, and each channel clips at 1.
"""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ldr2hdr.calibration.curve import FIRST_WHITE, NUM_LEVELS, levels_of, look_up
from ldr2hdr.calibration.fusion import fuse
from ldr2hdr.calibration.information import SAME_SCENE_EVIDENCE, fit_rows
from ldr2hdr.calibration.posterior import posterior_mean
from ldr2hdr.calibration.prior import read_curve_prior
from ldr2hdr.calibration.rows import JointHistograms, bracket_rows, disagreement
from ldr2hdr.calibration.tones import measure, tones_of_curve

_WHITE: Final = NUM_LEVELS - 1
# Weight of a sample beside a white pixel, where ringing of JPEG and blur pull clipped pixels far below white. Median
# error on simulated cameras with JPEG (16 brackets of 3 exposures, 2 stops apart, 256 px): 0.63 stops with full
# weight, mostly of scale, 0.12 with this one. No weight at all loses the scale where nothing else is bright.
_BESIDE_WHITE_WEIGHT: Final = 0.05
# Of virtual cameras and small pictures. Labels of 32 virtual brackets (8 cameras each of four families) err by .146
# stops, by .149 with what real brackets have, which are foretold to .320 stops with these, to .317 with theirs.
_LEVEL_DEVIATION: Final = 2.0
_TONE_DEVIATION: Final = 0.02
# Pixels that samples are chosen from: more make the sort slow and the choice no better.
_MAX_CANDIDATES: Final = 2**18


class _Samples(NamedTuple):
    levels: Int[Tensor, "s n"]
    weight: Float[Tensor, "s n"]


@dataclass(frozen=True)
class InverseResponse:
    """Inverse response: the light that each level of an 8-bit picture stands for.

    Attributes:
        log_exposure: Natural logarithm of sensor exposure for each level, float64, never falling, 0 at level 255.
        residual_stops: Weighted root mean square by which the samples' exposures disagree, in stops; near the
            quantisation error for a bracket of one still scene, above half a stop for unrelated pictures.
    """

    log_exposure: Float[Tensor, "3 256"]
    residual_stops: float


@dataclass(frozen=True)
class MergedExposure:
    """One estimate for each pixel, and where the bracket gives only a bound.

    Attributes:
        exposure: Sensor exposure at ev 0, float32.
        is_clipped: White in every picture: ``exposure`` is the darkest picture's clipping point, a lower bound.
        is_black: Black in every picture: ``exposure`` is the brightest picture's black level.
    """

    exposure: Float[Tensor, "3 h w"]
    is_clipped: Bool[Tensor, "3 h w"]
    is_black: Bool[Tensor, "3 h w"]


class RecoveredCurve(NamedTuple):
    """Response that is to merge the very bracket it comes from.

    Attributes:
        log_curve: Natural logarithm of exposure by level, never falling, 0 at level 250.
        disagreement_stops: By how much the exposures disagree about their scene, see `disagreement`.
    """

    log_curve: Float[Tensor, "256 3"]
    disagreement_stops: float


def recover_curve(histograms: JointHistograms, evs: Float[Tensor, " n"]) -> RecoveredCurve:
    """Recover the response as the posterior of a prior that real cameras taught.

    Args:
        histograms: Joint levels of the exposures.
        evs: Exposure of each in stops, relative to any common value.
    """
    prior, rows = read_curve_prior(), bracket_rows(histograms, evs)
    # whether there is one scene is asked of the curve that fits best, not of one that the prior holds back
    log_curve, free = (
        posterior_mean(fit_rows(rows, prior, num_frames=len(evs), evidence=evidence).information, prior)
        for evidence in (SAME_SCENE_EVIDENCE, 1.0)
    )
    return RecoveredCurve(log_curve, disagreement(rows, free))


def recover_response_DebevecMalik1997(
    ldr: Float[Tensor, "n 3 h w"],
    evs: Float[Tensor, " n"],
    *,
    smoothness: float = 3.0,
    samples_per_level: int = 16,
    is_valid: Bool[Tensor, "n h w"] | None = None,
) -> InverseResponse:
    """Recover the inverse response of each channel from exposures of one scene.

    Least squares of eq. 3 in float64, with the scene's exposures eliminated, and with hat weights that are zero at
    both ends: black and white only say that the light was out of range. The scale that a bracket cannot know is
    fixed by ``g(255) = 0``: the sensor clips at 1. Pixels are chosen by rule, not by hand: of each picture and
    each level the same number, evenly spaced in scan order. A curve that falls somewhere, through noise or
    where nothing was observed, is replaced by the mean of its running maximum from below and its running minimum
    from above, which never falls and leaves the parts that rise as they are.

    Args:
        ldr: 8-bit pictures in [0, 1], display-referred, aligned.
        evs: Exposure of each picture in stops, relative to any common value.
        smoothness: Lambda of eq. 3 per sample, for weights with a peak of 1.
        samples_per_level: Pixels chosen for each level of each picture, or all where there are fewer.
        is_valid: Pixels that show the scene, false where alignment left a border; all if None.

    Raises:
        ValueError: If the bracket is not one of pictures in [0, 1] with at least two different finite exposures,
            or in a channel no pixel is between black and white in two of them.

    References:
        Debevec and Malik, SIGGRAPH 1997, eq. 3 and 4.
    """
    levels = _levels(ldr, evs)
    log_times = evs.double() * math.log(2)
    valid = torch.ones_like(levels[:, 0], dtype=torch.bool) if is_valid is None else is_valid
    is_shown = valid.all(dim=0)
    brightest = levels.amax(dim=1).where(valid, 0)[:, None].float()
    brightest = F.max_pool2d(brightest, kernel_size=3, stride=1, padding=1)
    trust = torch.where(brightest >= FIRST_WHITE, _BESIDE_WHITE_WEIGHT, 1.0).double().expand_as(levels)
    curves, deviations, weights = [], [], []
    for channel, name in enumerate(("red", "green", "blue")):
        samples = _choose_samples(levels[:, channel, is_shown].T, trust[:, channel, is_shown].T, samples_per_level)
        if len(samples.levels) == 0:
            raise ValueError(
                f"response recovery needs pixels between black and white in two exposures, got none in {name} for "
                f"evs {evs.tolist()}; take exposures that are closer together, or nearer to the metered one"
            )
        curve = _solve(samples, log_times, smoothness)
        curves.append((curve.cummax(0).values + curve.flip(0).cummin(0).values.flip(0)) / 2)
        deviations.append(_deviation(curves[-1][samples.levels] - log_times, samples.weight).flatten())
        weights.append(samples.weight.flatten())
    deviation, weight = torch.cat(deviations), torch.cat(weights)
    residual_stops = ((weight * deviation**2).sum() / weight.sum()).sqrt().item() / math.log(2)
    return InverseResponse(torch.stack(curves), residual_stops)


def merge_DebevecMalik1997(
    ldr: Float[Tensor, "n 3 h w"],
    evs: Float[Tensor, " n"],
    *,
    response: InverseResponse,
    is_valid: Bool[Tensor, "n h w"] | None = None,
) -> MergedExposure:
    """Merge exposures of one scene: the weighted mean of log exposure, with no weight on black and white.

    A pixel without any weight is known by bounds only: white in the darkest picture bounds it from below, black
    in the brightest from above; where both hold (black in one, white in the next) it is their geometric mean.

    Args:
        ldr: 8-bit pictures in [0, 1], display-referred, aligned.
        evs: Exposure of each picture in stops.
        response: Inverse response of the camera.
        is_valid: Pixels that show the scene, false where alignment left a border; all if None.

    Raises:
        ValueError: If the bracket is not one of pictures in [0, 1] with at least two different finite exposures,
            or some pixel is valid in no picture.

    References:
        Debevec and Malik, SIGGRAPH 1997, eq. 6.
    """
    levels = _levels(ldr, evs)
    valid = torch.ones_like(levels, dtype=torch.bool) if is_valid is None else is_valid[:, None].expand_as(levels)
    _require_shown(valid)
    log_exposures = look_up(response.log_exposure, levels) - (evs.double() * math.log(2))[:, None, None, None]
    weight = _confidence(levels) * valid
    is_weighted = weight.sum(dim=0) > 0
    mean = (weight * log_exposures).sum(dim=0) / torch.where(is_weighted, weight.sum(dim=0), 1)
    lowest = log_exposures.where((levels >= FIRST_WHITE) & valid, -torch.inf).amax(dim=0)
    highest = log_exposures.where((levels == 0) & valid, torch.inf).amin(dim=0)
    is_clipped = ~is_weighted & highest.isinf()
    is_black = ~is_weighted & lowest.isinf()
    bound = torch.where(is_clipped, lowest, torch.where(is_black, highest, (lowest + highest) / 2))
    return MergedExposure(torch.where(is_weighted, mean, bound).exp().float(), is_clipped, is_black)


def merge_exposures(
    ldr: Float[Tensor, "n 3 h w"],
    evs: Float[Tensor, " n"],
    *,
    log_curve: Float[Tensor, "256 3"],
    is_valid: Bool[Tensor, "n h w"] | None = None,
) -> MergedExposure:
    """Merge exposures of one scene by a given curve: `fuse` with the weights of `measure`, as ``ldr2hdr merge`` does.

    Each channel is merged by itself. A pixel without weight in all pictures is known by bounds, as in
    `merge_DebevecMalik1997`.

    Args:
        ldr: 8-bit pictures in [0, 1], display-referred, aligned.
        evs: Exposure of each picture in stops.
        log_curve: Natural logarithm of exposure by level, never falling; level 255 becomes exposure 1.
        is_valid: Pixels that show the scene, false where alignment left a border; all if None.

    Raises:
        ValueError: If the bracket is not one of pictures in [0, 1] with at least two different finite exposures,
            or some pixel is valid in no picture.
    """
    levels = _levels(ldr, evs)
    valid = torch.ones_like(levels[:, 0], dtype=torch.bool) if is_valid is None else is_valid
    _require_shown(valid)
    tones = tones_of_curve(log_curve, level_deviation=_LEVEL_DEVIATION, tone_deviation=_TONE_DEVIATION)
    exposures = [
        measure(tones, picture.movedim(0, -1).float().cpu().contiguous().numpy()).scaled(2.0**-ev)
        for picture, ev in zip(levels, evs.tolist(), strict=True)
    ]
    fused = fuse(exposures, [shown.float().cpu().numpy() for shown in valid])
    light, is_clipped, is_black = (
        torch.from_numpy(part).movedim(-1, 0).contiguous().to(ldr.device)
        for part in (fused.light / tones.light[_WHITE], fused.is_clipped, fused.is_black)
    )
    return MergedExposure(light, is_clipped, is_black)


def _require_shown(valid: Bool[Tensor, "n *s"]) -> None:
    if not bool(valid.any(dim=0).all()):
        raise ValueError("merging needs each pixel to be valid in one picture at least, got pixels valid in none")


def _levels(ldr: Float[Tensor, "n 3 h w"], evs: Float[Tensor, " n"]) -> Int[Tensor, "n 3 h w"]:
    """The pictures as levels 0..255, once the bracket is known to be one."""
    if not bool(evs.isfinite().all()) or bool((evs == evs[0]).all()):
        raise ValueError(f"a bracket needs at least two different, finite exposures, got evs {evs.tolist()}")
    if not bool(((ldr >= 0) & (ldr <= 1)).all()):
        raise ValueError(
            f"a bracket needs pictures in [0, 1], got {ldr.min().item():.3g} to {ldr.max().item():.3g}; "
            "divide 8-bit levels by 255"
        )
    return levels_of(ldr)


def _hat(levels: Int[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Weights of eq. 4: 0 at both ends, 1 in the middle."""
    return torch.minimum(levels, _WHITE - levels).double() / (_WHITE // 2)


def _confidence(levels: Int[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """The hat, without the levels that may be clipped."""
    return _hat(levels).where(levels < FIRST_WHITE, 0)


def _choose_samples(levels: Int[Tensor, "p n"], trust: Float[Tensor, "p n"], samples_per_level: int) -> _Samples:
    """Pixels between black and white in two pictures: of each picture and level the same number, evenly spaced.

    Pixels of full and of little trust count as two kinds of level, so that neither crowds the other out.
    """
    stride = max(1, len(levels) // _MAX_CANDIDATES)
    levels, trust = levels[::stride], trust[::stride]
    weight = (_confidence(levels) * trust) ** 2
    is_usable = (weight > 0).sum(dim=1) >= 2
    levels, trust, weight = levels[is_usable], trust[is_usable], weight[is_usable]
    is_chosen = torch.zeros(len(levels), dtype=torch.bool, device=levels.device)
    for kind in (levels + NUM_LEVELS * (trust < 1)).T:
        order = kind.argsort(stable=True)
        counts = kind.bincount(minlength=2 * NUM_LEVELS)
        count = counts[kind[order]]
        rank = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[kind[order]]
        quota = count.clamp_max(samples_per_level)
        # of every count / quota pixels in a row, the first
        is_chosen[order[(rank * quota) % count < quota]] = True
    return _Samples(levels[is_chosen], weight[is_chosen])


def _solve(samples: _Samples, log_times: Float[Tensor, " n"], smoothness: float) -> Float[Tensor, " 256"]:
    """Minimise eq. 3 over the curve g with g(255) = 0.

    At the optimum a sample's log exposure is the weighted mean over its pictures, which leaves normal equations in
    g alone. Their solution is unique: smoothness ties each level to the next, the samples fix the slope.
    """
    levels, weight = samples
    # One block per sample: diag(w) - w w^T / sum(w) acts on the levels that the sample shows.
    shares = weight / weight.sum(dim=1, keepdim=True)
    blocks = torch.diag_embed(weight) - weight[:, :, None] * shares[:, None, :]
    cells = levels[:, :, None] * NUM_LEVELS + levels[:, None, :]
    normal = blocks.new_zeros(NUM_LEVELS**2).index_add(0, cells.flatten(), blocks.flatten())
    pull = weight * _deviation(log_times.expand_as(weight), weight)
    right = blocks.new_zeros(NUM_LEVELS).index_add(0, levels.flatten(), pull.flatten())
    bends = torch.diff(torch.eye(NUM_LEVELS, dtype=blocks.dtype, device=blocks.device), n=2, dim=0)
    bends = _hat(torch.arange(1, _WHITE, device=blocks.device))[:, None] * bends
    normal = normal.view(NUM_LEVELS, NUM_LEVELS) + smoothness * len(levels) * bends.T @ bends
    curve = torch.linalg.solve(normal[:_WHITE, :_WHITE], right[:_WHITE])
    return torch.cat([curve, curve.new_zeros(1)])


def _deviation(values: Float[Tensor, "s n"], weight: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
    """Each picture's value less the weighted mean over the pictures of its sample."""
    return values - (weight * values).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True)
