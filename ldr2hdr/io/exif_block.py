"""EXIF blocks as directories of entries: of a photograph's, what is true of a picture made of it, and written anew.

Nothing is decoded but the layout: values are copied as they are, so all that a camera tells stays as exact as it was.
Left out is what describes the old file and not the shot (its layout, its thumbnail, its colour space), and maker notes,
whose offsets would point astray.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from PIL import ExifTags

from ldr2hdr.io.directories import (
    ASCII,
    DIRECTORY,
    LONG,
    MAX_BYTES,
    SHORT,
    Entry,
    encode_directory,
    read_directory,
    size_of,
)

_Base: Final = ExifTags.Base
_KEPT_MAIN: Final = frozenset(
    [
        *(_Base.ImageDescription, _Base.Make, _Base.Model, _Base.Orientation, _Base.Software, _Base.DateTime),
        *(_Base.Artist, _Base.Copyright, _Base.Rating),
        *(_Base.XPTitle, _Base.XPComment, _Base.XPAuthor, _Base.XPKeywords, _Base.XPSubject),
    ]
)
# Of the old pixels, or with offsets into the old block; subjects are told in pixels of the picture as it was stored
_DROPPED_SETTINGS: Final = frozenset(
    [
        *(_Base.ColorSpace, _Base.Gamma, _Base.ComponentsConfiguration, _Base.CompressedBitsPerPixel),
        *(_Base.ExifImageWidth, _Base.ExifImageHeight, _Base.SubjectLocation),
        *(_Base.MakerNote, _Base.ExifInteroperabilityOffset, _Base.RelatedSoundFile),
        0x9214,  # SubjectArea
        *(0xEA1C, 0xEA1D),  # Microsoft's padding, and how far it moved the maker notes
    ]
)
_ORDERS: Final = {b"II": "<", b"MM": ">"}
_NAMED: Final = 3


class _Wanted(NamedTuple):
    """A kind of directory: what it is called, what points to it, names of its tags, and which are kept."""

    name: str
    pointer: int
    names: Mapping[int, str]
    is_kept: Callable[[int], bool]


_POINTERS: Final = frozenset([ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo])
_MAIN: Final = _Wanted("its main directory", 0, ExifTags.TAGS, (_KEPT_MAIN | _POINTERS).__contains__)
_SETTINGS: Final = _Wanted(
    "the camera's settings", ExifTags.IFD.Exif, ExifTags.TAGS, lambda tag: tag not in _DROPPED_SETTINGS
)
_PLACE: Final = _Wanted("the place", ExifTags.IFD.GPSInfo, ExifTags.GPSTAGS, lambda _: True)


class ExifBlock(NamedTuple):
    """The directories of an EXIF block.

    Attributes:
        main: Camera, date, author.
        settings: Of the shot: exposure time, aperture, lens, ...
        place: GPS.
        damaged: Names of what is there and cannot be read.
    """

    main: tuple[Entry, ...] = ()
    settings: tuple[Entry, ...] = ()
    place: tuple[Entry, ...] = ()
    damaged: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it tells nothing."""
        return not (self.main or self.settings or self.place)


def parse_block(block: bytes | None) -> ExifBlock:
    """What an EXIF block, or a TIFF file, which is the same, tells of camera, shot and place.

    What is damaged is left out and named; that is no error.

    Args:
        block: Begins with the byte order mark of TIFF; None for a photograph without EXIF.

    References:
        CIPA DC-008-2023 (EXIF 3.0), 4.6; Adobe, TIFF 6.0 (1992), section 2.
    """
    if block is None:
        return ExifBlock()
    block = block.removeprefix(b"Exif\0\0")  # which some writers of PNG put before it
    order = _ORDERS.get(block[:2])
    if order is None or len(block) < 8:
        return ExifBlock(damaged=("its header",))
    (at,) = struct.unpack_from(order + "I", block, 4)
    main = _read_kept(block, at, order, _MAIN)
    pointers = {entry.tag: int.from_bytes(entry.value[:4], "little") for entry in main.entries}
    settings, place = (
        _read_kept(block, pointers[wanted.pointer], order, wanted) if wanted.pointer in pointers else _Directory()
        for wanted in (_SETTINGS, _PLACE)
    )
    kept = tuple(entry for entry in main.entries if entry.tag in _KEPT_MAIN)
    return ExifBlock(kept, settings.entries, place.entries, (*main.damaged, *settings.damaged, *place.damaged))


def upright_exif(told: bytes | None, *, height: int, width: int) -> ExifBlock | None:
    """What of a photograph's EXIF is true of an upright picture of this size made of it; None if it tells nothing.

    Args:
        told: The photograph's block; None if it has none.
        height: Of the new picture, in pixels.
        width: In pixels.
    """
    block = parse_block(told)
    if block.is_empty:
        return None
    software = b"ldr2hdr\0"
    main = (
        *(entry for entry in block.main if entry.tag not in (_Base.Orientation, _Base.Software)),
        Entry(_Base.Orientation, SHORT, 1, struct.pack("<H", 1)),
        Entry(_Base.Software, ASCII, len(software), software),
    )
    sides = ((_Base.ExifImageWidth, width), (_Base.ExifImageHeight, height))
    settings = (*block.settings, *(Entry(tag, LONG, 1, struct.pack("<I", side)) for tag, side in sides))
    return block._replace(main=main, settings=settings)


def encode_block(block: ExifBlock) -> bytes:
    """The block as bytes, little-endian, the inverse of :func:`parse_block`."""
    return b"II*\0" + struct.pack("<I", 8) + encode_directories(block, at=8)


def encode_directories(block: ExifBlock, *, at: int) -> bytes:
    """The directories as bytes, one after the other, each with its values behind it.

    Args:
        block: What to encode.
        at: Where in the file they will stand; even.
    """
    below = [(ExifTags.IFD.Exif, block.settings), (ExifTags.IFD.GPSInfo, block.place)]
    below = [(tag, entries) for tag, entries in below if entries]
    main, end = list(block.main), at + size_of(block.main) + 12 * len(below)
    places = []
    for tag, entries in below:
        main.append(Entry(tag, LONG, 1, struct.pack("<I", end)))
        places.append(end)
        end += size_of(entries)
    directories = [encode_directory(main, at)]
    directories += [encode_directory(entries, place) for (_, entries), place in zip(below, places, strict=True)]
    return b"".join(directories)


def exif_of_tiff(data: bytes) -> bytes | None:
    """An EXIF block of what a TIFF or TIFF-based RAW file says of camera and shot; None if it says nothing."""
    block = parse_block(data)
    return None if block.is_empty else encode_block(block)


def describe_damage(block: ExifBlock) -> str | None:
    """What cannot be read, in a line; None if all can.

    Example:
        >>> describe_damage(ExifBlock(damaged=("ExposureTime", "FNumber")))
        'its EXIF is damaged: ExposureTime, FNumber cannot be read; nothing is left'
    """
    if not block.damaged:
        return None
    rest = len(block.damaged) - _NAMED
    names = ", ".join(block.damaged[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
    return f"its EXIF is damaged: {names} cannot be read; {'nothing is left' if block.is_empty else 'the rest is kept'}"


class _Directory(NamedTuple):
    entries: tuple[Entry, ...] = ()
    damaged: tuple[str, ...] = ()


def _read_kept(data: bytes, at: int, order: str, wanted: _Wanted) -> _Directory:
    """What is kept of a directory; of a tag that is there twice, the first."""
    entries: dict[int, Entry] = {}
    damaged: list[str] = []
    num_bytes = 0

    def is_kept(tag: int) -> bool:
        return tag not in entries and wanted.is_kept(tag)

    try:
        for tag, entry in read_directory(data, at, order=order, is_kept=is_kept):
            if entry is None:
                damaged.append(wanted.names.get(tag, f"tag {tag}"))
            elif entry.num_values > 0 and (entry.kind != DIRECTORY or tag in _POINTERS):
                entries[tag] = entry
                num_bytes += len(entry.value)
            if num_bytes > MAX_BYTES:
                raise struct.error("more values than a block has room for")
    except struct.error:
        damaged.append(wanted.name)
    return _Directory(tuple(entries.values()), tuple(dict.fromkeys(damaged)))
