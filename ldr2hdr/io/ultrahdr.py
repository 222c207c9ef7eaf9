"""Ultra HDR JPEG: the photograph itself, and behind it a gain map that HDR displays brighten it by.

Programs that do not know gain maps show the photograph. Those that do (Chrome, Android, macOS, iOS, Lightroom) read
the metadata of ISO 21496-1 or the older XMP; both are written, and agree.
"""

import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ldr2hdr.io.colour import to_linear
from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.exif import encode_exif, fit_exif, upright_exif
from ldr2hdr.io.files import replacing
from ldr2hdr.io.gainmap import GainMap, compute_gain_map
from ldr2hdr.io.gainmap_metadata import ISO_NAME, ISO_VERSION, encode_base_xmp, encode_gain_map_xmp, encode_iso
from ldr2hdr.io.icc import Profile, TableProfileError, parse_profile
from ldr2hdr.io.icc_writing import srgb_profile
from ldr2hdr.io.jpeg import (
    APP0,
    APP1,
    APP2,
    EXIF_NAME,
    MAX_PAYLOAD_BYTES,
    XMP_NAME,
    JpegFile,
    Segment,
    icc_of_jpeg,
    is_named,
    join_jpeg,
    parse_jpeg,
    xmp_of_jpeg,
)
from ldr2hdr.io.ldr import read_stored
from ldr2hdr.io.orientation import turn_stored
from ldr2hdr.io.photo import Photo
from ldr2hdr.io.pq import WHITE_CD_M2
from ldr2hdr.radiometry import PQ_MAX_CD_M2

KEPT_GAIN_MAP: Final = "the photograph has a gain map of its own, which is kept"
_JPEG_START: Final = re.compile(rb"\xff\xd8\xff[\xc0-\xfe]")
_GAIN_MAP_NAMES: Final = (b"http://ns.adobe.com/hdr-gain-map/1.0/", b"http://ns.apple.com/HDRGainMap/1.0/")
_MPF_NAME: Final = b"MPF\0"
_PRIMARY_IMAGE: Final = 0x030000
_PEAK: Final = PQ_MAX_CD_M2 / WHITE_CD_M2
"""5.6 stops above white: more than displays show, and where decoders clip; gains beyond would coarsen all others."""

# Of what is computed at a time, so that the steps on the way need little memory
_BLOCK_ROWS: Final = 64


class _Base(NamedTuple):
    """The picture that old programs show: its file, its linear light as stored, what that light is measured in.

    Of EXIF that has no room in the file, what is left out is named in a line.
    """

    jpeg: JpegFile
    linear: Float[np.ndarray, "h w 3"]
    rec709_from_rgb: Float[np.ndarray, "3 3"]
    orientation: int
    exif_damage: str | None = None


def write_ultrahdr(
    path: Path,
    exposure: Float[Tensor, "3 h w"],
    photo: Photo,
    *,
    reduction: int = 1,
    quality: int = 95,
    replaces_gain_map: bool = False,
) -> str | None:
    """Write an Ultra HDR JPEG, whole or not at all.

    If the photograph is a JPEG, its picture is taken over as it is: the entropy-coded data, the tables, EXIF and
    profile are byte for byte the original's. Segments are added, an older gain map and whatever else follows the
    picture (such as a motion clip) is left out. Of any other photograph, an sRGB JPEG is made first; so of a JPEG
    whose ICC profile is made of tables.

    A photograph that has a gain map of its own, as phones write it, knows its highlights better than any network: the
    file is a copy of it then.

    Args:
        path: Where to; replaced if it exists.
        exposure: Sensor exposure of the upright photograph, linear Rec. 709, non-negative; 1 is shown at the white of
            the display's ordinary pictures, as the photograph's white is. Clipped at 49 (10000 cd/m2 where white is
            203).
        photo: What it was made from.
        reduction: Store one gain for blocks of this many pixels a side.
        quality: Of the gain map's JPEG, 1 to 100.
        replaces_gain_map: Put the new gain map in the place of one that the photograph has.

    Returns:
        What is not as one would expect, in a line: that the photograph's gain map was kept, or what of the EXIF of a
        photograph that is no JPEG has no room in one; None if there is nothing.

    Raises:
        ImageError: If the sizes differ, or the folder does not exist.

    References:
        ISO 21496-1:2025, annex C; Google, "Ultra HDR image format" 1.1; CIPA DC-007-2009 (multi-picture format).
    """
    if exposure.shape != photo.ldr.shape:
        sizes = f"{tuple(exposure.shape)} for a photograph of {tuple(photo.ldr.shape)}"
        raise ImageError(f"expected an exposure of the photograph's size, got {sizes}: {path}")
    if photo.source.jpeg is not None and not replaces_gain_map and has_gain_map(photo.source.jpeg):
        with replacing(path) as temporary:
            temporary.write_bytes(photo.source.jpeg)
        return KEPT_GAIN_MAP
    base = _original_base(photo) or _encoded_base(photo, quality)
    hdr = _in_colours_of(base, exposure)
    gain_map = _encode_gain_map(compute_gain_map(base.linear, hdr, reduction=reduction), quality)
    data = _with_container(base.jpeg, gain_map) + gain_map
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return base.exif_damage


def has_gain_map(data: bytes) -> bool:
    """Whether a JPEG file has a gain map behind its picture: of ISO 21496-1, of Ultra HDR 1 (Adobe), or of Apple."""
    for found in _JPEG_START.finditer(data, parse_jpeg(Path("photograph"), data).end):
        try:
            segments = parse_jpeg(Path("gain map"), data[found.start() :], has_scans=False).segments
        except ImageError:  # three bytes of something else
            continue
        packets = [segment.payload for segment in segments if is_named(segment, APP1, XMP_NAME)]
        if any(is_named(segment, APP2, ISO_NAME) for segment in segments):
            return True
        if any(name in packet for packet in packets for name in _GAIN_MAP_NAMES):
            return True
    return False


def _original_base(photo: Photo) -> _Base | None:
    """The photograph's own file, if it is a JPEG whose linear light is known."""
    path, data = photo.source.path, photo.source.jpeg
    if data is None:
        return None
    jpeg = parse_jpeg(path, data)
    try:
        profile = parse_profile(path, icc_of_jpeg(path, jpeg) or srgb_profile())
    except TableProfileError:
        return None
    return _base(path, jpeg, data, profile, photo.source.orientation)


def _encoded_base(photo: Photo, quality: int) -> _Base:
    """An upright sRGB JPEG of a photograph in another format."""
    levels = photo.ldr.mul(255).round().to(torch.uint8).movedim(0, -1).numpy()
    path, data = photo.source.path, _encode_jpeg(levels, quality)
    jpeg = parse_jpeg(path, data)
    exif = upright_exif(photo.source.exif, height=jpeg.height, width=jpeg.width)
    base = _base(path, jpeg, data, parse_profile(path, srgb_profile()), 1)
    if exif is None:
        return base
    fitted = fit_exif(exif, max_bytes=MAX_PAYLOAD_BYTES - len(EXIF_NAME))
    segment = Segment(APP1, EXIF_NAME + encode_exif(fitted.block))
    jpeg = jpeg._replace(segments=(jpeg.segments[0], segment, *jpeg.segments[1:]))
    return base._replace(jpeg=jpeg, exif_damage=fitted.damage)


def _base(path: Path, jpeg: JpegFile, data: bytes, profile: Profile, orientation: int) -> _Base:
    stored = read_stored(path, data, "JPEG", max_pixels=jpeg.height * jpeg.width)
    linear = to_linear(path, stored.codes, profile, white=stored.white)
    return _Base(jpeg, linear.movedim(0, -1).numpy(), profile.rec709_from_rgb, orientation)


def _in_colours_of(base: _Base, exposure: Float[Tensor, "3 u v"]) -> Float[np.ndarray, "h w 3"]:
    """The exposure as the base is stored: its orientation, its primaries."""
    rgb_from_rec709 = np.linalg.inv(base.rec709_from_rgb).astype(np.float32)
    stored = turn_stored(exposure.detach().cpu(), base.orientation)
    hdr = np.empty((stored.shape[1], stored.shape[2], 3), np.float32)
    for top in range(0, len(hdr), _BLOCK_ROWS):
        red, green, blue = stored[:, top : top + _BLOCK_ROWS].float().numpy()
        for channel, weights in enumerate(rgb_from_rec709):
            light = weights[0] * red + weights[1] * green + weights[2] * blue
            hdr[top : top + _BLOCK_ROWS, :, channel] = light.clip(0, np.float32(_PEAK))
    return hdr


def _encode_jpeg(levels: UInt8[np.ndarray, "h w 3"], quality: int) -> bytes:
    # colour at full resolution: a subsampled gain map has coloured fringes around lamps
    sampling = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    options = (cv2.IMWRITE_JPEG_QUALITY, quality, *sampling)
    return cv2.imencode(".jpg", np.ascontiguousarray(levels[..., ::-1]), options)[1].tobytes()


def _encode_gain_map(gain_map: GainMap, quality: int) -> bytes:
    jpeg = parse_jpeg(Path("gain map"), _encode_jpeg(gain_map.codes, quality))
    added = (
        Segment(APP1, XMP_NAME + encode_gain_map_xmp(gain_map.metadata)),
        Segment(APP2, ISO_NAME + encode_iso(gain_map.metadata)),
    )
    return join_jpeg((jpeg.segments[0], *added, *jpeg.segments[1:]), jpeg.scans)


def _with_container(jpeg: JpegFile, gain_map: bytes) -> bytes:
    """The base picture's file, with the place of the gain map."""
    xmp = Segment(APP1, XMP_NAME + encode_base_xmp(len(gain_map), xmp_of_jpeg(jpeg)))
    if len(xmp.payload) > MAX_PAYLOAD_BYTES:
        xmp = Segment(APP1, XMP_NAME + encode_base_xmp(len(gain_map), None))
    kept = [segment for segment in jpeg.segments if not _is_replaced(segment)]
    front = next((index for index, segment in enumerate(kept) if not _stays_first(segment)), len(kept))
    before = (*kept[:front], xmp, Segment(APP2, ISO_NAME + ISO_VERSION))
    # where the directory stands decides the numbers in it, but not its length
    unplaced = join_jpeg((*before, _multi_picture(0, 0, 0), *kept[front:]), jpeg.scans)
    directory = len(join_jpeg(before, b"")) + 4 + len(_MPF_NAME)
    placed = _multi_picture(len(unplaced), len(gain_map), len(unplaced) - directory)
    return join_jpeg((*before, placed, *kept[front:]), jpeg.scans)


def _is_replaced(segment: Segment) -> bool:
    old = ((APP1, XMP_NAME), (APP2, ISO_NAME), (APP2, _MPF_NAME))
    return any(is_named(segment, marker, name) for marker, name in old)


def _stays_first(segment: Segment) -> bool:
    """JFIF and EXIF both want to be the first segment."""
    return segment.marker == APP0 or is_named(segment, APP1, EXIF_NAME)


def _multi_picture(base_bytes: int, gain_map_bytes: int, gain_map_offset: int) -> Segment:
    """The directory of a file of two pictures; the offset counts from the directory's byte order mark."""
    entries: Sequence[bytes] = (
        struct.pack(">HHI4s", 0xB000, 7, 4, b"0100"),
        struct.pack(">HHII", 0xB001, 4, 1, 2),
        struct.pack(">HHII", 0xB002, 7, 32, 50),
    )
    head = b"MM\0*" + struct.pack(">IH", 8, len(entries)) + b"".join(entries) + bytes(4)
    pictures = struct.pack(">IIII", _PRIMARY_IMAGE, base_bytes, 0, 0)
    pictures += struct.pack(">IIII", 0, gain_map_bytes, gain_map_offset, 0)
    return Segment(APP2, _MPF_NAME + head + pictures)
