"""JPEG files as a chain of segments: metadata, the end of the picture, and files with other metadata."""

import re
import struct
from collections.abc import Iterator, Sequence
from mmap import mmap
from pathlib import Path
from typing import Final, NamedTuple

from ldr2hdr.io.errors import ImageError

EXIF_NAME: Final = b"Exif\0\0"
XMP_NAME: Final = b"http://ns.adobe.com/xap/1.0/\0"
APP0, APP1, APP2 = 0xE0, 0xE1, 0xE2
MAX_PAYLOAD_BYTES: Final = 65533
_ICC_NAME: Final = b"ICC_PROFILE\0"
_START, _START_OF_SCAN, _END = b"\xff\xd8", 0xDA, 0xD9
# C4, C8 and CC lie in the range of the frame headers, but are tables
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# As libjpeg looks for the next one: FF 00 is none, and any number of fill bytes FF may come first
_MARKER: Final = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_LONE: Final = frozenset([0x01, *range(0xD0, 0xD8)])
"""Markers without a segment."""
# Within a scan FF 00 is a stuffed byte and D0 to D7 are restart marks; anything else ends it
_AFTER_SCAN: Final = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)


class Segment(NamedTuple):
    """A marker and its payload, without the two bytes of length."""

    marker: int
    payload: bytes

    def encode(self) -> bytes:
        """The bytes of the segment in a file; the payload has at most `MAX_PAYLOAD_BYTES`."""
        return struct.pack(">BBH", 0xFF, self.marker, len(self.payload) + 2) + self.payload


class JpegFile(NamedTuple):
    """The parts of a JPEG file.

    Attributes:
        height: In pixels, as stored.
        width: In pixels, as stored.
        num_channels: 1 grey, 3 colour, 4 CMYK.
        bit_depth: Bits a channel; decoders handle 8.
        segments: All before the first scan, in the order of the file.
        scans: From the first scan's marker up to and including the end marker: the entropy-coded picture.
        is_whole: Whether the end marker is there.
        end: Where the picture ends in the file.
    """

    height: int
    width: int
    num_channels: int
    bit_depth: int
    segments: tuple[Segment, ...]
    scans: bytes
    is_whole: bool
    end: int


def parse_jpeg(path: Path, data: bytes | mmap, *, has_scans: bool = True) -> JpegFile:
    """Take a JPEG file apart; nothing is decoded, and what follows the picture's end is left out.

    Stray bytes between segments, which several cameras and programs write, are passed over as decoders do.

    Args:
        path: Of the file, for messages.
        data: Its bytes.
        has_scans: Look for the end of the picture, too; else ``scans`` is empty.

    Raises:
        ImageError: If the header is truncated or damaged.

    References:
        ITU-T T.81 (1992), annex B.
    """
    try:
        segments, scans_start = _read_segments(data)
        frame = next(segment.payload for segment in segments if segment.marker in _FRAMES)
        bit_depth, height, width, num_channels = struct.unpack_from(">BHHB", frame)
        scans_end = _find_end(data, scans_start) if has_scans else scans_start
    except (struct.error, IndexError, StopIteration) as error:
        raise ImageError(f"the JPEG header is truncated or damaged: {path}") from error
    scans = data[scans_start:scans_end]
    is_whole, end = scans_end is not None, len(data) if scans_end is None else scans_end
    return JpegFile(height, width, num_channels, bit_depth, tuple(segments), scans, is_whole, end)


def join_jpeg(segments: Sequence[Segment], scans: bytes) -> bytes:
    """Join a JPEG file of segments and an entropy-coded picture, the inverse of :func:`parse_jpeg`."""
    return _START + b"".join(segment.encode() for segment in segments) + scans


def exif_of_jpeg(jpeg: JpegFile) -> bytes | None:
    """Return the EXIF block, a small TIFF file, the first of several that is not empty; None if there is none."""
    return next((block for block in _named(jpeg, APP1, EXIF_NAME) if block), None)


def xmp_of_jpeg(jpeg: JpegFile) -> bytes | None:
    """Return the XMP packet, XML; None if there is none."""
    return next(_named(jpeg, APP1, XMP_NAME), None)


def icc_of_jpeg(path: Path, jpeg: JpegFile) -> bytes | None:
    """Return the ICC profile, put together from its segments; None if there is none.

    Raises:
        ImageError: If a part of it is missing.

    References:
        ICC.1:2022, annex B.4.
    """
    named = [segment.payload for segment in jpeg.segments if is_named(segment, APP2, _ICC_NAME)]
    if not named:
        return None
    parts = {payload[12]: payload[14:] for payload in named if len(payload) > 14}
    expected = named[0][13] if len(named[0]) > 13 else 0
    if not parts or sorted(parts) != list(range(1, expected + 1)):
        raise ImageError(
            f"expected {expected} parts of an ICC profile, got parts {sorted(parts)}; "
            f"export the photograph again, or remove its profile: {path}"
        )
    return b"".join(parts[index] for index in sorted(parts))


def is_named(segment: Segment, marker: int, name: bytes) -> bool:
    """Whether an application segment is of the kind that starts with ``name``."""
    return segment.marker == marker and segment.payload.startswith(name)


def _named(jpeg: JpegFile, marker: int, name: bytes) -> Iterator[bytes]:
    return (segment.payload[len(name) :] for segment in jpeg.segments if is_named(segment, marker, name))


def _read_segments(data: bytes | mmap) -> tuple[list[Segment], int]:
    """The segments before the first scan, and where that starts."""
    position = 2
    segments: list[Segment] = []
    while True:
        found = _MARKER.search(data, position)
        if found is None or found[1][0] == _END:
            raise IndexError("no picture")
        marker, position = found[1][0], found.end()
        if marker in _LONE:
            continue
        if marker == _START_OF_SCAN:
            return segments, position - 2
        (length,) = struct.unpack_from(">H", data, position)
        if length < 2:
            raise IndexError("a segment shorter than its own length")
        segments.append(Segment(marker, data[position + 2 : position + length]))
        position += length


def _find_end(data: bytes | mmap, position: int) -> int | None:
    """Position behind the end marker, found scan by scan: the tables between scans may hold its two bytes."""
    while position + 4 <= len(data):
        (length,) = struct.unpack_from(">H", data, position + 2)
        found = _AFTER_SCAN.search(data, position + 2 + length)
        if found is None:
            return None
        if found[1][0] == _END:
            return found.end()
        position = found.end() - 2
    return None
