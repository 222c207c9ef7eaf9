"""ICC profiles read: what linear light a picture's codes stand for, in Rec. 709 primaries.

The profiles of cameras, phones and editors are three curves and a matrix. Those are evaluated here, at any depth and
without rounding; the engine in Pillow has 8 bits a channel only, and hides the linear light that a gain map needs.
Profiles with tables, as scanners have, go through that engine: `ldr2hdr.io.colour`.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float

from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.icc_writing import xyz_d50_from_rgb
from ldr2hdr.io.primaries import REC709

Curve = Callable[[Float[np.ndarray, "n"]], Float[np.ndarray, "n"]]
# Parametric types 0 to 4: which of g, a, b, c, d, e, f are given, in this order (ICC.1:2022, 10.18)
_PARAMETRIC: Final = ("g", "gab", "gabc", "gabcd", "gabcdef")
_HDR_TRANSFERS: Final = {16: "PQ", 18: "HLG"}
_HEADER_BYTES: Final = 128


@dataclass(frozen=True)
class Profile:
    """Curves and matrix of an ICC profile.

    Attributes:
        name: Its description.
        curves: From codes in [0, 1] to linear light, of red, green and blue; or one, of a grey picture.
        rec709_from_rgb: Matrix between linear lights; the identity for a grey profile.
    """

    name: str
    curves: tuple[Curve, ...]
    rec709_from_rgb: Float[np.ndarray, "3 3"]


class TableProfileError(Exception):
    """The profile is made of tables, not of curves and a matrix."""


def parse_profile(path: Path, icc: bytes) -> Profile:
    """Read a profile of curves and a matrix, or of a grey curve.

    Args:
        path: Of the photograph, for messages.
        icc: The profile.

    Raises:
        ImageError: If the profile cannot be read, is that of an HDR picture, or of neither RGB nor grey.
        TableProfileError: If it is an RGB profile made of tables.

    References:
        ICC.1:2022, clauses 7 to 10; on grey, F.2, on three components, F.3.
    """
    space = icc[16:20]
    if icc[36:40] != b"acsp" or space not in (b"RGB ", b"GRAY"):
        kind = space.decode("latin-1").strip() if icc[36:40] == b"acsp" else "an unreadable one"
        raise ImageError(
            f"expected an ICC profile for RGB or grey, got {kind}; convert the photograph to sRGB first: {path}"
        )
    with _damage_named(path):
        tags = _read_tags(icc)
    _refuse_hdr(path, tags)
    if b"A2B0" in tags:
        raise TableProfileError
    with _damage_named(path):
        if space == b"GRAY":
            return Profile(_name(tags), (_curve(tags[b"kTRC"]),), np.eye(3))
        curves = tuple(_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
        columns = [_numbers(tags[name], 8, 3) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        matrix = np.linalg.solve(xyz_d50_from_rgb(REC709), np.array(columns).T)
        np.linalg.inv(matrix)  # a gain map needs the way back
        return Profile(_name(tags), curves, matrix)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (struct.error, KeyError, IndexError, ValueError, np.linalg.LinAlgError) as error:
        raise ImageError(
            f"the ICC profile is damaged; export the photograph again, or remove its profile: {path}"
        ) from error


def _read_tags(icc: bytes) -> dict[bytes, bytes]:
    (num_tags,) = struct.unpack_from(">I", icc, _HEADER_BYTES)
    if num_tags > len(icc) // 12:
        raise ValueError("more tags than the profile has room for")
    tags = {}
    for entry in range(num_tags):
        name, start, size = struct.unpack_from(">4sII", icc, _HEADER_BYTES + 4 + 12 * entry)
        tags[name] = icc[start : start + size]
    return tags


def _refuse_hdr(path: Path, tags: dict[bytes, bytes]) -> None:
    transfer = tags.get(b"cicp", b"").ljust(10, b"\0")[9]
    if transfer in _HDR_TRANSFERS:
        raise ImageError(f"expected an LDR photograph, got {_HDR_TRANSFERS[transfer]} HDR already: {path}")


def _name(tags: dict[bytes, bytes]) -> str:
    """The description, of version 2 (ASCII) or 4 (UTF-16)."""
    element = tags.get(b"desc", b"")
    if element[:4] == b"mluc" and len(element) >= 28:
        length, start = struct.unpack_from(">II", element, 20)
        return element[start : start + length].decode("utf-16-be", "replace")
    if element[:4] == b"desc" and len(element) >= 12:
        (length,) = struct.unpack_from(">I", element, 8)
        return element[12 : 12 + length].decode("latin-1").strip("\0 ")
    return "unnamed"


def _numbers(element: bytes, start: int, count: int) -> tuple[float, ...]:
    """Signed numbers with 16 bits behind the point."""
    return tuple(number / 65536 for number in struct.unpack_from(f">{count}i", element, start))


def _curve(element: bytes) -> Curve:
    if element[:4] == b"para":
        names = _PARAMETRIC[struct.unpack_from(">H", element, 8)[0]]
        return _parametric(dict(zip(names, _numbers(element, 12, len(names)), strict=True)))
    if element[:4] != b"curv":
        raise ValueError("neither a table nor a parametric curve")
    (count,) = struct.unpack_from(">I", element, 8)
    entries = np.array(struct.unpack_from(f">{count}H", element, 12), np.float64)
    if count < 2:
        gamma = entries[0] / 256 if count else 1.0
        return lambda codes: codes**gamma
    grid = np.linspace(0, 1, count)
    return lambda codes: np.interp(codes, grid, entries / 65535)


def _parametric(p: dict[str, float]) -> Curve:
    """``(a x + b)**g + e`` from d on, ``c x + f`` below; the shorter types are special cases of the longest."""
    g, a, b = p["g"], p.get("a", 1.0), p.get("b", 0.0)
    if "d" in p:
        slope, joint, above, below = p["c"], p["d"], p.get("e", 0.0), p.get("f", 0.0)
    else:  # types 1 and 2 are constant below -b / a
        slope, joint, above, below = 0.0, -b / a if "a" in p else 0.0, p.get("c", 0.0), p.get("c", 0.0)

    def evaluate(codes: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        power = np.maximum(a * codes + b, 0.0) ** g + above
        return np.clip(np.where(codes >= joint, power, slope * codes + below), 0.0, 1.0)

    return evaluate
