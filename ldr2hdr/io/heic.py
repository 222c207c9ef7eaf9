"""HEIC photographs, as phones take them (extra ``heic``)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.files import MAX_PIXELS, check_size
from ldr2hdr.io.icc_writing import display_p3_profile
from ldr2hdr.io.ldr import StoredPicture
from ldr2hdr.io.optional import import_optional
from ldr2hdr.io.png import LIKE_SRGB, UNSPECIFIED

# Code points of ITU-T H.273
_DISPLAY_P3: Final = 12
# Items of a HEIF file and their types (ISO/IEC 14496-12, 8.11.6), which name the codecs
_ITEM: Final = re.compile(rb"infe[\2\3]...(?:..|....)..(\w{3,4})", re.DOTALL)
_CODECS: Final = {
    b"unci": "without compression",
    b"av01": "coded by AV1, which is AVIF",
    b"avc1": "coded by H.264",
    b"j2k1": "coded by JPEG 2000",
    b"jpeg": "coded by JPEG",
    b"vvc1": "coded by VVC",
    b"evc1": "coded by EVC",
    b"lhv1": "coded in layers of HEVC",
}
_MAX_HEADER_BYTES: Final = 2**20
_LIKE_REC709: Final = (1, UNSPECIFIED, 5, 6, 7)
"""Primaries of Rec. 709, and of standard television, which are nearly those and taken for them."""
_HDR_TRANSFERS: Final = {16: "PQ", 18: "HLG"}


def read_heic(path: Path, data: bytes, *, max_pixels: int = MAX_PIXELS) -> StoredPicture:
    """Decode the primary picture of a HEIC file; the decoder turns it upright.

    Args:
        path: Of the file, for messages.
        data: Its bytes.
        max_pixels: More are refused before anything is decoded.

    Raises:
        ImageError: If the package is missing, the file damaged, of absurd size, transparent, or HDR already.
    """
    picture = _open(path, data)
    check_size(path, picture.size[1], picture.size[0], max_pixels=max_pixels)
    _refuse_colours(path, picture.info)
    with _damage_named(path):
        codes = np.asarray(picture)  # decodes
    bit_depth = int(picture.info.get("bit_depth", 8))
    # the decoder shifts 10 and 12 bits to the top of 16
    white = 255 if codes.dtype == np.uint8 else (2**bit_depth - 1) << (16 - bit_depth)
    rgb = _three_channels(path, codes, white)
    info = picture.info
    return StoredPicture(rgb, white, bit_depth, 1, _exif(info), _profile(info), info.get("xmp"))


def metadata_of_heic(path: Path, data: bytes) -> tuple[bytes | None, bytes | None]:
    """Return EXIF block and XMP packet of the primary picture, if it has them; arguments as for `read_heic`.

    Raises:
        ImageError: If the package is missing, or the file damaged.
    """
    info = _open(path, data).info
    return _exif(info), info.get("xmp")


def _open(path: Path, data: bytes) -> Any:  # noqa: ANN401 (of an optional package)
    """Open a file; nothing is decoded yet."""
    _refuse_codec(path, data)
    pillow_heif = import_optional("pillow_heif", extra="heic", path=path)
    with _damage_named(path):
        picture = pillow_heif.open_heif(data, convert_hdr_to_8bit=False)
    if len(picture) == 0:  # the library passes over pictures that it cannot decode
        raise ImageError(f"the HEIC file is damaged, no picture is left in it: {path}")
    return picture


def _exif(info: dict[str, Any]) -> bytes | None:
    return (info.get("exif") or b"").removeprefix(b"Exif\0\0") or None


def _refuse_codec(path: Path, data: bytes) -> None:
    """Refuse pictures of another codec than HEVC, which the library passes over without a word."""
    codecs = {found[1] for found in _ITEM.finditer(data[:_MAX_HEADER_BYTES])}
    others = [_CODECS[codec] for codec in sorted(codecs & set(_CODECS))]
    if others and b"hvc1" not in codecs:
        raise ImageError(f"expected a HEIC picture, coded by HEVC, got a HEIF {others[0]}; export it as JPEG: {path}")


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError, RuntimeError, EOFError, SyntaxError) as error:
        raise ImageError(f"the HEIC picture is truncated or damaged ({str(error).strip()}): {path}") from error


def _refuse_colours(path: Path, info: dict[str, Any]) -> None:
    """Refuse what is HDR, and without a profile colours that would be taken for sRGB."""
    named = info.get("nclx_profile") or {}
    primaries, transfer = (named.get(key, UNSPECIFIED) for key in ("color_primaries", "transfer_characteristics"))
    if transfer in _HDR_TRANSFERS:
        raise ImageError(f"expected an LDR photograph, got {_HDR_TRANSFERS[transfer]} HDR already: {path}")
    is_known = primaries in (*_LIKE_REC709, _DISPLAY_P3) and transfer in (UNSPECIFIED, *LIKE_SRGB)
    if not is_known and not info.get("icc_profile"):
        raise ImageError(
            f"expected sRGB or Display P3, got primaries {primaries} and transfer {transfer} of ITU-T H.273; "
            f"convert the photograph to sRGB first: {path}"
        )


def _profile(info: dict[str, Any]) -> bytes | None:
    primaries = (info.get("nclx_profile") or {}).get("color_primaries")
    return info.get("icc_profile") or (display_p3_profile() if primaries == _DISPLAY_P3 else None)


def _three_channels(path: Path, codes: np.ndarray, white: int) -> np.ndarray:
    channels = codes.reshape(*codes.shape[:2], -1)
    if channels.shape[2] in (2, 4) and channels[..., -1].min() < white:
        raise ImageError(f"expected an opaque picture, got transparent pixels; flatten it first: {path}")
    rgb = channels[..., :3] if channels.shape[2] >= 3 else np.repeat(channels[..., :1], 3, axis=2)
    return np.ascontiguousarray(rgb)
