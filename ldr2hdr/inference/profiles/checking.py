"""Check of a response curve on what it was not made of: other scenes, other exposures, other parts."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ldr2hdr.calibration.information import fit_rows
from ldr2hdr.calibration.posterior import CurveInformation, of_camera, pool
from ldr2hdr.calibration.prior import CurvePrior
from ldr2hdr.calibration.rows import BracketRows, row_errors
from ldr2hdr.inference.profiles.scenes import Scene, judge, judged_weight, signs, weighted_median

# How many times as much as by the estimator's own account may count what a bracket says. Parts of one picture share
# its wrong times and its tone mapping: they cannot decide that.
_STRENGTHS: Final = {"scenes": (0.1, 0.3, 1.0, 3.0), "exposures": (0.1, 0.3, 1.0, 3.0), "parts": (1.0,)}
# The curve of the others is worse than that of all: on 37 real brackets, error of the former within this margin above
# the prior's still meant a curve of all that was better than the prior
_MARGIN: Final = 1.1
_MARGIN_STOPS: Final = 0.005
_GAIN: Final = 0.98
Kind = Literal["scenes", "exposures", "parts"]
_WORDS: Final = {
    "scenes": "each scene by the curve of the others",
    "exposures": "each exposure by the curve of the others",
    "parts": "each quarter of the picture by the curve of the others",
}
CurveOf = Callable[[CurveInformation | None], Float[Tensor, "256 3"]]
"""Log inverse response in nats, up to a constant, by what a support says; the prior's without."""
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
    def words(self) -> str:
        """Return what was predicted by what, in words."""
        return _WORDS[self.kind]

    @property
    def is_better(self) -> bool:
        """Return whether the curve of the others predicts better than the prior, by more than chance may."""
        return self.after.error < _GAIN * self.before.error

    @property
    def is_believed(self) -> bool:
        """Return whether the curve of all can be expected not to be worse than the prior."""
        return self.after.error <= _MARGIN * self.before.error + _MARGIN_STOPS


class _Trial(NamedTuple):
    """Rows that are kept out, and the numbers of what is said without them."""

    rows: BracketRows
    sign: Float[Tensor, " r"]
    others: tuple[int, ...]


class _Trials(NamedTuple):
    """All that is kept out, one at a time, and what is said: by scenes each of itself, or of one scene."""

    kind: Kind
    said: list[CurveInformation]
    each: list[_Trial]

    def told(self, strength: float, prior: CurvePrior) -> list[CurveInformation]:
        """Return for each trial what the others say of what is kept out, so many times as strongly."""
        parts = [scale(one, strength) for one in self.said]
        parts = of_camera(parts, prior) if self.kind == "scenes" else parts
        return [pool([parts[number] for number in trial.others]) for trial in self.each]


def check_curves(scenes: Sequence[Scene], prior: CurvePrior, curve_of: CurveOf) -> CurveCheck | None:
    """Judge each part of the evidence by the curve of all others; None if there is too little to judge.

    Of several scenes, each is predicted by the others. Of one, each exposure is predicted from the others by their
    curve; of two exposures, each quarter of the picture by the curve of the other three. No merge is asked.

    Args:
        scenes: Of one camera.
        prior: That the scenes were compared by.
        curve_of: Estimator of the model.
    """
    trials = _trials(scenes, prior)
    initial = [curve_of(None)] * len(trials.each)
    before = _judge(trials.each, initial)
    if before is None:
        return None
    strengths = _STRENGTHS[trials.kind]
    curves = {strength: [curve_of(told) for told in trials.told(strength, prior)] for strength in strengths}
    found = {strength: _judge(trials.each, of_others) or before for strength, of_others in curves.items()}
    best = min(found, key=lambda strength: (found[strength].error, abs(math.log(strength))))
    rows = _judge_rows(trials.each, curves[best], initial)
    return CurveCheck(trials.kind, best, found[best], before, _by_level(rows), _by_gap(rows))


def scale(information: CurveInformation, strength: float) -> CurveInformation:
    """Return information that counts so many times as much."""
    return CurveInformation(*(strength * part for part in information))


def _trials(scenes: Sequence[Scene], prior: CurvePrior) -> _Trials:
    if len(scenes) > 1:
        return _trials_of("scenes", [scene.rows for scene in scenes], [scene.fit.information for scene in scenes])
    (scene,) = scenes
    if scene.parts:
        fits = [fit_rows(rows, prior, num_frames=len(scene.bracket)).information for rows in scene.parts]
        return _trials_of("parts", scene.parts, fits)
    said = [scene.without(frame, prior) for frame in scene.frames]
    own = [scene.rows.select(scene.rows.involves(frame)) for frame in scene.frames]
    trials = [
        _Trial(rows, signs(rows, frame), (number,))
        for number, (frame, rows) in enumerate(zip(scene.frames, own, strict=True))
    ]
    return _Trials("exposures", said, trials)


def _trials_of(kind: Kind, rows: Sequence[BracketRows], said: list[CurveInformation]) -> _Trials:
    numbers = range(len(rows))
    trials = [
        _Trial(rows[out], torch.ones_like(rows[out].log_ratio), tuple(number for number in numbers if number != out))
        for out in numbers
    ]
    return _Trials(kind, said, trials)


def _judge(trials: Sequence[_Trial], curves: Sequence[Float[Tensor, "256 3"]]) -> Judgement | None:
    misses = [judge(trial.rows, curve, trial.sign) for trial, curve in zip(trials, curves, strict=True)]
    known = [miss for miss in misses if miss is not None]
    if not known:
        return None
    casts = [torch.tensor(miss.by_channel).std(correction=0) for miss in known]
    error = sum(miss.error for miss in known) / len(known)
    return Judgement(error, float(torch.stack(casts).nanmean()))


class _JudgedRows(NamedTuple):
    """Rows of all trials, with the errors of the curve of the others and of the prior's."""

    channel: Int[Tensor, " r"]
    level: Float[Tensor, " r"]
    gap: Float[Tensor, " r"]
    weight: Float[Tensor, " r"]
    error: Float[Tensor, " r"]
    error_before: Float[Tensor, " r"]


def _judge_rows(trials: Sequence[_Trial], after: Sequence[Tensor], before: Sequence[Tensor]) -> _JudgedRows:
    parts = [
        _JudgedRows(
            trial.rows.channel,
            trial.rows.level,
            trial.rows.log_ratio / math.log(2),
            judged_weight(trial.rows)[1],
            row_errors(trial.rows, curve) * trial.sign,
            row_errors(trial.rows, initial) * trial.sign,
        )
        for trial, curve, initial in zip(trials, after, before, strict=True)
    ]
    return _JudgedRows(*map(torch.cat, zip(*parts, strict=True)))


def _by_level(rows: _JudgedRows) -> Float[Tensor, "16 3"]:
    medians = torch.full((NUM_BANDS, 3), math.nan)
    for number in range(NUM_BANDS):
        for channel in range(3):
            here = ((rows.level / BAND_LEVELS).long() == number) & (rows.channel == channel)
            medians[number, channel] = weighted_median(rows.error[here], rows.weight[here])
    return medians


def _by_gap(rows: _JudgedRows) -> Float[Tensor, "4 2"]:
    medians = torch.full((len(GAPS_STOPS) - 1, 2), math.nan)
    for number, (low, high) in enumerate(itertools.pairwise(GAPS_STOPS)):
        here = (rows.gap > low) & (rows.gap <= high)
        for column, errors in enumerate((rows.error, rows.error_before)):
            medians[number, column] = weighted_median(errors[here].abs(), rows.weight[here])
    return medians
