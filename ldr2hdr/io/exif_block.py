"""EXIF blocks as directories of entries: of a photograph's, what is true of a picture made of it, and written anew.

Nothing is decoded but the layout: values are copied as they are, so all that a camera tells stays as exact as it was.
Left out is what describes the old file and not the shot (its layout, its thumbnail, its colour space), and what would
not be true in another block: maker notes, whose offsets would point astray, and numbers among bytes of no told type,
if the order of bytes changes.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from PIL import ExifTags

from ldr2hdr.io.directories import ASCII, DIRECTORY, LONG, SHORT, Entry, encode_directory, read_directory, size_of

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
# Bytes by their type, but with numbers among them that have the order of the block
_OF_INNER_ORDER: Final = frozenset(
    [
        *(_Base.OECF, _Base.SpatialFrequencyResponse, _Base.CFAPattern, _Base.DeviceSettingDescription),
        0xA462,  # SourceExposureTimesOfCompositeImage
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


_POINTERS: Final = frozenset([ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.Interop])
_MAIN: Final = _Wanted("its main directory", 0, ExifTags.TAGS, (_KEPT_MAIN | _POINTERS).__contains__)
_SETTINGS: Final = _Wanted(
    "the camera's settings",
    ExifTags.IFD.Exif,
    ExifTags.TAGS,
    lambda tag: tag not in _DROPPED_SETTINGS or tag == ExifTags.IFD.Interop,
)
_RULES: Final = _Wanted("the rules of the file", ExifTags.IFD.Interop, {}, lambda tag: tag == 1)
_PLACE: Final = _Wanted("the place", ExifTags.IFD.GPSInfo, ExifTags.GPSTAGS, lambda _: True)


class ExifBlock(NamedTuple):
    """The directories of an EXIF block.

    Attributes:
        main: Camera, date, author.
        settings: Of the shot: exposure time, aperture, lens, ...
        place: GPS.
        damaged: Names of what is there and cannot be read.
        rules: The index of interoperability, which tells the colours of the old pixels, and is not written anew.
    """

    main: tuple[Entry, ...] = ()
    settings: tuple[Entry, ...] = ()
    place: tuple[Entry, ...] = ()
    damaged: tuple[str, ...] = ()
    rules: tuple[Entry, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it tells nothing."""
        return not (self.main or self.settings or self.place)


class Fitted(NamedTuple):
    """A block that has room in a file, and what had to be left out, in a line; None if nothing."""

    block: ExifBlock
    damage: str | None


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
    settings, place = (_read_below(block, main, order, wanted) for wanted in (_SETTINGS, _PLACE))
    rules = _read_below(block, settings, order, _RULES)
    damaged = (*main.damaged, *settings.damaged, *place.damaged)
    camera, shot, gps = (
        tuple(entry for entry in told.entries if entry.tag not in _POINTERS) for told in (main, settings, place)
    )
    return ExifBlock(camera, shot, gps, damaged, rules.entries)


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
        'its EXIF is damaged: ExposureTime, FNumber cannot be read'
    """
    return f"its EXIF is damaged: {_list(block.damaged)} cannot be read" if block.damaged else None


def fit_block(block: ExifBlock, *, max_bytes: int) -> Fitted:
    """The block without its largest values, so many that it has at most ``max_bytes`` when encoded."""
    directories = [block.main, block.settings, block.place]
    excess = len(encode_block(block)) - max_bytes
    largest_first = sorted(
        ((which, entry) for which, entries in enumerate(directories) for entry in entries),
        key=lambda told: -len(told[1].value),
    )
    left_out = []
    for which, entry in largest_first:
        if excess <= 0:
            break
        left_out.append((ExifTags.GPSTAGS if which == 2 else ExifTags.TAGS).get(entry.tag, f"tag {entry.tag}"))
        directories[which] = tuple(kept for kept in directories[which] if kept.tag != entry.tag)
        excess -= size_of((entry,)) - size_of(())
    damage = f"its EXIF is too large for the file: {_list(left_out)} left out" if left_out else None
    return Fitted(block._replace(main=directories[0], settings=directories[1], place=directories[2]), damage)


def _list(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


class _Directory(NamedTuple):
    entries: tuple[Entry, ...] = ()
    damaged: tuple[str, ...] = ()


def _read_below(data: bytes, above: _Directory, order: str, wanted: _Wanted) -> _Directory:
    """What is kept of the directory that another one points to; nothing if it does not."""
    places = [int.from_bytes(entry.value[:4], "little") for entry in above.entries if entry.tag == wanted.pointer]
    return _read_kept(data, places[0], order, wanted) if places else _Directory()


def _read_kept(data: bytes, at: int, order: str, wanted: _Wanted) -> _Directory:
    """What is kept of a directory; of a tag that is there twice, the first."""
    entries: dict[int, Entry] = {}
    damaged: list[str] = []

    def is_kept(tag: int, kind: int) -> bool:
        is_spoilt = (kind == DIRECTORY and tag not in _POINTERS) or (order == ">" and tag in _OF_INNER_ORDER)
        return tag not in entries and wanted.is_kept(tag) and not is_spoilt

    try:
        for tag, entry in read_directory(data, at, order=order, is_kept=is_kept):
            if entry is None:
                damaged.append(wanted.names.get(tag, f"tag {tag}"))
            elif entry.num_values > 0:
                entries[tag] = entry
    except struct.error:
        damaged.append(wanted.name)
    return _Directory(tuple(entries.values()), tuple(dict.fromkeys(damaged)))
