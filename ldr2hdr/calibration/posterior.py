"""Log inverse response of a camera as a Gaussian: what data tell is information, which adds up over brackets.

With ``g`` the natural logarithm of exposure by level, 0 at level 250, the unknown is ``g`` at the prior's knots, one
channel after the other. Data give a precision and an information vector, from any number of brackets by summing;
with the prior they give the posterior by one linear solve.
"""

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from ldr2hdr.calibration.curve import MAX_LEVEL
from ldr2hdr.calibration.prior import CurvePrior, hat_basis
from ldr2hdr.calibration.rows import BracketRows, JointHistograms, bracket_rows, count_joint_levels

BRACKET_EVIDENCE: Final = 0.01
"""What a row of a bracket counts: local tone mapping errs alike in about a hundred rows."""
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
_MIN_SLOPE: Final = 1e-4


class CurveInformation(NamedTuple):
    """Gaussian likelihood of the curve at the knots, ``exp(-x precision x / 2 + information x)``.

    Attributes:
        precision: By knot, one channel after the other.
        information: Precision times the estimate.
    """

    precision: Float[Tensor, "m m"]
    information: Float[Tensor, " m"]


class CurvePosterior(NamedTuple):
    """Log inverse response by level.

    Attributes:
        log_curve: Natural logarithm of exposure, never falling, 0 at level 250.
        deviation: Standard deviation, of the curve before it was made to rise.
    """

    log_curve: Float[Tensor, "256 3"]
    deviation: Float[Tensor, "256 3"]


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


def pool(parts: Iterable[CurveInformation]) -> CurveInformation:
    """Return what several brackets of one camera tell together.

    Raises:
        ValueError: If there is none.
    """
    precisions, informations = zip(*parts, strict=True)
    return CurveInformation(torch.stack(precisions).sum(0), torch.stack(informations).sum(0))


def bracket_information(
    frames: UInt8[Tensor, "n 3 h w"] | JointHistograms,
    evs: Float[Tensor, " n"],
    prior: CurvePrior,
    *,
    evidence: float = BRACKET_EVIDENCE,
) -> CurveInformation:
    """Return what a bracket tells of its camera's response.

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
        theta = _mean(equations.information(), joint.mean, joint.covariance)
        time_errors = equations.time_errors(theta)
        residual = rows.log_ratio - design.predict(theta, time_errors)
        trust = (_DEGREES + 1) / (_DEGREES + residual**2 / variance)
    return RowFit(equations.information(), weight, time_errors)


def rows_information(
    rows: BracketRows, weight: Float[Tensor, " r"], prior: CurvePrior, *, num_frames: int
) -> CurveInformation:
    """Return what rows tell by given weights, such as those of a fit to more rows: leaving frames out costs no fit."""
    return _Design.of(rows, prior.knots, num_frames).equations(weight).information()


def curve_posterior(information: CurveInformation, prior: CurvePrior, *, evidence_ratio: float = 1.0) -> CurvePosterior:
    """Return the curve that prior and data give, with its spread.

    Args:
        information: Of all data.
        prior: Of the camera.
        evidence_ratio: How many times more the data tell than the evidence that they were given; the curve stays,
            its deviation is that of an estimate which trusts its data too little.
    """
    joint = prior.joint()
    identity = torch.eye(len(joint.mean), dtype=joint.mean.dtype, device=joint.mean.device)
    covariance = torch.linalg.solve(identity + joint.covariance @ information.precision, joint.covariance)
    theta = _mean(information, joint.mean, joint.covariance)
    spread = covariance - (1 - 1 / evidence_ratio) * covariance @ information.precision @ covariance
    to_levels = hat_basis(prior.knots)
    num_knots = len(prior.knots)
    blocks = torch.stack([spread[at : at + num_knots, at : at + num_knots] for at in (0, num_knots, 2 * num_knots)])
    variance = torch.einsum("lj,cjk,lk->lc", to_levels, blocks, to_levels)
    return CurvePosterior(rising(to_levels @ theta.view(3, -1).T), variance.clamp_min(0).sqrt())


def posterior_mean(information: CurveInformation, prior: CurvePrior) -> Float[Tensor, "256 3"]:
    """Return the curve alone, as `curve_posterior` has it."""
    joint = prior.joint()
    theta = _mean(information, joint.mean, joint.covariance)
    return rising(hat_basis(prior.knots) @ theta.view(3, -1).T)


def rising(log_curve: Float[Tensor, "256 3"]) -> Float[Tensor, "256 3"]:
    """Return a curve that never falls and is 0 at level 250."""
    risen = log_curve.cummax(dim=0).values
    return risen - risen[MAX_LEVEL]


def _mean(
    information: CurveInformation, mean: Float[Tensor, " m"], covariance: Float[Tensor, "m m"]
) -> Float[Tensor, " m"]:
    """Posterior mean, without the inverse of a covariance that is singular: the curve is known at level 250."""
    identity = torch.eye(len(mean), dtype=mean.dtype, device=mean.device)
    surprise = information.information - information.precision @ mean
    solution, failed = torch.linalg.solve_ex(identity + covariance @ information.precision, covariance @ surprise)
    return mean + torch.where(failed == 0, solution, math.nan)


def _variance(rows: BracketRows, log_curve: Float[Tensor, "256 3"]) -> Float[Tensor, " r"]:
    """Variance of a row's error: of the model, of both levels, and of the median."""
    slope = torch.gradient(log_curve, dim=0)[0].T[None]
    slope = F.avg_pool1d(slope, 3, stride=1, padding=1, count_include_pad=False)[0].clamp_min(_MIN_SLOPE)
    first, second = (slope[rows.channel, level.round().long()] for level in (rows.level, rows.shorter_level))
    of_levels = _LEVEL_DEVIATION**2 * (first**2 + second**2)
    return _MODEL_DEVIATION**2 + of_levels + _MEDIAN_SHARE * (rows.spread * torch.maximum(first, second)) ** 2


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
