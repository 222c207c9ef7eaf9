"""Primaries of linear pictures: those that mean Rec. 709, and a refusal of all others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from ldr2hdr.io.errors import ImageError

REC709: Final = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
"""Red, green, blue, white as x, y (ITU-R BT.709, item 1.3 and 1.4)."""
_MEANING_REC709: Final = (
    REC709,
    # adapted to the D50 white of ICC profiles; Photoshop writes these beside unchanged numbers
    (0.6484, 0.3309, 0.3212, 0.5979, 0.1559, 0.0661, 0.3457, 0.3585),
    # what Radiance itself assumes where nothing is said: an older standard's, with white at equal energy
    (0.640, 0.330, 0.290, 0.600, 0.150, 0.060, 1 / 3, 1 / 3),
)
# Files have four digits, and some only three
_TOLERANCE: Final = 2e-3


def require_rec709(path: Path, primaries: Sequence[float]) -> None:
    """Refuse pictures of other primaries: their numbers are other colours.

    Args:
        path: The file, for messages.
        primaries: Red, green, blue, white as x, y.

    Raises:
        ImageError: If they are not those of Rec. 709.
    """
    if not any(len(primaries) == 8 and np.allclose(primaries, known, atol=_TOLERANCE) for known in _MEANING_REC709):
        raise ImageError(f"expected Rec. 709 primaries {REC709}, got {tuple(primaries)}; convert the file: {path}")
