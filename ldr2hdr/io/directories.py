"""Directories of TIFF, which EXIF blocks are made of: entries read and written, their values as bytes."""

import struct
from collections.abc import Callable, Iterator, Sequence
from mmap import mmap
from typing import Final, NamedTuple, TypeAlias

import numpy as np

_File: TypeAlias = bytes | mmap
# Bytes of a value of each type of TIFF, and of the numbers in it
_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
_NUMBER_SIZES: Final = {**_SIZES, 5: 4, 10: 4}
ASCII, SHORT, LONG, DIRECTORY = 2, 3, 4, 13
UTF8: Final = 129
_BYTES: Final = 7
_UNICODE: Final = b"UNICODE\0"
MAX_BYTES: Final = 2**20
"""Of all values of a directory: beyond 16 times what a JPEG can hold, a file is damaged or an attack."""
MAX_ENTRIES: Final = 1024
"""Of a directory: several times what any camera writes."""


class Entry(NamedTuple):
    """A tag and its value.

    Attributes:
        tag: Number of the tag.
        kind: Type of TIFF: 2 text, 3 and 4 integers, 5 fractions, 7 bytes, ...; of EXIF 3.0: 129 text in UTF-8.
        num_values: Of that type.
        value: Their bytes, little-endian; those of type 7 as they were, but for the letters of a comment in Unicode.
    """

    tag: int
    kind: int
    num_values: int
    value: bytes


def read_directory(
    data: _File, at: int, *, order: str = "<", is_kept: Callable[[int, int], bool] = lambda *_: True
) -> Iterator[tuple[int, Entry | None]]:
    """Tags of a directory, and the entry of each, or None where the value is not there.

    Args:
        data: The file.
        at: Where the directory stands.
        order: ``<`` if the file is little-endian, ``>`` if it is big-endian.
        is_kept: By tag and type; the values of others are not read.

    Raises:
        struct.error: If the directory is cut short, or none at all, or has more than `MAX_ENTRIES` or `MAX_BYTES`; what
            comes before that is told.
    """
    if at < 8:
        raise struct.error("a directory within the header")
    (num_entries,) = struct.unpack_from(order + "H", data, at)
    num_read = 0
    for where in range(at + 2, at + 2 + 12 * min(num_entries, MAX_ENTRIES), 12):
        tag, kind, count = struct.unpack_from(order + "HHI", data, where)
        if not is_kept(tag, kind):
            continue
        num_bytes = count * _SIZES.get(kind, MAX_BYTES + 1)
        start = where + 8 if num_bytes <= 4 else int(struct.unpack_from(order + "I", data, where + 8)[0])
        is_there = start + num_bytes <= len(data) and num_bytes <= MAX_BYTES
        num_read += num_bytes if is_there else 0
        if num_read > MAX_BYTES:
            raise struct.error("more values than a block has room for")
        yield tag, Entry(tag, kind, count, _to_little(data, start, kind, count, order)) if is_there else None
    if num_entries > MAX_ENTRIES:
        raise struct.error("more entries than a directory has")


def size_of(entries: Sequence[Entry]) -> int:
    """Bytes of a directory and its values."""
    return 6 + sum(12 + len(_behind(entry)) for entry in entries)


def encode_directory(entries: Sequence[Entry], at: int) -> bytes:
    """A directory of no further one, little-endian, its values behind it.

    Args:
        entries: In any order.
        at: Where in the file it will stand; even.
    """
    records, values = [struct.pack("<H", len(entries))], []
    end = at + 6 + 12 * len(entries)
    for entry in sorted(entries):
        behind = _behind(entry)
        inline = struct.pack("<I", end) if behind else entry.value.ljust(4, b"\0")
        records.append(struct.pack("<HHI", entry.tag, entry.kind, entry.num_values) + inline)
        values.append(behind)
        end += len(behind)
    return b"".join([*records, bytes(4), *values])


def _to_little(data: _File, start: int, kind: int, count: int, order: str) -> bytes:
    size, value = _NUMBER_SIZES.get(kind, 1), bytes(data[start : start + count * _SIZES.get(kind, 0)])
    if kind == _BYTES and value.startswith(_UNICODE) and len(value) % 2 == 0:
        return _UNICODE + _turned(value[len(_UNICODE) :], 2, order)  # comments, whose letters have an order too
    return _turned(value, size, order) if size > 1 else value


def _turned(numbers: bytes, size: int, order: str) -> bytes:
    return np.frombuffer(numbers, f"{order}u{size}").astype(f"<u{size}").tobytes()


def _behind(entry: Entry) -> bytes:
    """What stands behind the directory of a value that has no room in it; an even number of bytes."""
    return entry.value + bytes(len(entry.value) % 2) if len(entry.value) > 4 else b""
