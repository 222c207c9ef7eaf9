"""Prior over the responses of real cameras: a Gaussian over log inverse curves, learned from the DoRF database.

The database does not ship; `experiments/response_prior/fit.py` made the numbers here of 150 of its 190 distinct curves.
"""

import functools
import hashlib
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ldr2hdr.calibration.curve import MAX_LEVEL, NUM_LEVELS

PRIOR_FILE: Final = Path(__file__).parent / "dorf_prior.npz"
_NUM_HELD_OUT: Final = 40
# Level 0 is a quarter of the first level, where a curve that rises at all has a logarithm
_LOWEST_LEVEL: Final = 0.25
# Irradiance is told in steps of 2**-10: below, a curve is what interpolation makes of it
_FLOOR: Final = 2.0**-13


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
    """Read the prior that ships."""
    with np.load(PRIOR_FILE, allow_pickle=False) as arrays:
        return ResponsePrior(*(torch.from_numpy(arrays[name]).double() for name in ResponsePrior._fields))


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
