"""Gain map metadata in files: the binary form of ISO 21496-1, and the XMP of Adobe and Google for older readers."""

import struct
from typing import Final
from xml.dom import minidom
from xml.parsers.expat import ExpatError

from ldr2hdr.io.gainmap import DENOMINATOR, GainMapMetadata

ISO_NAME: Final = b"urn:iso:std:iso:ts:21496:-1\0"
ISO_VERSION: Final = bytes(4)
"""Minimum and writer version 0, which is all that a base picture carries."""
_HDRGM: Final = "http://ns.adobe.com/hdr-gain-map/1.0/"
_CONTAINER: Final = "http://ns.google.com/photos/1.0/container/"
_ITEM: Final = "http://ns.google.com/photos/1.0/container/item/"
_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_OURS: Final = (_HDRGM, _CONTAINER)
_IS_MULTICHANNEL, _USES_BASE_COLOURS = 0x80, 0x40
_PACKET: Final = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{rdf}">{description}</rdf:RDF></x:xmpmeta>'
_BASE: Final = (
    '<rdf:Description rdf:about="" xmlns:rdf="{rdf}" xmlns:hdrgm="{hdrgm}" xmlns:Container="{container}" '
    'xmlns:Item="{item}" hdrgm:Version="1.0"><Container:Directory><rdf:Seq>'
    '<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Primary" Item:Mime="image/jpeg"/></rdf:li>'
    '<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap" Item:Mime="image/jpeg" '
    'Item:Length="{length}"/></rdf:li></rdf:Seq></Container:Directory></rdf:Description>'
)
_GAIN_MAP: Final = (
    '<rdf:Description rdf:about="" xmlns:hdrgm="{hdrgm}" hdrgm:Version="1.0" hdrgm:GainMapMin="{gain_min}" '
    'hdrgm:GainMapMax="{gain_max}" hdrgm:Gamma="1" hdrgm:OffsetSDR="{offset}" hdrgm:OffsetHDR="{offset}" '
    'hdrgm:HDRCapacityMin="0" hdrgm:HDRCapacityMax="{headroom}" hdrgm:BaseRenditionIsHDR="False"/>'
)


def encode_iso(metadata: GainMapMetadata) -> bytes:
    """Binary metadata of a gain map of three channels, applied in the colours of the base picture.

    References:
        ISO 21496-1:2025, clause C.2.
    """
    encoded = ISO_VERSION + bytes([_IS_MULTICHANNEL | _USES_BASE_COLOURS])
    encoded += _fraction(0.0) + _fraction(metadata.headroom)
    gamma = 1.0
    channel = (metadata.gain_min, metadata.gain_max, gamma, metadata.offset, metadata.offset)
    return encoded + b"".join(_fraction(number) for number in channel) * 3


def encode_gain_map_xmp(metadata: GainMapMetadata) -> bytes:
    """XMP packet of the gain map's own JPEG."""
    description = _GAIN_MAP.format(
        hdrgm=_HDRGM,
        gain_min=metadata.gain_min,
        gain_max=metadata.gain_max,
        offset=metadata.offset,
        headroom=metadata.headroom,
    )
    return _PACKET.format(rdf=_RDF, description=description).encode()


def encode_base_xmp(gain_map_bytes: int, existing: bytes | None) -> bytes:
    """XMP packet of the base picture: where the gain map is, beside what the picture's own packet says.

    Args:
        gain_map_bytes: Length of the gain map's JPEG, which follows the base picture.
        existing: XMP packet of the photograph. An older gain map's entries are taken out; one that is no XML is left
            out as a whole.
    """
    description = _BASE.format(rdf=_RDF, hdrgm=_HDRGM, container=_CONTAINER, item=_ITEM, length=gain_map_bytes)
    fresh = _PACKET.format(rdf=_RDF, description=description)
    try:
        packet = minidom.parseString((existing or b"").strip(b"\0 \r\n\t"))
    except ExpatError:
        return fresh.encode()
    targets = packet.getElementsByTagNameNS(_RDF, "RDF")
    if packet.documentElement is None or not targets:
        return fresh.encode()
    for element in targets[0].getElementsByTagName("*"):
        _drop_ours(element)
    added = minidom.parseString(fresh).getElementsByTagNameNS(_RDF, "Description")[0]
    targets[0].appendChild(packet.importNode(added, True))
    return packet.documentElement.toxml().encode()


def _drop_ours(element: minidom.Element) -> None:
    """Take properties of an older gain map out, as attributes and as elements."""
    for attribute in list(element.attributes.values()):
        if attribute.namespaceURI in _OURS:
            element.removeAttributeNode(attribute)
    if element.namespaceURI in _OURS and element.parentNode is not None:
        element.parentNode.removeChild(element)


def _fraction(number: float) -> bytes:
    return struct.pack(">iI", round(number * DENOMINATOR), DENOMINATOR)
