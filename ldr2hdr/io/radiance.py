"""Radiance pictures (.hdr): shared-exponent RGBE, read in all its variants and written with rounding."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float, UInt8

from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.files import check_size
from ldr2hdr.io.primaries import colours_of, convert

# A pixel is mantissa * 2**(exponent - 136): bias 128, and the 8 bits of the mantissa are a fraction.
_EXPONENT_OFFSET: Final = 136
_MAX_VALUE: Final = 255.0 * 2.0 ** (255 - _EXPONENT_OFFSET)
_MAX_HEADER_BYTES: Final = 65536
# Of numbers that must be 1
_SLACK: Final = 1e-3
# Encoding takes 100 bytes of memory a pixel
_BLOCK_ROWS: Final = 64
_RESOLUTION: Final = re.compile(r"^([+-])([XY]) +(\d+) +([+-])([XY]) +(\d+) *$")
# CIE XYZ to linear Rec. 709, white point D65 (IEC 61966-2-1)
_REC709_FROM_XYZ: Final = np.array(
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.9692660, 1.8760108, 0.0415560],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)


@dataclass(frozen=True)
class _Header:
    num_lines: int
    line_px: int
    is_transposed: bool
    is_flipped_vertically: bool
    is_flipped_horizontally: bool
    to_rec709: Float[np.ndarray, "3 3"] | None
    scale: tuple[float, float, float]
    end: int


def read_hdr(path: Path) -> Float[np.ndarray, "h w 3"]:
    """Read linear Rec. 709 radiance of a Radiance picture, upright, float32.

    ``EXPOSURE`` and ``COLORCORR`` lines (cumulative) are divided out; XYZE and other ``PRIMARIES`` are converted.
    Colours that Rec. 709 does not span have negative values then, which are kept.

    Raises:
        ImageError: If the header is not Radiance, the size is absurd, pixels are missing or damaged, or the header says
            that they are not what they seem: not square, of a gamma, of primaries that span no colours.

    References:
        G. Ward, "Real Pixels", Graphics Gems II (1991); Radiance reference, "picture file format".
    """
    data = path.read_bytes()
    header = _parse_header(path, data)
    quads = _decode_quads(path, data, header).reshape(header.num_lines, header.line_px, 4)
    exponent = quads[..., 3:].astype(np.int32) - _EXPONENT_OFFSET
    rgb = np.ldexp(quads[..., :3].astype(np.float32), exponent)
    rgb[quads[..., 3] == 0] = 0.0
    if header.is_transposed:
        rgb = rgb.transpose(1, 0, 2)
    if header.is_flipped_vertically:
        rgb = rgb[::-1]
    if header.is_flipped_horizontally:
        rgb = rgb[:, ::-1]
    # a correction is of the primaries that the file has
    rgb = np.ascontiguousarray(rgb / np.array(header.scale), dtype=np.float32)
    return convert(rgb, header.to_rec709)


def read_hdr_size(path: Path) -> tuple[int, int]:
    """Return height and width, upright, after a look at all that `read_hdr` refuses by the header.

    Raises:
        ImageError: As `read_hdr`.
    """
    with path.open("rb") as file:
        header = _parse_header(path, file.read(_MAX_HEADER_BYTES))
    size = header.num_lines, header.line_px
    return size[::-1] if header.is_transposed else size


def encode_hdr(rgb: Float[np.ndarray, "h w 3"], *, lines: Sequence[str] = ()) -> bytes:
    """Encode a Radiance file of finite non-negative radiance, uncompressed.

    Mantissas are rounded, not truncated as other writers do: the error is at most 0.4 % of a pixel's largest
    channel, without bias. Normalised mantissas never look like a run-length marker, so flat scanlines are
    unambiguous.

    Args:
        rgb: Radiance.
        lines: Of the header, such as ``# camera: X100V``; letters that are not ASCII become question marks.

    Raises:
        ImageError: If a value is above the range of the format, 1.7e38.
    """
    if rgb.max(initial=0.0) > _MAX_VALUE:
        raise ImageError(f"expected radiance up to {_MAX_VALUE:.3g} for .hdr, got {rgb.max():.3g}")
    height, width = rgb.shape[:2]
    head = "\n".join(["#?RADIANCE", *lines, "SOFTWARE=ldr2hdr", "FORMAT=32-bit_rle_rgbe", ""])
    head += f"\n-Y {height} +X {width}\n"
    quads = np.empty((height, width, 4), dtype=np.uint8)
    for top in range(0, height, _BLOCK_ROWS):
        rows = slice(top, top + _BLOCK_ROWS)
        quads[rows] = _encode_quads(rgb[rows])
    return head.encode("ascii", "replace") + quads.tobytes()


def _encode_quads(rgb: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 4"]:
    peak = rgb.max(axis=-1, initial=0.0).astype(np.float64)
    exponent = np.frexp(peak)[1]
    # rounding 255.5 up would give 256: such a pixel takes the next exponent
    exponent += np.rint(np.ldexp(peak, 8 - exponent)) > 255
    mantissa = np.rint(np.ldexp(rgb.astype(np.float64), 8 - exponent[..., None]))
    is_stored = (peak > 0) & (exponent > -128)
    quads = np.concatenate([mantissa, exponent[..., None] + 128.0], axis=-1)
    return np.where(is_stored[..., None], quads, 0.0).astype(np.uint8)


def _parse_header(path: Path, data: bytes) -> _Header:
    # Windows line ends occur; the pixels behind the resolution line are not touched
    matched = re.match(rb"(#\?.*?)\r?\n\r?\n([^\n]{1,80})\n", data[:_MAX_HEADER_BYTES], flags=re.DOTALL)
    if matched is None:
        raise ImageError(f"expected a Radiance header ended by an empty line and a size, got neither: {path}")
    lines = matched[1].decode("latin-1").splitlines()
    size = _RESOLUTION.match(matched[2].decode("latin-1").rstrip("\r"))
    if size is None or size[2] == size[5]:
        raise ImageError(f"expected a size such as '-Y 480 +X 640', got {matched[2][:40]!r}: {path}")
    pixel_format = _values(lines, "FORMAT")[-1:] or ["32-bit_rle_rgbe"]
    if pixel_format[0] not in ("32-bit_rle_rgbe", "32-bit_rle_xyze"):
        raise ImageError(f"expected FORMAT=32-bit_rle_rgbe or _xyze, got {pixel_format[0]!r}: {path}")
    is_xyz = pixel_format[0].endswith("xyze")
    _require_plain(path, lines)
    num_lines, line_px = int(size[3]), int(size[6])
    check_size(path, num_lines, line_px)
    sign = {size[2]: size[1], size[5]: size[4]}
    return _Header(
        num_lines=num_lines,
        line_px=line_px,
        is_transposed=size[2] == "X",
        is_flipped_vertically=sign["Y"] == "+",
        is_flipped_horizontally=sign["X"] == "-",
        to_rec709=_REC709_FROM_XYZ if is_xyz else _parse_primaries(path, lines),
        scale=_parse_scale(path, lines),
        end=matched.end(),
    )


def _values(lines: list[str], key: str) -> list[str]:
    return [line.split("=", 1)[1].strip() for line in lines if line.startswith(key + "=")]


def _parse_primaries(path: Path, lines: list[str]) -> Float[np.ndarray, "3 3"] | None:
    """Return the matrix from the primaries that the last line of several names; None for those of Rec. 709."""
    colours = [colours_of(path, _parse_numbers(path, "PRIMARIES", value)) for value in _values(lines, "PRIMARIES")]
    return colours[-1].to_rec709 if colours else None


def _require_plain(path: Path, lines: list[str]) -> None:
    """Refuse lines by which the numbers are not linear light of square pixels."""
    for key, reason in (("PIXASPECT", "square pixels"), ("GAMMA", "linear light"), ("NCOMP", "three components")):
        expected = 3.0 if key == "NCOMP" else 1.0
        got = [number for value in _values(lines, key) for number in _parse_numbers(path, key, value)]
        if any(abs(number - expected) > _SLACK for number in got):
            raise ImageError(f"expected {reason}, got {key}={' '.join(map(str, got))}; convert the file: {path}")


def _parse_numbers(path: Path, key: str, text: str) -> list[float]:
    try:
        return [float(number) for number in text.split()]
    except ValueError as error:
        raise ImageError(f"expected numbers in {key}, got {text!r}: {path}") from error


def _parse_scale(path: Path, lines: list[str]) -> tuple[float, float, float]:
    rows = [value.split() * 3 for value in _values(lines, "EXPOSURE")]
    rows += [value.split() for value in _values(lines, "COLORCORR")]
    try:
        factors = [[float(number) for number in row] for row in rows]
    except ValueError:
        factors = [[math.nan]]
    if any(len(row) != 3 or not all(0 < number < math.inf for number in row) for row in factors):
        raise ImageError(f"expected positive numbers in EXPOSURE and COLORCORR, got {rows}: {path}")
    red, green, blue = (math.prod(column) for column in zip([1.0] * 3, *factors, strict=True))
    return red, green, blue


def _decode_quads(path: Path, data: bytes, header: _Header) -> UInt8[np.ndarray, "n 4"]:
    start = data[header.end : header.end + 4]
    is_new_rle = 8 <= header.line_px <= 32767 and start[:2] == b"\2\2" and len(start) == 4 and start[2] < 128
    expected = header.num_lines * header.line_px
    quads = _decode_new_rle(path, data, header) if is_new_rle else _decode_flat(data[header.end :], expected)
    if len(quads) < expected:
        raise ImageError(f"the file is truncated: {expected} pixels announced, {len(quads)} found: {path}")
    return quads[:expected]


def _decode_new_rle(path: Path, data: bytes, header: _Header) -> UInt8[np.ndarray, "n 4"]:
    width, position = header.line_px, header.end
    marker = bytes((2, 2, width >> 8, width & 255))
    planes = bytearray()
    for line in range(header.num_lines):
        if data[position : position + 4] != marker and position + 4 <= len(data):
            raise ImageError(f"scanline {line} does not start with its run-length marker: {path}")
        position += 4
        target = len(planes) + 4 * width
        while len(planes) < target and position + 1 < len(data):
            count = data[position]
            if count > 128:
                planes += data[position + 1 : position + 2] * (count - 128)
                position += 2
            else:
                planes += data[position + 1 : position + 1 + count]
                position += 1 + count
        if len(planes) > target:
            raise ImageError(f"scanline {line} holds more pixels than its {width}: {path}")
        if len(planes) < target:
            raise ImageError(f"the file is truncated at scanline {line} of {header.num_lines}: {path}")
    lines = np.frombuffer(bytes(planes), np.uint8).reshape(header.num_lines, 4, width)
    return np.ascontiguousarray(lines.transpose(0, 2, 1)).reshape(-1, 4)


def _decode_flat(pixels: bytes, expected: int) -> UInt8[np.ndarray, "n 4"]:
    """Four bytes a pixel; in files of before 1991, (1, 1, 1, n) repeats the last pixel n times."""
    quads = np.frombuffer(pixels[: len(pixels) // 4 * 4], np.uint8).reshape(-1, 4)
    is_run = (quads[:, :3] == 1).all(axis=1)
    if not is_run.any():
        return quads
    # each further marker in a row is the next 8 bits of the count
    index = np.arange(len(quads))
    last_pixel = np.maximum.accumulate(np.where(is_run, -1, index))
    shift = np.minimum(index - last_pixel - 1, 3)
    extra = np.where(is_run & (last_pixel >= 0), quads[:, 3].astype(np.int64) << (8 * shift), 0)
    repeats = np.bincount(np.maximum(last_pixel, 0), weights=extra, minlength=len(quads)).astype(np.int64)
    # damaged counts must not ask for gigabytes: nothing beyond the end of the picture is unrolled
    counts = np.minimum(repeats + 1, expected)[~is_run]
    ends = np.minimum(np.cumsum(counts), expected)
    unrolled: UInt8[np.ndarray, "m 4"] = quads[~is_run].repeat(np.diff(ends, prepend=0), axis=0)
    return unrolled
