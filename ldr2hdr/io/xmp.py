"""XMP packets read: properties of a photograph that EXIF has, too, as entries of EXIF directories.

A packet is XML, and from a stranger: the parser reads properties of the picture as they stand, and neither follows nor
expands anything.
"""

import contextlib
import datetime
import re
from typing import Any, Final
from xml.parsers import expat

from PIL import ExifTags
from PIL.TiffImagePlugin import IFDRational

from ldr2hdr.io.exif import ASCII, Directory, Entry

_Base: Final = ExifTags.Base
_EXIF, _EXIF_EX = "http://ns.adobe.com/exif/1.0/ ", "http://cipa.jp/exif/1.0/ "
_TIFF, _XMP = "http://ns.adobe.com/tiff/1.0/ ", "http://ns.adobe.com/xap/1.0/ "
_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns# "
_NUMBERS: Final = {
    **{_EXIF + tag.name: tag for tag in (_Base.ExposureTime, _Base.FNumber, _Base.ISOSpeedRatings, _Base.FocalLength)},
    **{_EXIF + tag.name: tag for tag in (_Base.ShutterSpeedValue, _Base.ApertureValue, _Base.ExposureIndex)},
    _EXIF_EX + "PhotographicSensitivity": _Base.ISOSpeedRatings,
    _EXIF + "PhotographicSensitivity": _Base.ISOSpeedRatings,
    _EXIF_EX + "SensitivityType": 0x8830,
    _EXIF_EX + "StandardOutputSensitivity": 0x8831,
    _EXIF_EX + "RecommendedExposureIndex": 0x8832,
    _EXIF_EX + "ISOSpeed": 0x8833,
}
_TEXTS: Final = {
    _TIFF + "Make": _Base.Make,
    _TIFF + "Model": _Base.Model,
    _EXIF_EX + "LensMake": _Base.LensMake,
    _EXIF_EX + "LensModel": _Base.LensModel,
}
_DATES: Final = {_EXIF + "DateTimeOriginal": _Base.DateTimeOriginal, _XMP + "CreateDate": _Base.DateTime}
_NUMBER: Final = re.compile(r"([+-]?\d{1,10}(?:\.\d{0,20})?)(?:/([+-]?\d{1,10}))?")
_RATIONAL: Final = 5
_MAX_BYTES: Final = 2**20
_MAX_LETTERS, _MAX_VALUES, _MAX_DEPTH = 1000, 8, 100
"""Of a property that is read, and of elements in each other; no packet has as many."""


def parse_xmp(packet: bytes | None) -> Directory:
    """Return what a packet says of camera and exposure, as entries of EXIF; damage is no error.

    Args:
        packet: XML in UTF-8 or UTF-16; None for a photograph without one.

    References:
        ISO 16684-1:2019, clause 7; CIPA DC-010-2020 (Exif metadata for XMP).
    """
    reader = _Reader()
    with contextlib.suppress(expat.ExpatError, _RefusedPacket):
        reader.read((packet or b"")[:_MAX_BYTES])
    return reader.entries()


class _RefusedPacket(Exception):
    """Sign that a packet has a document type, which may define entities: none that a camera writes has."""


class _Reader:
    """Properties of the picture itself, those of its ingredients and its history left out."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._text = ""
        self._found: dict[str, list[str]] = {}

    def read(self, packet: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._read_text
        parser.Parse(packet, True)

    def entries(self) -> Directory:
        entries: Directory = {}
        for name, texts in self._found.items():
            for tag, entry in _entry_of(name, texts):
                before = entries.get(tag)
                entries[tag] = entry if before is None else Entry(entry.kind, _joined(before.value, entry.value))
        return entries

    def _refuse(self, *_declared: object) -> None:
        raise _RefusedPacket

    def _top(self) -> int | None:
        """Depth of the elements whose children are properties of the picture; a wrapper around them may be missing."""
        above = [_RDF + "RDF", _RDF + "Description"]
        return next((depth for depth in (2, 3) if self._open[depth - 2 : depth] == above), None)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._open.append(name)
        self._text = ""
        if len(self._open) > _MAX_DEPTH:
            raise _RefusedPacket
        if len(self._open) == self._top():
            for attribute, text in attributes.items():
                self._keep(attribute, text)

    def _end(self, name: str) -> None:
        text, self._text = self._text.strip(), ""
        top = self._top()
        below = [] if top is None else self._open[top:]
        # a value, or one of an array's
        if text and (len(below) == 1 or (len(below) == 3 and below[2] == _RDF + "li")):
            self._keep(below[0], text)
        self._open.pop()

    def _read_text(self, text: str) -> None:
        if len(self._text) < _MAX_LETTERS:
            self._text += text

    def _keep(self, name: str, text: str) -> None:
        if name in _NUMBERS or name in _TEXTS or name in _DATES:
            found = self._found.setdefault(name, [])
            if len(found) < _MAX_VALUES:
                found.append(text[:_MAX_LETTERS].strip())


def _entry_of(name: str, texts: list[str]) -> list[tuple[int, Entry]]:
    if name in _NUMBERS:
        numbers = tuple(number for number in map(_number, texts) if number is not None)
        return [(int(_NUMBERS[name]), Entry(_RATIONAL, numbers if len(numbers) > 1 else numbers[0]))] if numbers else []
    if name in _TEXTS:
        return [(int(_TEXTS[name]), Entry(ASCII, texts[0].encode().decode("latin-1")))]
    try:
        date = datetime.datetime.fromisoformat(texts[0])
    except ValueError:
        return []
    return [(int(_DATES[name]), Entry(ASCII, date.strftime("%Y:%m:%d %H:%M:%S")))]


def _number(text: str) -> Any:  # noqa: ANN401 (as Pillow reads it: a fraction or a number)
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    return float(found[1]) if found[2] is None else IFDRational(float(found[1]), int(found[2]))


def _joined(one: Any, other: Any) -> tuple[Any, ...]:  # noqa: ANN401 (as Pillow reads them)
    return tuple(part for value in (one, other) for part in (value if isinstance(value, tuple) else (value,)))
