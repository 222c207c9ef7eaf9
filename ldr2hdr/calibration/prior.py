"""Priors over the responses of real cameras: Gaussians over log inverse curves.

One was learned from the DoRF database, of 150 of its 190 distinct curves; the other is that one, moved to where the
curves of fourteen cameras are that photographed a chart. `experiments/response_prior/fit.py` made both; neither the
database nor the photographs ship.
"""

import functools
import hashlib
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ldr2hdr.calibration.curve import MAX_LEVEL, NUM_LEVELS

PRIOR_FILE: Final = Path(__file__).parent / "prior.npz"
_NUM_HELD_OUT: Final = 40
# Level 0 is a quarter of the first level, where a curve that rises at all has a logarithm
_LOWEST_LEVEL: Final = 0.25
# Irradiance is given in steps of 2**-10: below, a curve is what interpolation makes of it
_FLOOR: Final = 2.0**-13


# Knots are equally spaced in log(level + toe) - log(255 + head - level): dense where curves bend, at black and white
_TOE: Final = 4.0
_HEAD: Final = 8.0
CHANNEL_DEVIATION: Final = 0.2
"""Distance of a channel from the camera's common curve, as a part of how far cameras are from the mean."""


class JointGaussian(NamedTuple):
    """Law of a curve's values at the knots, one channel after the other.

    Attributes:
        mean: In nats.
        covariance: Singular: the curve is 0 at level 250.
    """

    mean: Float[Tensor, " m"]
    covariance: Float[Tensor, "m m"]


class CurvePrior(NamedTuple):
    """A Gaussian over natural log exposure at some levels, one curve for the three channels and what they differ by.

    Attributes:
        knots: Levels, rising from 0 to 255; between them a curve is straight in the warped level of `hat_basis`.
        mean: Of the curves at the knots, 0 at level 250.
        covariance: Of the curves at the knots.
        tau: Deviation of a channel from the common curve, in units of the spread that the curves have.
    """

    knots: Int[Tensor, " j"]
    mean: Float[Tensor, " j"]
    covariance: Float[Tensor, "j j"]
    tau: Float[Tensor, ""]

    def joint(self) -> JointGaussian:
        """Return the law of the three channels."""
        channels = torch.ones_like(self.covariance[:3, :3])
        channels = channels + self.tau**2 * torch.eye(3, dtype=channels.dtype, device=channels.device)
        return JointGaussian(self.mean.repeat(3), torch.kron(channels, self.covariance))


class PriorFactors(NamedTuple):
    """The prior that was centred by charts, in parts.

    Attributes:
        knots: Levels.
        mean: At the knots.
        components: Directions in which cameras differ, times the standard deviation along each.
        residual: Covariance of what the components leave.
    """

    knots: Int[Tensor, " j"]
    mean: Float[Tensor, " j"]
    components: Float[Tensor, "j c"]
    residual: Float[Tensor, "j j"]


def read_factors() -> PriorFactors:
    """Read the prior that was centred by charts."""
    with np.load(PRIOR_FILE, allow_pickle=False) as arrays:
        knots, *others = (torch.from_numpy(arrays[name]) for name in PriorFactors._fields)
    return PriorFactors(knots.long(), *(array.double() for array in others))


@functools.cache
def read_curve_prior() -> CurvePrior:
    """Return the prior that was centred by charts."""
    factors = read_factors()
    covariance = factors.components @ factors.components.T + factors.residual
    return CurvePrior(factors.knots, factors.mean, covariance, torch.tensor(CHANNEL_DEVIATION, dtype=torch.float64))


def warp(level: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Return the position of a level on the axis along which knots are equally spaced."""
    return torch.log(level + _TOE) - torch.log(NUM_LEVELS - 1 + _HEAD - level)


def hat_basis(knots: Int[Tensor, " j"], level: Float[Tensor, " r"] | None = None) -> Float[Tensor, "r j"]:
    """Return the weights of the knots at each level, in float64: linear interpolation in the warped level.

    Args:
        knots: Levels, rising from 0 to 255.
        level: Within 0..255; the 256 levels if None.
    """
    if level is None:
        level = torch.arange(NUM_LEVELS, device=knots.device)
    at_knots, position = warp(knots.double()), warp(level.double())
    right = torch.searchsorted(at_knots, position, right=True).clamp(1, len(knots) - 1)
    fraction = (position - at_knots[right - 1]) / (at_knots[right] - at_knots[right - 1])
    knot, right, fraction = torch.arange(len(knots), device=knots.device), right[:, None], fraction[:, None]
    return torch.where(knot == right, fraction, torch.where(knot == right - 1, 1 - fraction, 0))


class ResponsePrior(NamedTuple):
    """A Gaussian over the natural logarithm of sensor exposure at each level, 0 at level 250.

    Attributes:
        mean: Of the curves.
        components: Orthonormal, those of most variance first.
        deviations: Standard deviation of each component's coefficient.
        residual: Standard deviation of what the components leave at each level.
    """

    mean: Float[Tensor, "256"]
    components: Float[Tensor, "c 256"]
    deviations: Float[Tensor, " c"]
    residual: Float[Tensor, "256"]


class DorfCurves(NamedTuple):
    """The distinct curves of the database.

    Attributes:
        log_exposure: Natural logarithm of sensor exposure at each level, 0 at level 250.
        is_held_out: Curves for tests, which the prior has not seen.
    """

    log_exposure: Float[np.ndarray, "n 256"]
    is_held_out: Bool[np.ndarray, " n"]


@functools.cache
def read_prior() -> ResponsePrior:
    """Read the prior that was learned from the DoRF curves alone, at all levels."""
    with np.load(PRIOR_FILE, allow_pickle=False) as arrays:
        return ResponsePrior(*(torch.from_numpy(arrays[f"dorf_{name}"]).double() for name in ResponsePrior._fields))


def read_dorf(path: Path | str) -> DorfCurves:
    """Read the database: an ``.npz`` with the arrays ``irradiance`` and ``brightness``, one curve a row, in 0..1.

    The 40 distinct curves whose contents hash lowest are held out.

    Raises:
        ValueError: If the file does not hold such curves.
        OSError: If it cannot be read.

    References:
        Grossberg and Nayar, Modeling the space of camera response functions, PAMI 2004.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            irradiance, brightness = arrays["irradiance"].astype(float), arrays["brightness"].astype(float)
    except (KeyError, ValueError, TypeError, EOFError) as error:
        raise ValueError(f"expected the arrays irradiance and brightness, cannot read them: {path}") from error
    if irradiance.shape != brightness.shape or irradiance.ndim != 2 or len(irradiance) <= _NUM_HELD_OUT:
        raise ValueError(
            f"expected more than {_NUM_HELD_OUT} curves, irradiance and brightness of one shape (curves, samples), got "
            f"{irradiance.shape} and {brightness.shape}: {path}"
        )
    rounded = np.round(brightness, 4)
    _, first = np.unique(rounded, axis=0, return_index=True)
    digests = [hashlib.sha256(np.rint(rounded[row] * 1e4).astype("<i4").tobytes()).digest() for row in np.sort(first)]
    highest = sorted(digests)[_NUM_HELD_OUT - 1]
    curves = [_log_inverse(irradiance[row], brightness[row]) for row in np.sort(first)]
    return DorfCurves(np.stack(curves), np.array([digest <= highest for digest in digests]))


def _log_inverse(irradiance: Float[np.ndarray, " s"], brightness: Float[np.ndarray, " s"]) -> Float[np.ndarray, "256"]:
    levels = np.arange(NUM_LEVELS).clip(_LOWEST_LEVEL) / (NUM_LEVELS - 1)
    rising = np.maximum.accumulate(brightness)
    is_new = np.append(True, np.diff(rising) > 0)
    log_exposure = np.log(np.interp(levels, rising[is_new], irradiance[is_new]).clip(_FLOOR))
    return log_exposure - log_exposure[MAX_LEVEL]
