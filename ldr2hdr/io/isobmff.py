"""Boxes of ISO/IEC 14496-12, as in AVIF and JPEG XL: EXIF and light levels are put into files that encoders made."""

import struct
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from ldr2hdr.io.errors import ImageError

# No offset of EXIF's header in the item or box: it is at the start (ISO/IEC 23008-12, A.2.1; ISO/IEC 18181-2)
_NO_OFFSET: Final = bytes(4)
# Version 0; four bytes for offsets and lengths each, none for base offsets
_KNOWN_LAYOUT: Final = b"\0\0\0\0\x44\0"
_FULL: Final = bytes(4)
"""Version and flags."""
_LOCATION: Final = struct.Struct(">HHHII")
"""Number of the item, where it is (0: in this file), in how many parts, position and length of the only one."""


class Box(NamedTuple):
    """A name of four letters, and what is within."""

    name: bytes
    body: bytes


class Marked(NamedTuple):
    """A file, and why it has no EXIF, in a line; None if it has."""

    data: bytes
    damage: str | None


def parse_boxes(data: bytes) -> list[Box]:
    """Return the boxes of a whole file, or of the body of a box.

    Raises:
        ImageError: If a box is not whole.
    """
    boxes, position = [], 0
    while position < len(data):
        size, name = struct.unpack_from(">I4s", data.ljust(position + 8, b"\0"), position)
        start, end = position + 8, position + size
        if size == 1:  # the size is in the next eight bytes
            start, end = position + 16, position + int.from_bytes(data[position + 8 : position + 16], "big")
        end = len(data) if size == 0 else end  # the last box, to the end of the file
        if not start <= end <= len(data):
            raise ImageError(f"expected whole boxes, got {len(data) - position} bytes of {name!r}, which has {size}")
        boxes.append(Box(name, data[start:end]))
        position = end
    return boxes


def join_boxes(boxes: Iterable[Box]) -> bytes:
    """Return the bytes of boxes, the inverse of :func:`parse_boxes`."""
    return b"".join(_encode(box) for box in boxes)


def mark(data: bytes, exif: bytes | None, add: Callable[[bytes, bytes], bytes]) -> Marked:
    """Return a file with EXIF if there is any; without where it cannot be put in, for the picture is worth more.

    Args:
        data: As the encoder made it.
        exif: The block; None for none.
        add: `add_jxl_exif` or `add_avif_exif`.
    """
    if exif is None:
        return Marked(data, None)
    try:
        return Marked(add(data, exif), None)
    except ImageError as error:
        return Marked(data, f"its EXIF is left out, the encoder makes files of a new layout: {error}")


def add_jxl_exif(data: bytes, exif: bytes) -> bytes:
    """Put a box of EXIF before the picture of a JPEG XL file.

    References:
        ISO/IEC 18181-2:2024, on the Exif box.
    """
    boxes = parse_boxes(data)
    front = next((index for index, box in enumerate(boxes) if box.name in (b"jxlc", b"jxlp")), len(boxes))
    return join_boxes([*boxes[:front], Box(b"Exif", _NO_OFFSET + exif), *boxes[front:]])


def add_avif_exif(data: bytes, exif: bytes) -> bytes:
    """Add an item of EXIF that describes the picture of an AVIF file.

    Args:
        data: As the encoder made it: in the simplest layout of items.
        exif: The block.

    Raises:
        ImageError: If the layout is another.

    References:
        ISO/IEC 14496-12:2022, 8.11; ISO/IEC 23008-12:2022, A.2.
    """
    payload = _NO_OFFSET + exif
    boxes = parse_boxes(data)
    if [box.name for box in boxes] != [b"ftyp", b"meta", b"mdat"]:
        raise ImageError(f"expected the boxes ftyp, meta and mdat, got {[box.name for box in boxes]}")
    kind, meta, pixels = boxes
    grown = len(_with_item(meta.body, shift=0, at=0, length=0)) - len(meta.body)
    at = len(data) + grown + len(join_boxes([Box(b"mdat", b"")]))
    meta = Box(b"meta", _with_item(meta.body, shift=grown, at=at, length=len(payload)))
    return join_boxes([kind, meta, pixels, Box(b"mdat", payload)])


def add_light_levels(data: bytes, max_cll: int, max_pall: int) -> bytes:
    """Add the light levels of the picture to an AVIF file; it is unchanged if its layout is not known.

    Args:
        data: As the encoder made it.
        max_cll: Of the brightest pixel, in cd/m2.
        max_pall: Mean over the picture, in cd/m2.

    References:
        ISO/IEC 23000-22:2019 (MIAF), 7.4.4; ISO/IEC 14496-12:2022, 12.1.6 (ContentLightLevelBox).
    """
    level = Box(b"clli", struct.pack(">HH", max_cll, max_pall))
    kind, meta, *others = parse_boxes(data)
    boxes = {box.name: box.body for box in parse_boxes(meta.body[4:])}
    properties = {box.name: box.body for box in parse_boxes(boxes.get(b"iprp", b""))}
    links, where = properties.get(b"ipma", b""), boxes.get(b"iloc", b"")
    num_links = links[10] if len(links) > 10 else 0
    is_known = meta.name == b"meta" and where[:8] == _KNOWN_LAYOUT + b"\0\1" and len(where) == 8 + _LOCATION.size
    if not is_known or links[:8] != _FULL + b"\0\0\0\1" or len(links) != 11 + num_links:
        return data
    number = len(parse_boxes(properties[b"ipco"])) + 1
    properties[b"ipco"] += join_boxes([level])
    properties[b"ipma"] = links[:10] + bytes([num_links + 1]) + links[11:] + bytes([number])
    boxes[b"iprp"] = join_boxes(Box(name, body) for name, body in properties.items())
    grown = len(level.body) + 8 + 1
    item, source, num_parts, picture_at, picture_length = _LOCATION.unpack_from(where, 8)
    boxes[b"iloc"] = where[:8] + _LOCATION.pack(item, source, num_parts, picture_at + grown, picture_length)
    body = meta.body[:4] + join_boxes(Box(name, body) for name, body in boxes.items())
    return join_boxes([kind, Box(b"meta", body), *others])


def _with_item(meta: bytes, *, shift: int, at: int, length: int) -> bytes:
    """A box of metadata with a second item: where the first has moved by, where the second is, and how long."""
    boxes = {box.name: box.body for box in parse_boxes(meta[4:])}
    where, items = boxes.get(b"iloc", b""), boxes.get(b"iinf", b"")
    is_known = (
        where[:8] == _KNOWN_LAYOUT + b"\0\1" and len(where) == 8 + _LOCATION.size and items[:6] == _FULL + b"\0\1"
    )
    if not is_known or b"iref" in boxes:
        raise ImageError(f"expected one item in an AVIF file, its place in 32 bits, got the boxes {sorted(boxes)}")
    number, source, num_parts, picture_at, picture_length = _LOCATION.unpack_from(where, 8)
    places = ((number, source, num_parts, picture_at + shift, picture_length), (number + 1, 0, 1, at, length))
    entry = Box(b"infe", b"\2\0\0\0" + struct.pack(">HH", number + 1, 0) + b"Exif" + b"Exif\0")
    described = Box(b"cdsc", struct.pack(">HHH", number + 1, 1, number))
    boxes[b"iloc"] = _KNOWN_LAYOUT + b"\0\2" + b"".join(_LOCATION.pack(*place) for place in places)
    boxes[b"iinf"] = _FULL + b"\0\2" + items[6:] + join_boxes([entry])
    boxes[b"iref"] = _FULL + join_boxes([described])
    return meta[:4] + join_boxes(Box(name, body) for name, body in boxes.items())


def _encode(box: Box) -> bytes:
    size = 8 + len(box.body)
    if size < 2**32:
        return struct.pack(">I4s", size, box.name) + box.body
    return struct.pack(">I4sQ", 1, box.name, size + 8) + box.body
