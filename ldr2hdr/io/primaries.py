"""Primaries of linear pictures: their way to those of Rec. 709."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float

from ldr2hdr.io.errors import ImageError
from ldr2hdr.radiometry import REC709_LUMINANCE


class Primaries(NamedTuple):
    """Chromaticities x, y of an RGB space."""

    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float] = (0.3127, 0.3290)


REC709: Final = Primaries((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
"""ITU-R BT.709-6, item 1.3; also those of sRGB."""
REC709_XY: Final = sum(REC709, ())
"""Red, green, blue, white, each x, y: as files of radiance have them."""
_MEANING_REC709: Final = (
    REC709_XY,
    # adapted to the D50 white of ICC profiles; Photoshop writes these beside unchanged numbers
    (0.6484, 0.3309, 0.3212, 0.5979, 0.1559, 0.0661, 0.3457, 0.3585),
    # what Radiance itself assumes where nothing is said: an older standard's, with white at equal energy
    (0.640, 0.330, 0.290, 0.600, 0.150, 0.060, 1 / 3, 1 / 3),
)
# Files have four digits, and some only three
_TOLERANCE: Final = 2e-3
_LEAST_VOLUME: Final = 1e-3
# Cone responses, ICC.1:2022, annex E
_BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_BLOCK_ROWS: Final = 64


class Colours(NamedTuple):
    """Meaning of linear numbers.

    Attributes:
        luminance: Weights of red, green and blue.
        to_rec709: Matrix to Rec. 709; None if they are that already.
    """

    luminance: tuple[float, float, float] = REC709_LUMINANCE
    to_rec709: Float[np.ndarray, "3 3"] | None = None


def colours_of(path: Path, primaries: Sequence[float]) -> Colours:
    """Return what numbers of these primaries mean; their white becomes that of Rec. 709, by the Bradford transform.

    Args:
        path: The file, for messages.
        primaries: Red, green, blue, white as x, y; zeros, which some programs write for what they do not state, are
            those of Rec. 709.

    Raises:
        ImageError: If they span no colours, or red, green and blue do not add up to white.

    References:
        SMPTE RP 177 (1993); ICC.1:2022, annex E.
    """
    if len(primaries) == 8 and not any(primaries):
        return Colours()
    matrix = _xyz_from_rgb(primaries) if len(primaries) == 8 and np.isfinite(primaries).all() else None
    if matrix is None:
        raise ImageError(
            f"expected primaries that span colours, and white among them, as those of Rec. 709 {REC709_XY} are, got "
            f"{tuple(primaries)}: {path}"
        )
    if any(np.allclose(primaries, known, atol=_TOLERANCE) for known in _MEANING_REC709):
        return Colours()
    target = _xyz_from_rgb(REC709_XY)
    assert target is not None
    # in both, white is the sum of the columns
    adapted = adaptation_Bradford(matrix.sum(axis=1), target.sum(axis=1)) @ matrix
    red, green, blue = map(float, matrix[1])
    return Colours((red, green, blue), np.linalg.solve(target, adapted))


def adaptation_Bradford(white: Float[np.ndarray, "3"], to: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Return the matrix from XYZ under one white to XYZ under another.

    References:
        ICC.1:2022, annex E.
    """
    gains = (_BRADFORD @ to) / (_BRADFORD @ white)
    return np.linalg.inv(_BRADFORD) @ (gains[:, None] * _BRADFORD)


def _xyz_from_rgb(primaries: Sequence[float]) -> Float[np.ndarray, "3 3"] | None:
    """Return the matrix to XYZ; None if it has no inverse, or white is not of positive parts of all three."""
    x, y = np.array(primaries, np.float64).reshape(4, 2).T
    colours = np.stack([x, y, 1 - x - y])
    if abs(np.linalg.det(colours[:, :3])) < _LEAST_VOLUME or y[3] <= 0:
        return None
    parts = np.linalg.solve(colours[:, :3], colours[:, 3] / y[3])
    return colours[:, :3] * parts if parts.min() > 0 else None


def convert(rgb: Float[np.ndarray, "h w 3"], to_rec709: Float[np.ndarray, "3 3"] | None) -> Float[np.ndarray, "h w 3"]:
    """Return a picture in Rec. 709, converted in place, block by block, for it is large."""
    if to_rec709 is not None:
        for top in range(0, len(rgb), _BLOCK_ROWS):
            rows = slice(top, top + _BLOCK_ROWS)
            rgb[rows] = rgb[rows] @ to_rec709.T
    return rgb
