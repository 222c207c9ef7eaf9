"""Files that no writer would make: extra chunks, absurd sizes, odd profiles, a RAW file."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def png_chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunks(png, chunks):
    """A PNG file with further chunks behind its header."""
    return png[:33] + b"".join(png_chunk(name, body) for name, body in chunks.items()) + png[33:]


def encode(picture, kind, **options):
    """Bytes of a Pillow picture."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def with_size(kind, height, width):
    """A small PNG, JPEG or TIFF file whose header claims another size."""
    data = bytearray(encode(Image.new("RGB", (8, 8), "grey"), kind))
    if kind == "png":
        header = struct.pack(">II", width, height) + data[24:29]
        data[16:33] = header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    elif kind == "jpeg":
        frame = data.index(b"\xff\xc0")
        struct.pack_into(">HH", data, frame + 5, height, width)
    else:
        for tag, side in ((256, width), (257, height)):
            set_tiff_tag(data, tag, side)
    return bytes(data)


def set_tiff_tag(data, tag, value):
    """Change a SHORT or LONG of the first directory of a little-endian TIFF file in place."""
    (directory,) = struct.unpack_from("<I", data, 4)
    (num_entries,) = struct.unpack_from("<H", data, directory)
    for entry in range(directory + 2, directory + 2 + 12 * num_entries, 12):
        found, kind = struct.unpack_from("<HH", data, entry)
        if found == tag:
            struct.pack_into("<I" if kind == 4 else "<H", data, entry + 8, value)


def with_luminance_table(icc):
    """A profile that takes red for L*, by a table; the white adaptation makes room for it."""
    corners = bytes(number for red, _, _ in np.ndindex(2, 2, 2) for number in (255 * red, 128, 128))
    identity = struct.pack(">9i", *(65536 * np.eye(3, dtype=int)).ravel())
    ramp = bytes(range(256)) * 3
    table = b"mft1" + bytes(4) + bytes((3, 3, 2, 0)) + identity + ramp + corners + ramp
    made = bytearray(icc)
    entry = made.index(b"chad")
    struct.pack_into(">4sII", made, entry, b"A2B0", len(icc), len(table))
    made[20:24] = b"Lab "
    struct.pack_into(">I", made, 0, len(icc) + len(table))
    return bytes(made) + table


def write_dng(path, mosaic, *, white, orientation=1, time_s=1.0):
    """A RAW file of a camera that sees linear Rec. 709; 2 x 2 pixels are red, green; green, blue."""
    import tifffile

    xyz_from_rgb = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    matrix = [part for number in np.linalg.inv(xyz_from_rgb).ravel() for part in (round(number * 10000), 10000)]
    tags = [
        (271, "s", 0, "Test", True),
        (272, "s", 0, "Test One", True),
        (274, "H", 1, orientation, True),
        (33434, "2I", 1, (round(time_s * 1000), 1000), True),  # ExposureTime
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, bytes((0, 1, 1, 2)), True),  # CFAPattern
        (50706, "B", 4, bytes((1, 4, 0, 0)), True),  # DNGVersion
        (50708, "s", 0, "Test One", True),  # UniqueCameraModel
        (50717, "I", 1, white, True),  # WhiteLevel
        (50721, "2i", 9, tuple(matrix), True),  # ColorMatrix1
        (50728, "2I", 3, (1, 1) * 3, True),  # AsShotNeutral
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1: D65
    ]
    tifffile.imwrite(path, mosaic, photometric=32803, extratags=tags, metadata=None)
    return path
