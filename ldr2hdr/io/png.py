"""PNG files as a chain of chunks: size, end, EXIF, and what they say of their colours."""

import struct
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.icc_writing import REC709, Primaries, display_p3_profile, encode_profile, srgb_profile

_MAX_PROFILE_BYTES: Final = 2**24
# Code points of ITU-T H.273: (primaries, transfer) of the two spaces of photographs, and the transfers that mean HDR
_CICP_PROFILES: Final = {(1, 13): srgb_profile, (12, 13): display_p3_profile}
_CICP_HDR_TRANSFERS: Final = {16: "PQ", 18: "HLG"}
# gAMA is 100000 / gamma; 45455 stands for sRGB, and all programs take it so
_SRGB_GAMMA: Final = 45455


class PngFile(NamedTuple):
    """What the chunks of a PNG file tell.

    Attributes:
        height: In pixels, as stored.
        width: In pixels, as stored.
        chunks: The first chunk of each name, but not the pixels.
        is_whole: Whether the end chunk is there.
    """

    height: int
    width: int
    chunks: dict[bytes, bytes]
    is_whole: bool


def parse_png(path: Path, data: bytes) -> PngFile:
    """Take a PNG file apart; nothing is decoded.

    Raises:
        ImageError: If the header is truncated, or there are several frames.
    """
    chunks: dict[bytes, bytes] = {}
    position = 8
    while position + 12 <= len(data) and b"IEND" not in chunks:
        length, name = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + length] if name != b"IDAT" else b""
        chunks.setdefault(name, body)
        position += 12 + int(length)
    if len(chunks.get(b"IHDR", b"")) < 8:
        raise ImageError(f"the PNG header is truncated or damaged: {path}")
    if b"acTL" in chunks:
        raise ImageError(f"expected a still picture, got an animated PNG; export one frame: {path}")
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    return PngFile(height, width, chunks, is_whole=b"IEND" in chunks)


def exif_of_png(png: PngFile) -> bytes | None:
    """The EXIF block, a small TIFF file; None if there is none."""
    return png.chunks.get(b"eXIf")


def icc_of_png(path: Path, png: PngFile) -> bytes | None:
    """An ICC profile of the picture's colours, by the chunk that counts: cICP, iCCP, sRGB, then gAMA and cHRM.

    Returns:
        The embedded profile, or one made of what the other chunks say; None if there are none, which means sRGB.

    Raises:
        ImageError: If the profile cannot be unpacked, or the picture is HDR.

    References:
        W3C, PNG specification, third edition (2025), 4.3 and 11.3.2.
    """
    if len(png.chunks.get(b"cICP", b"")) == 4:
        primaries, transfer = png.chunks[b"cICP"][:2]
        if transfer in _CICP_HDR_TRANSFERS:
            raise ImageError(f"expected an LDR photograph, got {_CICP_HDR_TRANSFERS[transfer]} HDR already: {path}")
        if (primaries, transfer) in _CICP_PROFILES:
            return _CICP_PROFILES[primaries, transfer]()
    if b"iCCP" in png.chunks:
        return _unpack_profile(path, png.chunks[b"iCCP"])
    if b"sRGB" in png.chunks:
        return None
    return _profile_of_numbers(png.chunks.get(b"gAMA", b""), png.chunks.get(b"cHRM", b""))


def _unpack_profile(path: Path, chunk: bytes) -> bytes:
    _, _, packed = chunk.partition(b"\0")
    unpacking = zlib.decompressobj()
    try:
        profile = unpacking.decompress(packed[1:], _MAX_PROFILE_BYTES)
    except zlib.error as error:
        raise ImageError(f"the ICC profile cannot be unpacked; export the photograph again: {path}") from error
    return profile


def _profile_of_numbers(gamma: bytes, chromaticities: bytes) -> bytes | None:
    if len(gamma) != 4 or gamma == bytes(4) or struct.unpack(">I", gamma)[0] == _SRGB_GAMMA:
        return None
    primaries = REC709
    if len(chromaticities) == 32:
        white_x, white_y, *rgb = (number / 1e5 for number in struct.unpack(">8I", chromaticities))
        primaries = Primaries((rgb[0], rgb[1]), (rgb[2], rgb[3]), (rgb[4], rgb[5]), (white_x, white_y))
    return encode_profile("gAMA and cHRM", primaries, (1e5 / struct.unpack(">I", gamma)[0],))
