"""Display-referred pictures (.png, .jpg, .tiff) of 8 or 16 bits, checked before and after decoding."""

import struct
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.files import check_size, kind_of

# Keeps 16 bits, makes grey three channels, and turns the picture as its EXIF orientation says.
# Not IMREAD_COLOR_RGB: OpenCV 5.0.0 decodes 16-bit colour TIFFs to wrong numbers with it.
_DECODE_FLAGS: Final = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
_JPEG_START_OF_SCAN: Final = 0xDA
# C4, C8 and CC lie in the range of the frame headers, but are tables
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TIFF_TYPES: Final = {3: "H", 4: "I"}


def read_ldr(path: Path | str) -> Float[Tensor, "3 h w"]:
    """A photograph in [0, 1], display-referred: the stored code divided by its largest, 255 or 65535.

    Grey becomes three equal channels; the EXIF orientation is applied; an opaque alpha channel is dropped.

    Raises:
        ImageError: If the file is missing, truncated, of absurd size, no PNG, JPEG or TIFF, transparent, or of another
            depth than 8 or 16 bits.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind not in ("PNG", "JPEG", "TIFF"):
        raise ImageError(f"expected an LDR picture (.png, .jpg or .tiff), got {kind}: {path}")
    data = path.read_bytes()
    _check_intact(path, data, kind)
    codes = _decode(path, data, _DECODE_FLAGS)
    if codes.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"expected 8 or 16 bits a channel, got {codes.dtype}: {path}")
    if kind != "JPEG":
        _check_opaque(path, data)
    scaled = codes[..., ::-1].astype(np.float32) / np.iinfo(codes.dtype).max
    return torch.from_numpy(scaled).movedim(-1, 0).contiguous()


def _decode(path: Path, data: bytes, flags: int) -> np.ndarray:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"the picture cannot be decoded ({error.err}): {path}") from error
    if pixels is None:
        raise ImageError(f"the picture is damaged or of a variant that cannot be decoded: {path}")
    return np.asarray(pixels)


def _check_opaque(path: Path, data: bytes) -> None:
    stored = _decode(path, data, cv2.IMREAD_UNCHANGED)
    if stored.ndim == 3 and stored.shape[2] == 4 and stored[..., 3].min() < np.iinfo(stored.dtype).max:
        raise ImageError(f"expected an opaque picture, got transparent pixels; flatten it first: {path}")


def _check_intact(path: Path, data: bytes, kind: str) -> None:
    """Check size and end before decoding: decoders fill missing pixels with grey, and allocate what a header asks."""
    try:
        if kind == "PNG":
            width, height = struct.unpack_from(">II", data, 16)
            is_whole = _has_png_end(data)
        elif kind == "JPEG":
            width, height, is_whole = _scan_jpeg(data)
        else:
            width, height = _tiff_size(data)
            is_whole = True  # the strips are checked by the decoder
    except (struct.error, IndexError, KeyError) as error:
        raise ImageError(f"the {kind} header is truncated or damaged: {path}") from error
    check_size(path, height, width)
    if not is_whole:
        raise ImageError(f"the {kind} file is truncated, its end marker is missing: {path}")


def _has_png_end(data: bytes) -> bool:
    position = 8
    while position + 12 <= len(data):
        length, chunk = struct.unpack_from(">I4s", data, position)
        if chunk == b"IEND":
            return True
        position += 12 + int(length)
    return False


def _scan_jpeg(data: bytes) -> tuple[int, int, bool]:
    """Width, height, and whether the end marker follows the scan, where no pixel data can look like it."""
    position, width, height = 2, 0, 0
    while data[position + 1] != _JPEG_START_OF_SCAN:
        marker = data[position + 1]
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 5)
        # a marker may be preceded by any number of fill bytes
        position += 1 if marker == 0xFF else 2 + int(struct.unpack_from(">H", data, position + 2)[0])
    return width, height, data.find(b"\xff\xd9", position) >= 0


def _tiff_size(data: bytes) -> tuple[int, int]:
    order = "<" if data[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (num_entries,) = struct.unpack_from(order + "H", data, directory)
    values: dict[int, int] = {}
    for entry in range(directory + 2, directory + 2 + 12 * num_entries, 12):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in (256, 257):  # ImageWidth, ImageLength
            (values[tag],) = struct.unpack_from(order + _TIFF_TYPES[kind], data, entry + 8)
    return values[256], values[257]
