"""ICC profiles made from primaries and a curve: for colours that are named otherwise, and for linear light."""

import struct
from typing import Final

import numpy as np
from jaxtyping import Float

from ldr2hdr.io.primaries import REC709, Primaries, adaptation_Bradford
from ldr2hdr.radiometry import SRGB_EXPONENT, SRGB_JOINT, SRGB_OFFSET, SRGB_SLOPE

DISPLAY_P3: Final = Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
"""SMPTE EG 432-1 with the white of sRGB."""
ADOBE_RGB: Final = Primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
"""Adobe RGB (1998) color image encoding, 2005."""
ADOBE_RGB_GAMMA: Final = 563 / 256
SRGB_CURVE: Final = (
    *(SRGB_EXPONENT, 1 / (1 + SRGB_OFFSET), SRGB_OFFSET / (1 + SRGB_OFFSET), 1 / SRGB_SLOPE, SRGB_JOINT),
)
"""g, a, b, c, d of IEC 61966-2-1: ((a x + b)**g from d on, c x below)."""

_D50: Final = np.array([0.9642, 1.0, 0.8249])


def xyz_d50_from_rgb(primaries: Primaries) -> Float[np.ndarray, "3 3"]:
    """Return the matrix from linear RGB to the XYZ of ICC profiles: white adapted to D50 by the Bradford transform.

    References:
        ICC.1:2022, annex E; SMPTE RP 177.

    Example:
        >>> xyz_d50_from_rgb(REC709).sum(axis=1).round(4).tolist()
        [0.9642, 1.0, 0.8249]
    """
    colours = np.array([_xyz(xy) for xy in primaries[:3]]).T
    white = _xyz(primaries.white)
    unadapted = colours * np.linalg.solve(colours, white)
    return adaptation_Bradford(white, _D50) @ unadapted


def encode_profile(description: str, primaries: Primaries, curve: tuple[float, ...]) -> bytes:
    """Encode an ICC profile (version 4.3) of a display.

    Args:
        description: ASCII name that programs show.
        primaries: Of the space.
        curve: Parameters of the curve from codes to light: ``(gamma,)``, or the five of `SRGB_CURVE`.

    References:
        ICC.1:2022, clauses 7 and 10.
    """
    kind = {1: 0, 5: 3}[len(curve)]
    trc = b"para" + bytes(4) + struct.pack(">HH", kind, 0) + _fixed(curve)
    columns = [b"XYZ " + bytes(4) + _fixed(column) for column in xyz_d50_from_rgb(primaries).T]
    tags = {
        b"desc": _text(description),
        b"cprt": _text("No copyright"),
        b"wtpt": b"XYZ " + bytes(4) + _fixed(_D50),
        b"chad": b"sf32" + bytes(4) + _fixed(adaptation_Bradford(_xyz(primaries.white), _D50).ravel()),
        **dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)),
        b"rTRC": trc,
        b"gTRC": trc,
        b"bTRC": trc,
    }
    return _assemble(tags)


def srgb_profile() -> bytes:
    """The profile of sRGB (IEC 61966-2-1)."""
    return encode_profile("sRGB", REC709, SRGB_CURVE)


def linear_rec709_profile() -> bytes:
    """The profile of linear light with Rec. 709 primaries."""
    return encode_profile("Linear Rec. 709", REC709, (1.0,))


def adobe_rgb_profile() -> bytes:
    """The profile of Adobe RGB (1998)."""
    return encode_profile("Adobe RGB compatible", ADOBE_RGB, (ADOBE_RGB_GAMMA,))


def display_p3_profile() -> bytes:
    """The profile of Display P3."""
    return encode_profile("Display P3 compatible", DISPLAY_P3, SRGB_CURVE)


def _xyz(xy: tuple[float, float]) -> Float[np.ndarray, "3"]:
    x, y = xy
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _fixed(numbers: Float[np.ndarray, "n"] | tuple[float, ...]) -> bytes:
    """Signed numbers with 16 bits behind the point."""
    return b"".join(struct.pack(">i", round(float(number) * 65536)) for number in numbers)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded


def _assemble(tags: dict[bytes, bytes]) -> bytes:
    """Header, tag table, and each distinct element once, on a multiple of four bytes."""
    offset = 128 + 4 + 12 * len(tags)
    table, body, places = struct.pack(">I", len(tags)), b"", {}
    for signature, element in tags.items():
        if element not in places:
            places[element] = offset + len(body)
            body += element + bytes(-len(element) % 4)
        table += struct.pack(">4sII", signature, places[element], len(element))
    head = struct.pack(">I4sI4s4s4s", offset + len(body), bytes(4), 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(_D50)
    return head.ljust(128, b"\0") + table + body
