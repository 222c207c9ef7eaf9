"""Errors of reconstructed light in stops, after one global scale."""

from typing import NamedTuple

import numpy as np

_FLOOR = 1e-6
_LEAST_PIXELS = 150
_LEAST_CLIPPED = 50
COLUMNS = ("ok", "cast", "clip", "bias", "energy")


class Errors(NamedTuple):
    """Errors of one picture; NaN where it has too few pixels of the kind.

    Attributes:
        ok: RMSE on well-exposed pixels: all channels within levels 13 to 239.
        cast: RMS over the channels of their median error on these, less the mean of the three.
        clip: RMSE on clipped pixels: a channel at level 250 or more.
        bias: Mean error on these; negative if lamps are too dim.
        energy: Logarithm of the sum of light on these, predicted over true.
    """

    ok: float
    cast: float
    clip: float
    bias: float
    energy: float


def score(predicted: np.ndarray, truth: np.ndarray, ldr: np.ndarray) -> Errors:
    """Score a reconstruction.

    Args:
        predicted: Linear light, ``(H, W, 3)``.
        truth: The same by the whole stack.
        ldr: The 8-bit photograph.
    """
    clipped, ok = (ldr >= 250).any(axis=-1), ((ldr > 12) & (ldr < 240)).all(axis=-1)
    error = np.clip(np.log2(np.maximum(predicted, _FLOOR)) - np.log2(np.maximum(truth, _FLOOR)), -16, 16)
    scale = np.median(error[ok])
    error = error - scale
    by_channel = np.median(error[ok], axis=0)
    has_clipped = clipped.sum() > _LEAST_CLIPPED
    light = max(float(predicted[clipped].sum()) / 2**scale, _FLOOR), max(float(truth[clipped].sum()), _FLOOR)
    return Errors(
        _rms(error[ok]),
        float(np.sqrt(np.mean((by_channel - by_channel.mean()) ** 2))),
        _rms(error[clipped]),
        float(np.mean(error[clipped])) if has_clipped else np.nan,
        float(np.log2(light[0] / light[1])) if has_clipped else np.nan,
    )


def _rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.clip(error, -8, 8) ** 2))) if error.size > _LEAST_PIXELS else np.nan
