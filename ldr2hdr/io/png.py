"""PNG files as a chain of chunks: size, end, EXIF, colours, transparency."""

import re
import struct
import zlib
from mmap import mmap
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import UInt8, UInt16

from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.icc_writing import SRGB_CURVE, display_p3_profile, encode_profile, srgb_profile
from ldr2hdr.io.jpeg import XMP_NAME
from ldr2hdr.io.primaries import REC709, Primaries

_MAX_PROFILE_BYTES: Final = 2**24
# Code points of ITU-T H.273: primaries of the two spaces of photographs, and the transfers that mean HDR
_CICP_PROFILES: Final = {1: srgb_profile, 12: display_p3_profile}
LIKE_SRGB: Final = (1, 6, 13, 14, 15)
"""Transfers that displays show as sRGB: those of television are for cameras."""
UNSPECIFIED: Final = 2
_SAME_PRIMARIES: Final = 1e-3
_LEAST_AREA: Final = 1e-3
_CICP_HDR_TRANSFERS: Final = {16: "PQ", 18: "HLG"}
_EXIF_KEYWORD, _APP1_KEYWORD, _XMP_KEYWORD = b"Raw profile type exif", b"Raw profile type APP1", b"XML:com.adobe.xmp"
_RAW_XMP_KEYWORD: Final = b"Raw profile type xmp"
_KEYWORDS: Final = (_EXIF_KEYWORD, _APP1_KEYWORD, _XMP_KEYWORD, _RAW_XMP_KEYWORD)
# APP1 may be XMP instead
_EXIF_STARTS: Final = (b"Exif\0\0", b"II*\0", b"MM\0*")
_XMP_ORIENTATION: Final = re.compile(rb"tiff:Orientation(?:\s*=\s*[\"']|>)\s*([1-8])\b")
# gAMA is 100000 / gamma; 45455 stands for sRGB, and all programs take it so
_SRGB_GAMMA: Final = 45455


class PngFile(NamedTuple):
    """Chunks of a PNG file.

    Attributes:
        height: In pixels, as stored.
        width: In pixels, as stored.
        chunks: The first chunk of each name, but not the pixels.
        texts: By keyword, those of which metadata is read; of several with one keyword, all.
        is_whole: Whether the end chunk is there.
    """

    height: int
    width: int
    chunks: dict[bytes, bytes]
    texts: dict[bytes, list[bytes]]
    is_whole: bool


def parse_png(path: Path, data: bytes | mmap) -> PngFile:
    """Take a PNG file apart; nothing is decoded.

    Raises:
        ImageError: If the header is truncated, or there are several frames.
    """
    chunks: dict[bytes, bytes] = {}
    texts: dict[bytes, list[bytes]] = {}
    position = 8
    while position + 12 <= len(data) and b"IEND" not in chunks:
        length, name = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + length] if name != b"IDAT" else b""
        chunks.setdefault(name, body)
        keyword = body.partition(b"\0")[0]
        if name in (b"tEXt", b"zTXt", b"iTXt") and keyword in _KEYWORDS:
            texts.setdefault(keyword, []).append(_read_text(name, body))
        position += 12 + int(length)
    if len(chunks.get(b"IHDR", b"")) < 8:
        raise ImageError(f"the PNG header is truncated or damaged: {path}")
    if b"acTL" in chunks:
        raise ImageError(f"expected a still picture, got an animated PNG; export one frame: {path}")
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    return PngFile(height, width, chunks, texts, is_whole=b"IEND" in chunks)


def exif_of_png(png: PngFile) -> bytes | None:
    """Return the EXIF block, a small TIFF file; None if there is none.

    Before the chunk eXIf of 2017 there was only text for it, as ImageMagick and exiftool write it: hexadecimal digits.
    """
    if png.chunks.get(b"eXIf"):
        return png.chunks[b"eXIf"]
    profiles = [_decode_profile(text) for text in png.texts.get(_EXIF_KEYWORD, ())]
    profiles += [_decode_profile(text) for text in png.texts.get(_APP1_KEYWORD, ())]
    return next((profile for profile in profiles if profile is not None and profile.startswith(_EXIF_STARTS)), None)


def xmp_of_png(png: PngFile) -> bytes | None:
    """Return the XMP packet, XML; None if there is none."""
    profiles = [*png.texts.get(_RAW_XMP_KEYWORD, ()), *png.texts.get(_APP1_KEYWORD, ())]
    packets = [*png.texts.get(_XMP_KEYWORD, ()), *(_decode_profile(text) or b"" for text in profiles)]
    found = (packet.removeprefix(XMP_NAME) for packet in packets if not packet.startswith(_EXIF_STARTS))
    return next((packet for packet in found if packet), None)


def orientation_of_xmp(packet: bytes | None) -> int | None:
    """Return the orientation by an XMP packet, found as Pillow does, in a packet that is no XML, too; else None."""
    found = _XMP_ORIENTATION.search(packet or b"")
    return None if found is None else int(found[1])


def is_transparent_grey(png: PngFile, codes: UInt8[np.ndarray, "h w _"] | UInt16[np.ndarray, "h w _"]) -> bool:
    """Whether a grey picture has pixels of the level that its chunk tRNS makes transparent, which OpenCV passes over.

    Args:
        png: The file.
        codes: Decoded, at 8 or 16 bits.
    """
    bits, colour_type = png.chunks[b"IHDR"][8:10].ljust(2, b"\0")
    level = png.chunks.get(b"tRNS", b"")
    if colour_type != 0 or len(level) != 2:
        return False
    (stored,) = struct.unpack(">H", level)
    largest = 2**bits - 1
    return bool((codes == (stored & largest) * (int(np.iinfo(codes.dtype).max) // largest)).any())


def icc_of_png(path: Path, png: PngFile) -> bytes | None:
    """Return an ICC profile of the picture's colours, by the chunk that counts: cICP, iCCP, sRGB, then gAMA and cHRM.

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
        if primaries in _CICP_PROFILES and transfer in LIKE_SRGB:
            return _CICP_PROFILES[primaries]()
        if b"iCCP" not in png.chunks and (primaries, transfer) != (UNSPECIFIED, UNSPECIFIED):
            raise ImageError(
                f"expected sRGB or Display P3, got primaries {primaries} and transfer {transfer} of ITU-T H.273; "
                f"convert the photograph to sRGB first: {path}"
            )
    if b"iCCP" in png.chunks:
        return _unpack_profile(path, png.chunks[b"iCCP"])
    if b"sRGB" in png.chunks:
        return None
    return _profile_of_numbers(png.chunks.get(b"gAMA", b""), png.chunks.get(b"cHRM", b""))


def _read_text(name: bytes, chunk: bytes) -> bytes:
    """The text of a chunk; empty if it cannot be unpacked."""
    _, _, text = chunk.partition(b"\0")
    if name == b"tEXt":
        return text
    is_packed = name == b"zTXt" or text[:1] == b"\1"
    if name == b"iTXt":  # after the method, a language and a translated keyword
        text = text[1:2] + text[2:].partition(b"\0")[2].partition(b"\0")[2]
    try:
        return _unpack(text) if is_packed else text[1:]
    except zlib.error:
        return b""


def _decode_profile(text: bytes) -> bytes | None:
    """Bytes of a profile in text: a name, a length, and so many bytes as hexadecimal digits."""
    words = text.split()
    try:
        return bytes.fromhex(b"".join(words[2:]).decode("ascii"))[: int(words[1])]
    except (ValueError, IndexError):
        return None


def _unpack_profile(path: Path, chunk: bytes) -> bytes:
    _, _, packed = chunk.partition(b"\0")
    try:
        return _unpack(packed)
    except zlib.error as error:
        raise ImageError(f"the ICC profile cannot be unpacked; export the photograph again: {path}") from error


def _unpack(packed: bytes) -> bytes:
    """Unpack what follows a byte that names the method."""
    return zlib.decompressobj().decompress(packed[1:], _MAX_PROFILE_BYTES)


def _profile_of_numbers(gamma: bytes, chromaticities: bytes) -> bytes | None:
    if len(gamma) != 4 or gamma == bytes(4):
        return None
    (number,) = struct.unpack(">I", gamma)
    curve = SRGB_CURVE if number == _SRGB_GAMMA else (1e5 / number,)
    primaries = _primaries_of(chromaticities) or REC709
    if curve == SRGB_CURVE and np.allclose(np.array(primaries), np.array(REC709), atol=_SAME_PRIMARIES):
        return None
    return encode_profile("gAMA and cHRM", primaries, curve)


def _primaries_of(chromaticities: bytes) -> Primaries | None:
    """None of what spans no colours, which decoders pass over, too."""
    if len(chromaticities) != 32:
        return None
    numbers = [number / 1e5 for number in struct.unpack(">8I", chromaticities)]
    white, red, green, blue = zip(numbers[::2], numbers[1::2], strict=True)
    area = (red[0] - blue[0]) * (green[1] - blue[1]) - (red[1] - blue[1]) * (green[0] - blue[0])
    if abs(area) < _LEAST_AREA or min(numbers[1::2]) <= 0:
        return None
    return Primaries(red, green, blue, white)
