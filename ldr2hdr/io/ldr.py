"""Display-referred pictures (.png, .jpg, .tiff) of 8 or 16 bits, checked before and after decoding."""

import io
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8, UInt16
from PIL import ExifTags
from torch import Tensor

from ldr2hdr.io.errors import ImageError, naming
from ldr2hdr.io.exif import BinaryFile, exif_of_tiff, parse_exif
from ldr2hdr.io.files import MAX_PIXELS, check_size, kind_of
from ldr2hdr.io.jpeg import exif_of_jpeg, icc_of_jpeg, parse_jpeg, xmp_of_jpeg
from ldr2hdr.io.orientation import turn_upright
from ldr2hdr.io.png import (
    PngFile,
    exif_of_png,
    icc_of_png,
    is_transparent_grey,
    orientation_of_xmp,
    parse_png,
    xmp_of_png,
)
from ldr2hdr.io.shot import Shot, describe_shot
from ldr2hdr.io.tiff import TiffFile, parse_tiff

# Keeps 16 bits and makes grey three channels. The orientation is left alone, but in TIFF the decoder cannot do that.
# Not IMREAD_COLOR_RGB: OpenCV 5.0.0 decodes 16-bit colour TIFFs to wrong numbers with it.
_DECODE_FLAGS: Final = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
_CMYK: Final = "expected RGB or grey, got CMYK, which is for printing; convert the photograph to sRGB first"

_TRANSPARENT: Final = "expected an opaque picture, got transparent pixels; flatten it first"


class StoredPicture(NamedTuple):
    """A picture as it is stored, and what its file says of it.

    Attributes:
        codes: Red, green, blue.
        white: The largest code there can be.
        bit_depth: Bits a channel in the file.
        orientation: EXIF orientation that is still to be applied.
        exif: EXIF block.
        icc: ICC profile of the codes, embedded or made of what the file says instead; None means sRGB.
        xmp: XMP packet.
    """

    codes: UInt8[np.ndarray, "h w 3"] | UInt16[np.ndarray, "h w 3"]
    white: int
    bit_depth: int
    orientation: int
    exif: bytes | None
    icc: bytes | None
    xmp: bytes | None = None


class LdrHeader(NamedTuple):
    """Header of a picture.

    Attributes:
        height: In pixels, as stored.
        width: In pixels, as stored.
        is_whole: Whether the file has an end; True if that has not been looked for.
        orientation: Of the stored picture, by EXIF or what stands for it.
        exif: EXIF block.
        icc: ICC profile of the codes; None means sRGB.
        png: The chunks of a PNG.
        xmp: XMP packet.
    """

    height: int
    width: int
    is_whole: bool
    orientation: int = 1
    exif: bytes | None = None
    icc: bytes | None = None
    png: PngFile | None = None
    xmp: bytes | None = None

    @property
    def shot(self) -> Shot:
        """Return what the header says of the shot."""
        return describe_shot(parse_exif(self.exif), self.xmp)


def read_ldr(path: Path | str) -> Float[Tensor, "3 h w"]:
    """Read a photograph in [0, 1], display-referred: the stored code divided by its largest, 255 or 65535.

    Grey becomes three equal channels; the EXIF orientation is applied; an opaque alpha channel is dropped. Colours are
    the file's: its ICC profile is not looked at. `ldr2hdr.io.read_photo` converts them to sRGB.

    Raises:
        ImageError: If the file is missing, truncated, of absurd size, no PNG, JPEG or TIFF, transparent, CMYK, or of
            another depth than 8 or 16 bits.
    """
    path = Path(path)
    with naming(path):
        kind = _ldr_kind(path)
        stored = read_stored(path, path.read_bytes(), kind)
        return turn_upright(scale_codes(stored.codes, stored.white), stored.orientation).contiguous()


def read_ldr_header(path: Path) -> LdrHeader:
    """Read the header of a PNG, JPEG or TIFF file; no pixels are decoded.

    Raises:
        ImageError: If the header says that :func:`read_ldr` will refuse the file.
    """
    kind = _ldr_kind(path)
    with naming(path), path.open("rb") as file:
        if kind == "TIFF":
            return _tiff_header(path, file)
        with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return _png_header(path, data) if kind == "PNG" else _jpeg_header(path, data, has_scans=False)


def scale_codes(codes: UInt8[np.ndarray, "h w 3"] | UInt16[np.ndarray, "h w 3"], white: int) -> Float[Tensor, "3 h w"]:
    """Divide codes by the largest one, channel by channel: no array of the picture's size is made on the way."""
    scaled = np.empty((3, *codes.shape[:2]), dtype=np.float32)
    for channel, plane in enumerate(scaled):
        np.divide(codes[..., channel], np.float32(white), out=plane, dtype=np.float32)
    return torch.from_numpy(scaled)


def read_stored(path: Path, data: bytes, kind: str, *, max_pixels: int = MAX_PIXELS) -> StoredPicture:
    """Decode a PNG, JPEG or TIFF file, checked before and after.

    Args:
        path: Of the file, for messages.
        data: Its bytes.
        kind: ``PNG``, ``JPEG`` or ``TIFF``.
        max_pixels: More are refused before anything is decoded.

    Raises:
        ImageError: As in :func:`read_ldr`.
    """
    if kind == "TIFF":
        header = _tiff_header(path, io.BytesIO(data))
    else:
        header = _png_header(path, data) if kind == "PNG" else _jpeg_header(path, data)
    check_size(path, header.height, header.width, max_pixels=max_pixels)
    if not header.is_whole:
        raise ImageError(f"the {kind} file is truncated, its end marker is missing: {path}")
    codes = _decode(path, data, _DECODE_FLAGS)
    if kind != "JPEG":
        _check_opaque(path, data)
    if header.png is not None and is_transparent_grey(header.png, codes):
        raise ImageError(f"{_TRANSPARENT}: {path}")
    white = int(np.iinfo(codes.dtype).max)
    rgb = np.ascontiguousarray(codes[..., ::-1])
    orientation = 1 if kind == "TIFF" else header.orientation  # the decoder turns TIFF
    return StoredPicture(rgb, white, white.bit_length(), orientation, header.exif, header.icc, header.xmp)


def _ldr_kind(path: Path) -> str:
    kind = kind_of(path)
    if kind not in ("PNG", "JPEG", "TIFF"):
        raise ImageError(f"expected an LDR picture (.png, .jpg or .tiff), got {kind}: {path}")
    return kind


def _png_header(path: Path, data: bytes | mmap) -> LdrHeader:
    png = parse_png(path, data)
    block = parse_exif(exif := exif_of_png(png))
    is_told = ExifTags.Base.Orientation in block.main
    xmp = xmp_of_png(png)
    orientation = describe_shot(block).orientation if is_told else orientation_of_xmp(xmp) or 1
    return LdrHeader(png.height, png.width, png.is_whole, orientation, exif, icc_of_png(path, png), png, xmp)


def _jpeg_header(path: Path, data: bytes | mmap, *, has_scans: bool = True) -> LdrHeader:
    jpeg = parse_jpeg(path, data, has_scans=has_scans)
    if jpeg.num_channels == 4:
        raise ImageError(f"{_CMYK}: {path}")
    if jpeg.bit_depth != 8:
        raise ImageError(f"expected a JPEG of 8 bits a channel, got {jpeg.bit_depth}: {path}")
    orientation = describe_shot(parse_exif(exif := exif_of_jpeg(jpeg))).orientation
    xmp = xmp_of_jpeg(jpeg)
    return LdrHeader(jpeg.height, jpeg.width, jpeg.is_whole, orientation, exif, icc_of_jpeg(path, jpeg), xmp=xmp)


def _tiff_header(path: Path, file: BinaryFile) -> LdrHeader:
    tiff = parse_tiff(path, file)
    _check_layout(path, tiff)
    orientation = describe_shot(tiff.exif).orientation
    # the strips are checked by the decoder
    return LdrHeader(tiff.height, tiff.width, True, orientation, exif_of_tiff(tiff.exif), tiff.icc, xmp=tiff.xmp)


def _check_layout(path: Path, tiff: TiffFile) -> None:
    """Refuse what OpenCV 5.0.0 would decode to wrong numbers without a word."""
    if tiff.colours is not None:
        message = _CMYK if tiff.colours == "CMYK" else f"expected RGB or grey, got {tiff.colours}"
        raise ImageError(f"{message}: {path}")
    if tiff.compression is not None:
        raise ImageError(
            f"expected a TIFF without compression, by LZW or ZIP, got {tiff.compression}; save it again: {path}"
        )
    if tiff.samples is not None:
        raise ImageError(f"expected 8 or 16 bits a channel, got {tiff.samples}: {path}")
    if tiff.bit_depth not in (1, 4, 8, 16):
        raise ImageError(f"expected 8 or 16 bits a channel, got {tiff.bit_depth}: {path}")
    if tiff.bit_depth == 16 and (tiff.is_planar or tiff.is_white_zero):
        layout = "channel by channel" if tiff.is_planar else "with 0 as white"
        raise ImageError(f"expected a TIFF of interleaved RGB, got 16 bits stored {layout}; save it again: {path}")


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
        raise ImageError(f"{_TRANSPARENT}: {path}")
