"""Light packed for a page: logarithmic codes, predicted from what the page has already, deflated.

The browser inflates by itself (``DecompressionStream``), so no picture format and no colour management is in between.
"""

import base64
import zlib
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int32

# Half a step is 0.27 % of the light, at most 0.3 of an 8-bit sRGB level at any exposure up to MAX_EV
STEPS_PER_STOP: Final = 128
# Light is counted from here, in units of sensor white; zero has the code 0
FLOOR: Final = 2.0**-10
MAX_EV: Final = 6
_BRIGHTEST: Final = 65504.0  # of half floats
_LEVELS: Final = 256
_PROBED_ROWS: Final = 64
_MAX_BASES: Final = 2

Base = int | Literal["table"] | None


class Packed(NamedTuple):
    """One picture on the page.

    Attributes:
        data: Base64 of raw deflate: a table (if it is the base), then low and high bytes of the residuals.
        base: What the codes are predicted from: the number of an earlier picture, a table by level of the photograph,
            or nothing.
        is_smoothed: Whether what is left was then predicted from the neighbours.
    """

    data: str
    base: Base
    is_smoothed: bool


def encode_light(exposure: Float[np.ndarray, "h w 3"]) -> Int32[np.ndarray, "3 h w"]:
    """Return codes of sensor exposure, 128 to the stop, finer than that only below 2**-10 of white.

    Example:
        >>> encode_light(np.array([[[0.0, 1.0, 2.0]]], dtype=np.float32)).ravel().tolist()
        [0, 1280, 1408]
    """
    light = np.clip(np.nan_to_num(exposure, nan=0.0), 0, _BRIGHTEST)
    codes = STEPS_PER_STOP * np.log2(light / FLOOR + 1)
    return np.ascontiguousarray(np.moveaxis(np.round(codes).astype(np.int32), -1, 0))


def pack(
    codes: Int32[np.ndarray, "3 h w"],
    *,
    levels: Int32[np.ndarray, "3 h w"] | None = None,
    earlier: Sequence[Int32[np.ndarray, "3 h w"]] = (),
) -> Packed:
    """Pack codes below 2**15 without loss, predicted from whatever leaves least.

    A baseline is a function of the photograph's level and costs next to nothing; one adapted network is nearly the
    other.

    Args:
        codes: What to pack.
        levels: Levels of the photograph, 0 to 255, which the page has; None for the photograph itself.
        earlier: Pictures that the page has; the last ones are tried.
    """
    bases: dict[Base, np.ndarray] = {None: np.zeros_like(codes)}
    table = None if levels is None else _table(codes, levels)
    if levels is not None and table is not None:
        bases["table"] = np.stack([row[plane] for row, plane in zip(table, levels, strict=True)])
    first = max(0, len(earlier) - _MAX_BASES)
    bases |= {first + index: picture for index, picture in enumerate(earlier[first:])}
    base, is_smoothed = _cheapest(codes, bases)
    residual = codes - bases[base]
    residual = residual - _predict(residual) if is_smoothed else residual
    head = table.astype("<u2").tobytes() if table is not None and base == "table" else b""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15, 9, zlib.Z_FILTERED)  # -15: no header, as browsers want it raw
    data = deflate.compress(head + _to_bytes(residual)) + deflate.flush()
    return Packed(base64.b64encode(data).decode("ascii"), base, is_smoothed)


def _table(codes: Int32[np.ndarray, "3 h w"], levels: Int32[np.ndarray, "3 h w"]) -> Int32[np.ndarray, "3 256"]:
    """Return the mean code of each level of the photograph, channel by channel."""
    rows = []
    for values, plane in zip(codes, levels, strict=True):
        sums = np.bincount(plane.ravel(), values.ravel(), _LEVELS)
        counts = np.bincount(plane.ravel(), minlength=_LEVELS)
        rows.append(np.round(sums / np.maximum(counts, 1)).astype(np.int32))
    return np.stack(rows)


def _cheapest(codes: Int32[np.ndarray, "3 h w"], bases: dict[Base, np.ndarray]) -> tuple[Base, bool]:
    """Judged on rows in the middle, by the entropy of what is left."""
    top = max(0, (codes.shape[1] - _PROBED_ROWS) // 2)
    rows = np.s_[:, top : top + _PROBED_ROWS]
    costs: dict[tuple[Base, bool], float] = {}
    for base, picture in bases.items():
        residual = codes[rows] - picture[rows]
        costs[base, False] = _entropy(residual)
        costs[base, True] = _entropy(residual - _predict(residual))
    return min(costs, key=lambda key: costs[key])


def _entropy(residual: Int32[np.ndarray, "..."]) -> float:
    counts = np.bincount(residual.ravel() - residual.min())
    shares = counts[counts > 0] / residual.size
    return float(-(shares * np.log2(shares)).sum())


def _predict(codes: Int32[np.ndarray, "3 h w"]) -> Int32[np.ndarray, "3 h w"]:
    """Predict every code from its left, upper and upper left neighbours, 0 outside.

    References:
        The median edge detector of LOCO-I: Weinberger, Seroussi and Sapiro, IEEE TIP 2000, eq. 1.
    """
    padded = np.pad(codes, ((0, 0), (1, 0), (1, 0)))
    left, up, corner = padded[:, 1:, :-1], padded[:, :-1, 1:], padded[:, :-1, :-1]
    low, high = np.minimum(left, up), np.maximum(left, up)
    predicted: np.ndarray = np.clip(left + up - corner, low, high)
    return predicted


def _to_bytes(residual: Int32[np.ndarray, "3 h w"]) -> bytes:
    """Fold signs into the lowest bit; write all low bytes, then all high ones, which are nearly all 0."""
    folded = ((residual << 1) ^ (residual >> 31)).astype("<u2")
    return np.ascontiguousarray(folded.reshape(-1).view(np.uint8).reshape(-1, 2).T).tobytes()
