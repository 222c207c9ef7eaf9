"""EXIF blocks by Pillow's reader of TIFF directories: read, made true of an upright picture, and written anew.

Values keep their type and the block its order of bytes, so all that a camera says stays as exact as it was. Left out of
a new block is what describes the old file and not the shot (its layout, its thumbnail, its colour space), and maker
notes, whose offsets would point astray.
"""

import io
import struct
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from PIL import ExifTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2

_Base: Final = ExifTags.Base
_KEPT_MAIN: Final = frozenset(
    [
        *(_Base.ImageDescription, _Base.Make, _Base.Model, _Base.Orientation, _Base.Software, _Base.DateTime),
        *(_Base.Artist, _Base.Copyright, _Base.Rating),
        *(_Base.XPTitle, _Base.XPComment, _Base.XPAuthor, _Base.XPKeywords, _Base.XPSubject),
    ]
)
# Of the old pixels, or with offsets into the old block; subjects are given in pixels of the picture as it was stored
_DROPPED_SETTINGS: Final = frozenset(
    [
        *(_Base.ColorSpace, _Base.Gamma, _Base.ComponentsConfiguration, _Base.CompressedBitsPerPixel),
        *(_Base.ExifImageWidth, _Base.ExifImageHeight, _Base.SubjectLocation),
        *(_Base.MakerNote, _Base.ExifInteroperabilityOffset, _Base.RelatedSoundFile),
        0x9214,  # SubjectArea
        *(0xEA1C, 0xEA1D),  # Microsoft's padding, and how far it moved the maker notes
    ]
)
# TIFF/EP and many programs have these in the main directory, EXIF in the one of settings
_OF_EITHER: Final = frozenset(
    [
        *(_Base.ExposureTime, _Base.FNumber, _Base.ISOSpeedRatings, _Base.ShutterSpeedValue, _Base.ApertureValue),
        *range(0x8830, 0x8834),  # SensitivityType and what it names
        *(_Base.ExposureIndex, 0x9215),  # the second is that of TIFF/EP
        *(_Base.DateTimeOriginal, _Base.FocalLength),
    ]
)
_POINTERS: Final = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_ORDERS: Final[dict[bytes, Literal["<", ">"]]] = {b"II": "<", b"MM": ">"}
BYTE, ASCII, SHORT, LONG, DIRECTORY, UTF8 = 1, 2, 3, 4, 13, 129
"""Types of TIFF by number, and of EXIF 3.0 the last."""
_NAMED: Final = 3


class Entry(NamedTuple):
    """A value and its type of TIFF.

    Attributes:
        kind: Number of the type.
        value: As Pillow reads it: a number, a fraction, a text in Latin-1, bytes, or a tuple of such.
    """

    kind: int
    value: Any


BinaryFile: TypeAlias = io.BytesIO | io.BufferedReader
Directory: TypeAlias = dict[int, Entry]
"""Entries by tag."""


@dataclass(frozen=True)
class ExifBlock:
    """The directories of an EXIF block.

    Attributes:
        main: Camera, date, author, and in a TIFF file its layout.
        settings: Of the shot: exposure time, aperture, lens, ...
        place: GPS.
        rules: The index of interoperability, which names the colours of the old pixels; not written anew.
        order: Of bytes, ``<`` for little-endian.
        is_damaged: Whether there is something that cannot be read.
    """

    main: Directory = field(default_factory=dict)
    settings: Directory = field(default_factory=dict)
    place: Directory = field(default_factory=dict)
    rules: Directory = field(default_factory=dict)
    order: Literal["<", ">"] = "<"
    is_damaged: bool = False

    @property
    def damage(self) -> str | None:
        """A line that says that part of it cannot be read; None if all can."""
        return "its EXIF is damaged, part of it cannot be read" if self.is_damaged else None


class Fitted(NamedTuple):
    """A block that has room in a file, and what had to be left out, in a line; None if nothing."""

    block: ExifBlock
    damage: str | None


class _Directory(ImageFileDirectory_v2):
    """Pillow's directory, with the text in UTF-8 of EXIF 3.0, which it would pass over."""

    _load_dispatch = {  # noqa: RUF012 (as Pillow declares it)
        **ImageFileDirectory_v2._load_dispatch,
        UTF8: ImageFileDirectory_v2._load_dispatch[ASCII],
    }


def parse_exif(block: bytes | None) -> ExifBlock:
    """Read an EXIF block, or a TIFF file, which is the same; damage is no error.

    Args:
        block: Begins with the byte order mark of TIFF; None for a photograph without EXIF.

    References:
        CIPA DC-008-2023 (EXIF 3.0), 4.6; Adobe, TIFF 6.0 (1992), section 2.
    """
    if block is None:
        return ExifBlock()
    return read_exif(io.BytesIO(block.removeprefix(b"Exif\0\0")))  # which some writers of PNG put before it


def read_exif(file: BinaryFile) -> ExifBlock:
    """Read EXIF from a file that begins as TIFF does; see :func:`parse_exif`."""
    head = file.read(8)
    order = _ORDERS.get(head[:2])
    if order is None or len(head) < 8:
        return ExifBlock(is_damaged=True)
    (at,) = struct.unpack(order + "I", head[4:])
    # of damage, and of values that are more than the standard allows
    with warnings.catch_warnings(record=True) as damage:
        warnings.simplefilter("always")
        main = _read_directory(file, at, order)
        settings, place = (_read_below(file, main, pointer, order) for pointer in _POINTERS)
        rules = _read_below(file, settings, ExifTags.IFD.Interop, order)
    settings = {tag: entry for tag, entry in main.items() if tag in _OF_EITHER} | settings
    return ExifBlock(main, settings, place, rules, order, bool(damage))


def upright_exif(block: bytes | None, *, height: int, width: int) -> ExifBlock | None:
    """Make a photograph's EXIF true of an upright picture of this size made of it; None if nothing of it is.

    Args:
        block: The photograph's; None if it has none.
        height: Of the new picture, in pixels.
        width: In pixels.
    """
    kept = _keep(parse_exif(block))
    if not (kept.main or kept.settings or kept.place):
        return None
    software, upright = Entry(ASCII, "ldr2hdr"), Entry(SHORT, 1)
    main = {**kept.main, int(_Base.Orientation): upright, int(_Base.Software): software}
    sides = {int(_Base.ExifImageWidth): Entry(LONG, width), int(_Base.ExifImageHeight): Entry(LONG, height)}
    return replace(kept, main=main, settings=kept.settings | sides)


def exif_of_tiff(block: ExifBlock) -> bytes | None:
    """Return an EXIF block of what a TIFF or TIFF-based RAW file says of camera and shot; None if it says nothing."""
    kept = _keep(block)
    return encode_exif(kept) if kept.main or kept.settings or kept.place else None


def encode_exif(block: ExifBlock) -> bytes:
    """Return the block as bytes, the inverse of :func:`parse_exif`, but for the index of interoperability."""
    directories, at = encode_directories(block, at=8)
    head = b"II*\0" if block.order == "<" else b"MM\0*"
    return head + struct.pack(block.order + "I", at) + directories


def encode_directories(block: ExifBlock, *, at: int) -> tuple[bytes, int]:
    """Return the directories as bytes, and where the main one stands.

    Args:
        block: What to encode.
        at: Where in the file they will stand; even.
    """
    encoded, main = b"", dict(block.main)
    for tag, directory in zip(_POINTERS, (block.settings, block.place), strict=True):
        if directory:
            main[int(tag)] = Entry(LONG, at + len(encoded))
            encoded += _encode(directory, at + len(encoded), block.order)
    main_at = at + len(encoded)
    return encoded + _encode(main, main_at, block.order), main_at


def fit_exif(block: ExifBlock, *, max_bytes: int) -> Fitted:
    """Leave out the largest values until the block has at most ``max_bytes`` when encoded."""
    parts = (dict(block.main), dict(block.settings), dict(block.place))
    fitted, left_out = block, []
    while len(encode_exif(fitted)) > max_bytes and any(parts):
        part, tag = max(
            ((part, tag) for part in parts for tag in part), key=lambda where: _num_values(where[0][where[1]])
        )
        left_out.append((ExifTags.GPSTAGS if part is parts[2] else ExifTags.TAGS).get(tag, f"tag {tag}"))
        del part[tag]
        fitted = replace(block, main=dict(parts[0]), settings=dict(parts[1]), place=dict(parts[2]))
    damage = f"its EXIF is too large for the file: {_list(left_out)} left out" if left_out else None
    return Fitted(fitted, damage)


def _keep(block: ExifBlock) -> ExifBlock:
    """Drop what is not of the shot."""
    main = {tag: entry for tag, entry in block.main.items() if tag in _KEPT_MAIN}
    settings = {tag: entry for tag, entry in block.settings.items() if tag not in _DROPPED_SETTINGS}
    main, settings, place = (
        {tag: entry for tag, entry in part.items() if entry.kind != DIRECTORY} for part in (main, settings, block.place)
    )
    return replace(block, main=main, settings=settings, place=place)


def _read_below(file: BinaryFile, above: Directory, pointer: int, order: Literal["<", ">"]) -> Directory:
    at = above[pointer].value if pointer in above else None
    if at is None:
        return {}
    if not isinstance(at, int):
        warnings.warn("a pointer that is no number", stacklevel=2)
        return {}
    return _read_directory(file, at, order)


def _read_directory(file: BinaryFile, at: int, order: Literal["<", ">"]) -> Directory:
    directory = _Directory(b"II*\0\0\0\0\0" if order == "<" else b"MM\0*\0\0\0\0")
    if at < 8:
        warnings.warn("a directory within the header", stacklevel=2)
        return {}
    file.seek(at)
    directory.load(file)
    return {tag: Entry(directory.tagtype[tag], directory[tag]) for tag in directory}


def _encode(directory: Directory, at: int, order: Literal["<", ">"]) -> bytes:
    encoder = _Directory(b"II*\0\0\0\0\0" if order == "<" else b"MM\0*\0\0\0\0")
    for tag, entry in directory.items():
        encoder.tagtype[tag] = ASCII if entry.kind == UTF8 else entry.kind
        # Pillow would write letters that are not ASCII as question marks
        encoder[tag] = entry.value.encode("latin-1") if isinstance(entry.value, str) else entry.value
    return encoder.tobytes(at)


def _num_values(entry: Entry) -> int:
    return len(entry.value) if isinstance(entry.value, (str, bytes, tuple)) else 1


def _list(names: Iterable[str]) -> str:
    first, rest = [*names][:_NAMED], len([*names]) - _NAMED
    return ", ".join(first) + (f" and {rest} more" if rest > 0 else "")
