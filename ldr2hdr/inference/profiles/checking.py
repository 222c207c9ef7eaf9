"""Check of a response curve on what it was not made of: other scenes, other exposures, or other parts of the picture."""

import math
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.calibration.posterior import CurveInformation, fit_rows, pool, posterior_mean
from ldr2hdr.calibration.prior import CurvePrior
from ldr2hdr.calibration.rows import BracketRows, row_errors
from ldr2hdr.inference.profiles.scenes import Scene, judge, judged_weight, signs, weighted_median

# How much more or less than by the prior's own account what a bracket says may count
_STRENGTHS: Final = (0.1, 0.3, 1.0, 3.0)
Kind = Literal["scenes", "exposures", "parts"]
BAND_LEVELS: Final = 16
NUM_BANDS: Final = 256 // BAND_LEVELS
GAPS_STOPS: Final = (0.0, 1.0, 2.0, 3.0, 5.0)


class Judgement(NamedTuple):
    """Stops by which curves miss what they were not made of.

    Attributes:
        error: Mean over what was kept out of the median distance.
        cast: Root of the mean square by which the channels' medians differ from their mean, averaged likewise.
    """

    error: float
    cast: float


class CurveCheck(NamedTuple):
    """Check of a curve, beside the prior's.

    Attributes:
        kind: What was kept out, one at a time: scenes, exposures of a scene, or parts of its picture.
        strength: Factor of what the brackets say under which the error is least.
        after: By the curve of all others, in stops.
        before: By the prior, in stops.
        by_level: Median error with sign of each channel in each band of 16 levels of the longer exposure, in stops;
            NaN where nothing was seen.
        by_gap: Median distance by the stops between the exposures, of the curve and of the prior.
    """

    kind: Kind
    strength: float
    after: Judgement
    before: Judgement
    by_level: Float[Tensor, "16 3"]
    by_gap: Float[Tensor, "4 2"]

    @property
    def is_better(self) -> bool:
        """Return whether the curve of the others is better than the prior."""
        return self.after.error < self.before.error


class _Trial(NamedTuple):
    """Rows that are kept out, and what the others say."""

    rows: BracketRows
    sign: Float[Tensor, " r"]
    others: CurveInformation


def check_curves(scenes: Sequence[Scene], prior: CurvePrior) -> CurveCheck | None:
    """Judge each part of the evidence by the curve of all others; None if there is too little to judge.

    Of several scenes, each is predicted by the others. Of one, each exposure is predicted from the others by their
    curve; of two exposures, each quarter of the picture by the curve of the other three. No merge is asked.

    Args:
        scenes: Of one camera.
        prior: Of its response.
    """
    kind, trials = _trials(scenes, prior)
    before = _judge(trials, prior, 0.0)
    if before is None:
        return None
    found = {strength: _judge(trials, prior, strength) or before for strength in _STRENGTHS}
    best = min(_STRENGTHS, key=lambda strength: (found[strength].error, abs(math.log(strength))))
    return CurveCheck(kind, best, found[best], before, _by_level(trials, prior, best), _by_gap(trials, prior, best))


def scale(information: CurveInformation, strength: float) -> CurveInformation:
    """Return information that counts so many times as much."""
    return CurveInformation(*(strength * part for part in information))


def _trials(scenes: Sequence[Scene], prior: CurvePrior) -> tuple[Kind, list[_Trial]]:
    if len(scenes) > 1:
        return "scenes", list(_trials_of_scenes(scenes))
    (scene,) = scenes
    if scene.parts:
        return "parts", list(_trials_of_parts(scene, prior))
    own = {frame: scene.rows.select(scene.rows.involves(frame)) for frame in scene.frames}
    return "exposures", [_Trial(rows, signs(rows, frame), scene.without(frame, prior)) for frame, rows in own.items()]


def _trials_of_scenes(scenes: Sequence[Scene]) -> Iterator[_Trial]:
    for number, scene in enumerate(scenes):
        others = [other.fit.information for place, other in enumerate(scenes) if place != number]
        yield _Trial(scene.rows, torch.ones_like(scene.rows.log_ratio), pool(others))


def _trials_of_parts(scene: Scene, prior: CurvePrior) -> Iterator[_Trial]:
    fits = [fit_rows(rows, prior, num_frames=len(scene.bracket)).information for rows in scene.parts]
    for number, rows in enumerate(scene.parts):
        others = [fit for place, fit in enumerate(fits) if place != number]
        yield _Trial(rows, torch.ones_like(rows.log_ratio), pool(others))


def _judge(trials: Sequence[_Trial], prior: CurvePrior, strength: float) -> Judgement | None:
    misses = [judge(trial.rows, posterior_mean(scale(trial.others, strength), prior), trial.sign) for trial in trials]
    known = [miss for miss in misses if miss is not None]
    if not known:
        return None
    casts = [torch.tensor(miss.by_channel).std(correction=0) for miss in known]
    error = sum(miss.error for miss in known) / len(known)
    return Judgement(error, float(torch.stack(casts).nanmean()))


def _by_level(trials: Sequence[_Trial], prior: CurvePrior, strength: float) -> Float[Tensor, "16 3"]:
    channel, band, errors, weight = (
        torch.cat(column)
        for column in zip(
            *(
                (
                    trial.rows.channel,
                    (trial.rows.level / BAND_LEVELS).long(),
                    row_errors(trial.rows, posterior_mean(scale(trial.others, strength), prior)) * trial.sign,
                    judged_weight(trial.rows)[1],
                )
                for trial in trials
            ),
            strict=True,
        )
    )
    medians = torch.full((NUM_BANDS, 3), math.nan)
    for number in range(NUM_BANDS):
        for colour in range(3):
            here = (band == number) & (channel == colour)
            medians[number, colour] = weighted_median(errors[here], weight[here])
    return medians


def _by_gap(trials: Sequence[_Trial], prior: CurvePrior, strength: float) -> Float[Tensor, "4 2"]:
    medians = torch.full((len(GAPS_STOPS) - 1, 2), math.nan)
    for column, factor in enumerate((strength, 0.0)):
        distances = torch.cat(
            [row_errors(trial.rows, posterior_mean(scale(trial.others, factor), prior)).abs() for trial in trials]
        )
        weight = torch.cat([judged_weight(trial.rows)[1] for trial in trials])
        gap = torch.cat([trial.rows.log_ratio for trial in trials]) / math.log(2)
        for number, (low, high) in enumerate(zip(GAPS_STOPS, GAPS_STOPS[1:], strict=False)):
            here = (gap > low) & (gap <= high)
            medians[number, column] = weighted_median(distances[here], weight[here])
    return medians
