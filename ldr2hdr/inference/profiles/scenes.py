"""Scenes as far as they say anything of a camera: which levels two exposures show at the same places."""

from typing import Final, NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from ldr2hdr.calibration.alignment import Alignment, align_Ward2003
from ldr2hdr.calibration.curve import levels_of
from ldr2hdr.calibration.information import RowFit, fit_rows, rows_information
from ldr2hdr.calibration.posterior import CurveInformation, posterior_mean
from ldr2hdr.calibration.prior import CurvePrior
from ldr2hdr.calibration.rows import BracketRows, bracket_rows, count_joint_levels, row_errors
from ldr2hdr.inference.profiles.brackets import Bracket, RefusedBracket

FRAME_PX: Final = 768
"""Longest side of the exposures that are compared: 0.4 megapixels, a thousand or more for each level."""
_MAX_SHIFT_PX: Final = 48
JUDGED: Final = slice(13, 240)
"""Levels at which a curve is judged: outside, black level and clipping decide."""
# Pixels of a level at which a row counts half when a curve is judged
_HALF_COUNT_PX: Final = 100.0
_MIN_JUDGED: Final = 3.0
"""Least sum of the rows' weights that a judgement is made of."""
# A stated exposure is wrong if it is off by so many stops, and by so many times what the others are off by; of 19 real
# brackets in which the exposure of one frame was changed by 0.8 stops, that found it in 18, and nothing else
_WRONG_STOPS: Final = 0.35
_TIMES_OTHERS: Final = 3.0
_MIN_FRAMES: Final = 5
"""Frames of which one can be said to contradict the others."""
_NUM_PARTS: Final = 2


class LeftOut(NamedTuple):
    """Exposure that is not learned from.

    Attributes:
        name: Of the file.
        reason: In words.
    """

    name: str
    reason: str


class Scene(NamedTuple):
    """Bracket as far as it says anything of the camera's response.

    Attributes:
        bracket: The whole.
        rows: Of the exposures that are learned from.
        fit: Robust fit of them alone.
        parts: Rows of each quarter of the picture, if there are two exposures alone.
        left_out: The other exposures.
    """

    bracket: Bracket
    rows: BracketRows
    fit: RowFit
    parts: tuple[BracketRows, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def frames(self) -> list[int]:
        """Return the numbers of the exposures that are learned from."""
        return _frames_of(self.rows)

    def without(self, frame: int, prior: CurvePrior) -> CurveInformation:
        """Return what the other exposures say."""
        return _without(self.rows, self.fit, frame, prior, num_frames=len(self.bracket))


class Misses(NamedTuple):
    """Stops by which a curve misses the rows it is judged by.

    Attributes:
        error: Median distance.
        offset: Median, with sign.
        by_channel: The same in each channel; NaN where there are none.
    """

    error: float
    offset: float
    by_channel: tuple[float, float, float]


def compare_exposures(bracket: Bracket, prior: CurvePrior) -> Scene:
    """Bring the exposures of a bracket onto each other, and compare their levels.

    Exposures that cannot be aligned stay where they are; what moved, and exposures that are black or white nearly
    everywhere, do no harm: a level's median counts, and outliers little. Of five exposures or more, those are left out
    whose stated exposure contradicts the others.

    Args:
        bracket: As read.
        prior: Of the response, where the search for outliers begins.

    Raises:
        RefusedBracket: If no two exposures can be compared.
    """
    shift = min(_MAX_SHIFT_PX, (min(bracket.ldr.shape[2:]) - 1) // 4)
    aligned = align_Ward2003(bracket.ldr, bracket.evs, max_shift_px=shift, is_strict=False)
    levels = levels_of(aligned.ldr).to(torch.uint8)
    histograms = count_joint_levels(levels, bracket.evs, is_valid=aligned.is_valid)
    if len(histograms.frame) == 0:
        raise RefusedBracket(
            f"no two of the exposures are between 0.3 and 4.5 stops apart, got "
            f"{', '.join(f'{ev:+.1f}' for ev in bracket.evs.tolist())}; take exposures one to three stops apart: "
            f"{bracket.folder}"
        )
    rows = bracket_rows(histograms, bracket.evs)
    _require_common(rows, bracket)
    silent = sorted(set(range(len(bracket))) - set(_frames_of(rows)))
    kept, fit, wrong = _leave_out_wrong(rows, prior, num_frames=len(bracket))
    reasons = dict.fromkeys(silent, "no level between black and white in common with another exposure")
    reasons |= {
        frame: f"stated exposure is off by {offset:+.1f} stops, by the others" for frame, offset in wrong.items()
    }
    left_out = tuple(LeftOut(bracket.paths[frame].name, reason) for frame, reason in sorted(reasons.items()))
    # wrong exposures are found among more than two, which need no parts
    parts = _parts(levels, aligned, bracket) if len(bracket) - len(silent) == 2 else []
    return Scene(bracket, kept, fit, tuple(parts), left_out)


def judge(rows: BracketRows, curve: Float[Tensor, "256 3"], sign: Float[Tensor, " r"] | None = None) -> Misses | None:
    """Compute by how much a curve misses rows; None if they say too little.

    Args:
        rows: Of exposures that the curve was not made of.
        curve: Log inverse response in nats.
        sign: Of each row's error; one if None.
    """
    is_judged, weight = judged_weight(rows)
    errors = row_errors(rows, curve)
    signed = errors if sign is None else errors * sign
    if float(weight.sum()) < _MIN_JUDGED:
        return None
    in_channel = [is_judged & (rows.channel == channel) for channel in range(3)]
    by_channel = [weighted_median(signed[here], weight[here]) for here in in_channel]
    return Misses(
        weighted_median(errors.abs()[is_judged], weight[is_judged]),
        weighted_median(signed[is_judged], weight[is_judged]),
        (by_channel[0], by_channel[1], by_channel[2]),
    )


def judged_weight(rows: BracketRows) -> tuple[Bool[Tensor, " r"], Float[Tensor, " r"]]:
    """Return which rows a curve is judged by, and how much each counts."""
    is_judged = (torch.minimum(rows.level, rows.shorter_level) >= JUDGED.start) & (
        torch.maximum(rows.level, rows.shorter_level) <= JUDGED.stop - 1
    )
    return is_judged, is_judged * rows.num_px / (rows.num_px + _HALF_COUNT_PX)


def weighted_median(values: Float[Tensor, " r"], weight: Float[Tensor, " r"]) -> float:
    """Return the value that half of the weight is below; NaN without any weight."""
    if not float(weight.sum()) > 0:
        return float("nan")
    ordered, order = values.sort()
    cumulated = weight[order].cumsum(0)
    return float(ordered[int(torch.searchsorted(cumulated, cumulated[-1] / 2))])


def signs(rows: BracketRows, frame: int) -> Float[Tensor, " r"]:
    """Return the sign that a row's error has if it is the frame's: minus where it is the shorter exposure."""
    return torch.where(rows.frame == frame, 1.0, -1.0).to(rows.log_ratio)


def _require_common(rows: BracketRows, bracket: Bracket) -> None:
    if float(judged_weight(rows)[1].sum()) < _MIN_JUDGED:
        raise RefusedBracket(
            "no two exposures show the same part of the scene between black and white; expose for the scene, and take "
            f"exposures that are closer together: {bracket.folder}"
        )


def _parts(levels: UInt8[Tensor, "n 3 h w"], aligned: Alignment, bracket: Bracket) -> list[BracketRows]:
    height, width = (size // _NUM_PARTS for size in levels.shape[2:])
    found = []
    for top in range(0, height * _NUM_PARTS, height):
        for left in range(0, width * _NUM_PARTS, width):
            window = (..., slice(top, top + height), slice(left, left + width))
            histograms = count_joint_levels(levels[window], bracket.evs, is_valid=aligned.is_valid[window])
            found.append(bracket_rows(histograms, bracket.evs))
    return found


def _leave_out_wrong(
    rows: BracketRows, prior: CurvePrior, *, num_frames: int
) -> tuple[BracketRows, RowFit, dict[int, float]]:
    """Leave out exposures that the others contradict, the worst first; the curve is fitted to what is kept."""
    wrong: dict[int, float] = {}
    while True:
        fit = fit_rows(rows, prior, num_frames=num_frames)
        is_enough = len(_frames_of(rows)) >= _MIN_FRAMES
        offsets = _offsets(rows, fit, prior, num_frames=num_frames) if is_enough else {}
        if len(offsets) < _MIN_FRAMES:
            return rows, fit, wrong
        worst = max(offsets, key=lambda frame: abs(offsets[frame]))
        others = torch.tensor([abs(offset) for frame, offset in offsets.items() if frame != worst])
        if abs(offsets[worst]) <= max(_WRONG_STOPS, _TIMES_OTHERS * float(others.quantile(0.5))):
            return rows, fit, wrong
        wrong[worst] = offsets[worst]
        rows = rows.select(~rows.involves(worst))


def _offsets(rows: BracketRows, fit: RowFit, prior: CurvePrior, *, num_frames: int) -> dict[int, float]:
    """Return the stops by which each stated exposure exceeds what the curve of the others makes of the pixels."""
    offsets = {}
    for frame in _frames_of(rows):
        curve = posterior_mean(_without(rows, fit, frame, prior, num_frames=num_frames), prior)
        own = rows.select(rows.involves(frame))
        misses = judge(own, curve, signs(own, frame))
        if misses is not None:
            offsets[frame] = misses.offset
    return offsets


def _without(rows: BracketRows, fit: RowFit, frame: int, prior: CurvePrior, *, num_frames: int) -> CurveInformation:
    is_other = ~rows.involves(frame)
    return rows_information(rows.select(is_other), fit.weight[is_other], prior, num_frames=num_frames)


def _frames_of(rows: BracketRows) -> list[int]:
    return sorted(set(rows.frame.tolist()) | set(rows.shorter_frame.tolist()))
