"""A decoder of gain map JPEGs, written from the standards and apart from the project, as an oracle.

ISO 21496-1:2025, formulas of clause 6 and the binary form of annex C; CIPA DC-007 for the place of the second picture.
"""

import io
import re
import struct
from typing import NamedTuple

import numpy as np
from PIL import Image


class Metadata(NamedTuple):
    base_headroom: float
    alternate_headroom: float
    gain_min: tuple
    gain_max: tuple
    gamma: tuple
    base_offset: tuple
    alternate_offset: tuple


def app_segments(data):
    """Marker and payload of each segment up to the first scan."""
    position, found = 2, []
    while data[position + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, position + 2)
        found.append((data[position + 1], data[position + 4 : position + 2 + length], position + 4))
        position += 2 + length
    return found


def split(data):
    """The base picture's file and the gain map's, by the multi-picture directory."""
    payload, start = next((body, at) for marker, body, at in app_segments(data) if body[:4] == b"MPF\0")
    order = ">" if payload[4:6] == b"MM" else "<"
    (first,) = struct.unpack_from(order + "I", payload, 8)
    (count,) = struct.unpack_from(order + "H", payload, 4 + first)
    for entry in range(4 + first + 2, 4 + first + 2 + 12 * count, 12):
        tag, _, size, value = struct.unpack_from(order + "HHII", payload, entry)
        if tag == 0xB002:
            pictures = [
                struct.unpack_from(order + "III", payload, 4 + value + 16 * index) for index in range(size // 16)
            ]
    (_, base_size, base_offset), (_, map_size, map_offset) = pictures
    assert base_offset == 0
    base, gain_map = data[:base_size], data[start + 4 + map_offset :][:map_size]
    assert len(base) + len(gain_map) == len(data)
    return base, gain_map


def read_iso(gain_map):
    """Metadata in the binary form."""
    name = b"urn:iso:std:iso:ts:21496:-1\0"
    body = next(body for marker, body, _ in app_segments(gain_map) if marker == 0xE2 and body.startswith(name))
    minimum, _, flags = struct.unpack_from(">HHB", body, len(name))
    assert minimum == 0
    assert flags & 0x3F == 0
    assert flags & 0x40  # the gain applies in the primaries of the base
    channels = 3 if flags & 0x80 else 1
    numbers = [n / d for n, d in struct.iter_unpack(">iI", body[len(name) + 5 :])]
    assert len(numbers) == 2 + 5 * channels
    columns = [tuple(numbers[2 + 5 * channel + field] for channel in range(channels)) for field in range(5)]
    return Metadata(numbers[0], numbers[1], *(column * (3 // channels) for column in columns))


def read_xmp(gain_map):
    """Metadata in the XMP of Adobe and Google."""
    packet = next(body for _, body, _ in app_segments(gain_map) if body.startswith(b"http://ns.adobe.com/xap/1.0/\0"))

    def value(name):
        return re.search(rf'hdrgm:{name}="([^"]*)"'.encode(), packet)[1].decode()

    def three(name):
        return (float(value(name)),) * 3

    assert value("Version") == "1.0"
    assert value("BaseRenditionIsHDR") == "False"
    capacity = float(value("HDRCapacityMin")), float(value("HDRCapacityMax"))
    names = ("GainMapMin", "GainMapMax", "Gamma", "OffsetSDR", "OffsetHDR")
    return Metadata(*capacity, *(three(name) for name in names))


def decode(data, base_to_linear, *, headroom):
    """Linear light in the base's primaries for a display that is ``headroom`` stops brighter than white."""
    base, gain_map = split(data)
    meta = read_iso(gain_map)
    linear = base_to_linear(np.asarray(Image.open(io.BytesIO(base)).convert("RGB")) / 255)
    codes = Image.open(io.BytesIO(gain_map)).convert("RGB")
    if codes.size != linear.shape[1::-1]:
        codes = codes.resize(linear.shape[1::-1], Image.Resampling.BILINEAR)
    weight = (headroom - meta.base_headroom) / (meta.alternate_headroom - meta.base_headroom)
    recovery = (np.asarray(codes) / 255) ** (1 / np.array(meta.gamma))
    gains = np.array(meta.gain_min) * (1 - recovery) + np.array(meta.gain_max) * recovery
    boost = np.exp2(gains * np.clip(weight, 0, 1))
    return (linear + np.array(meta.base_offset)) * boost - np.array(meta.alternate_offset)
