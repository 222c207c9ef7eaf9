"""Information about a camera's log inverse response, from brackets and from pixels of known light."""

import math
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from ldr2hdr.calibration.curve import NUM_LEVELS
from ldr2hdr.calibration.posterior import CurveInformation, conditional_mean
from ldr2hdr.calibration.prior import CurvePrior, hat_basis
from ldr2hdr.calibration.rows import (
    HIGHEST_LEVEL,
    LOWEST_LEVEL,
    BracketRows,
    JointHistograms,
    bracket_rows,
    count_joint_levels,
)

BRACKET_EVIDENCE: Final = 0.02
"""Weight of a row of a bracket: local tone mapping errs alike in about fifty rows."""
SAME_SCENE_EVIDENCE: Final = 0.1
"""The same for a curve that is to merge the very bracket it comes from, whose tone it may follow.

Of 24 real brackets (384 px), frames that were not merged are foretold to .307 stops, by .01 to .317, by .02 to .315.
Labels of 40 virtual ones (192 px) err by .355 stops, by .350 with .03, those of Debevec and Malik by .429."""
LABEL_EVIDENCE: Final = 0.03
"""Weight of a level of a labelled picture: as above, bands of `response=prior` hold at .1 nat of error in tone."""
# Error of a row that no number of pixels averages out (local tone mapping), in nats
_MODEL_DEVIATION: Final = 0.10
# Error of a level by rounding and black level
_LEVEL_DEVIATION: Final = 0.7
# Error of a stated time, in nats
_TIME_DEVIATION: Final = 0.01
# Pixels of a level at which a row counts half
_HALF_COUNT_PX: Final = 30.0
# A median has a quarter of its pixels' spread at least, however many there are
_MEDIAN_SHARE: Final = 1 / 16
# Rows are of a Student t law with so many degrees of freedom
_DEGREES: Final = 3.0
_NUM_STEPS: Final = 6
# Pixels whose digits are in memory at once
_CHUNK_PX: Final = 1 << 16
_MIN_SLOPE: Final = 1e-4


class RowFit(NamedTuple):
    """Robust fit of a bracket's rows.

    Attributes:
        information: Of the bracket, over all errors that its times may have.
        weight: Of each row in it: evidence over variance, less where the row is an outlier.
        time_errors: Nats by which the stated exposure of each frame exceeds what its pixels show.
    """

    information: CurveInformation
    weight: Float[Tensor, " r"]
    time_errors: Float[Tensor, " n"]


def bracket_information(
    frames: UInt8[Tensor, "n 3 h w"] | JointHistograms,
    evs: Float[Tensor, " n"],
    prior: CurvePrior,
    *,
    evidence: float = BRACKET_EVIDENCE,
) -> CurveInformation:
    """Return what a bracket says about its camera's response.

    Args:
        frames: Aligned 8-bit pictures of one still scene; or their joint histograms, for pictures that are streamed.
        evs: Exposure of each in stops, relative to any common value.
        prior: Where the search for outliers begins.
        evidence: What a row counts.
    """
    histograms = frames if isinstance(frames, JointHistograms) else count_joint_levels(frames, evs)
    return fit_rows(bracket_rows(histograms, evs), prior, num_frames=len(evs), evidence=evidence).information


def fit_rows(rows: BracketRows, prior: CurvePrior, *, num_frames: int, evidence: float = BRACKET_EVIDENCE) -> RowFit:
    """Fit the rows by iteratively reweighted least squares, with Student t errors and times that may be wrong a little.

    Args:
        rows: Of one bracket.
        prior: Of the curve.
        num_frames: Of the bracket.
        evidence: What a row counts.
    """
    joint, to_levels = prior.joint(), hat_basis(prior.knots)
    theta, trust = joint.mean, torch.ones_like(rows.num_px)
    design = _Design.of(rows, prior.knots, num_frames)
    for _ in range(_NUM_STEPS):
        variance = _variance(rows, to_levels @ theta.view(3, -1).T)
        weight = evidence * rows.num_px / (rows.num_px + _HALF_COUNT_PX) / variance * trust
        equations = design.equations(weight)
        theta = conditional_mean(joint, equations.information())
        time_errors = equations.time_errors(theta)
        residual = rows.log_ratio - design.predict(theta, time_errors)
        trust = (_DEGREES + 1) / (_DEGREES + residual**2 / variance)
    return RowFit(equations.information(), weight, time_errors)


def rows_information(
    rows: BracketRows, weight: Float[Tensor, " r"], prior: CurvePrior, *, num_frames: int
) -> CurveInformation:
    """Return what rows say by given weights, such as those of a fit to more rows: leaving frames out costs no fit."""
    return _Design.of(rows, prior.knots, num_frames).equations(weight).information()


def labelled_information(
    levels: Int[Tensor, "k 3 m"], log_exposure: Float[Tensor, "k 3 m"], prior: CurvePrior
) -> CurveInformation:
    """Return what pixels of known light say about the logarithm of exposure by level.

    Unlike a bracket's, this is information about the curve's height too: in a prior whose curves are all 0 at level
    250, a factor of the light has no place.

    Args:
        levels: Of the pixels of k pictures.
        log_exposure: Natural logarithm of their light.
        prior: Gives the knots, and by its mean what an error of a level is worth; it is not added.
    """
    num_px, total = _sums_by_level(levels, log_exposure.double())
    mean, trust = total / num_px.clamp_min(1), num_px / (num_px + _HALF_COUNT_PX)
    level = torch.arange(NUM_LEVELS, device=levels.device)
    is_used = (level >= LOWEST_LEVEL) & (level <= HIGHEST_LEVEL)
    to_levels = hat_basis(prior.knots)
    variance = _MODEL_DEVIATION**2 + (_LEVEL_DEVIATION * _slope((to_levels @ prior.mean)[None])) ** 2
    weight = LABEL_EVIDENCE * trust * is_used / variance
    blocks = torch.einsum("lj,cl,lk->cjk", to_levels, weight.sum(0), to_levels)
    channels = torch.eye(3, dtype=blocks.dtype, device=blocks.device)
    precision = torch.einsum("cjk,cd->cjdk", blocks, channels).reshape(3 * len(prior.knots), -1)
    return CurveInformation(precision, ((weight * mean).sum(0) @ to_levels).flatten())


def _sums_by_level(levels: Int[Tensor, "k 3 m"], values: Float[Tensor, "k 3 m"]) -> Float[Tensor, "2 k 3 256"]:
    """Count pixels by level, and sum their values.

    What is summed by index has no fixed order on a GPU. There, sums are products with the ones and zeros of a level's
    two digits.
    """
    if levels.device.type == "cpu":
        group = torch.arange(len(levels) * 3).view(-1, 3, 1) * NUM_LEVELS + levels
        light = torch.stack([torch.ones_like(values), values]).flatten(1)
        # not by bincount, which vmap cannot batch
        sums = light.new_zeros(2, len(levels) * 3 * NUM_LEVELS).index_add(1, group.flatten(), light)
        return sums.view(2, -1, 3, NUM_LEVELS)
    num_digits, sums = math.isqrt(NUM_LEVELS), values.new_zeros(2, len(levels), 3, NUM_LEVELS)
    digits = torch.arange(num_digits, device=levels.device)
    for level, value in zip(*(torch.split(part, _CHUNK_PX, dim=2) for part in (levels, values)), strict=True):
        first, second = (
            (part[..., None] == digits).to(value.dtype) for part in (level // num_digits, level % num_digits)
        )
        light = torch.stack([second, second * value[..., None]])
        sums = sums + (first.mT @ light).flatten(3)
    return sums


def _variance(rows: BracketRows, log_curve: Float[Tensor, "256 3"]) -> Float[Tensor, " r"]:
    """Variance of a row's error: of the model, of both levels, and of the median."""
    slope = _slope(log_curve.T)
    first, second = (slope[rows.channel, level.round().long()] for level in (rows.level, rows.shorter_level))
    of_levels = _LEVEL_DEVIATION**2 * (first**2 + second**2)
    return _MODEL_DEVIATION**2 + of_levels + _MEDIAN_SHARE * (rows.spread * torch.maximum(first, second)) ** 2


def _slope(log_curve: Float[Tensor, "c 256"]) -> Float[Tensor, "c 256"]:
    """Nats from level to level, over five levels."""
    slope = torch.gradient(log_curve, dim=1)[0][None]
    return F.avg_pool1d(slope, 3, stride=1, padding=1, count_include_pad=False)[0].clamp_min(_MIN_SLOPE)


class _Design(NamedTuple):
    """Left side of the rows: of the curve in the row's channel, and of the frames' errors."""

    curve: Float[Tensor, "r j"]
    frames: Float[Tensor, "r n"]
    channel: Int[Tensor, " r"]
    log_ratio: Float[Tensor, " r"]

    @classmethod
    def of(cls, rows: BracketRows, knots: Int[Tensor, " j"], num_frames: int) -> "_Design":
        """Return the design of rows."""
        curve = hat_basis(knots, rows.level) - hat_basis(knots, rows.shorter_level)
        frames = F.one_hot(rows.frame, num_frames) - F.one_hot(rows.shorter_frame, num_frames)
        return cls(curve, frames.double(), rows.channel, rows.log_ratio)

    def predict(self, theta: Float[Tensor, " m"], time_errors: Float[Tensor, " n"]) -> Float[Tensor, " r"]:
        """Return the stated log ratios as curve and times have them."""
        return (self.curve * theta.view(3, -1)[self.channel]).sum(1) + self.frames @ time_errors

    def equations(self, weight: Float[Tensor, " r"]) -> "_Equations":
        """Return the normal equations."""
        num_knots = self.curve.shape[1]
        precision = weight.new_zeros(3, num_knots, 3, num_knots)
        products, coupling = [], []
        for channel in range(3):
            is_here = self.channel == channel
            weighted = self.curve[is_here].T * weight[is_here]
            precision[channel, :, channel] = weighted @ self.curve[is_here]
            products.append(weighted @ self.log_ratio[is_here])
            coupling.append(weighted @ self.frames[is_here])
        weighted = self.frames.T * weight
        of_frames = weighted @ self.frames + torch.eye(len(weighted), dtype=torch.float64) / _TIME_DEVIATION**2
        flat = precision.view(3 * num_knots, -1)
        return _Equations(flat, torch.cat(products), torch.cat(coupling), of_frames, weighted @ self.log_ratio)


class _Equations(NamedTuple):
    """Normal equations of the curve and of the frames' errors."""

    precision: Float[Tensor, "m m"]
    products: Float[Tensor, " m"]
    coupling: Float[Tensor, "m n"]
    of_frames: Float[Tensor, "n n"]
    frame_products: Float[Tensor, " n"]

    def information(self) -> CurveInformation:
        """Return the information about the curve, whatever the frames' errors are."""
        solved = torch.linalg.solve(self.of_frames, self.coupling.T)
        return CurveInformation(self.precision - self.coupling @ solved, self.products - solved.T @ self.frame_products)

    def time_errors(self, theta: Float[Tensor, " m"]) -> Float[Tensor, " n"]:
        """Return the frames' errors by a curve."""
        return torch.linalg.solve(self.of_frames, self.frame_products - self.coupling.T @ theta)
