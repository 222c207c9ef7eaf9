"""Faults to plant in a set, each a change of one picture file."""

from pathlib import Path

import cv2
import numpy as np
import OpenEXR
from PIL import ExifTags, Image

from ldr2hdr.io.exr import read_exr
from ldr2hdr.io.radiance import encode_hdr, read_hdr

# linear Rec. 709 to CIE XYZ (IEC 61966-2-1)
_XYZ_FROM_REC709 = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def cut_within_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def cut_in_half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def store_as_xyze(path: Path) -> None:
    data = encode_hdr((read_hdr(path) @ _XYZ_FROM_REC709.T).clip(min=0).astype(np.float32))
    path.write_bytes(data.replace(b"rgbe", b"xyze", 1))


def store_by_columns(path: Path) -> None:
    """A ``.hdr`` of the resolution line ``+X w +Y h``: columns from the left, each from the bottom up."""
    rgb = read_hdr(path)
    height, width = rgb.shape[:2]
    data = encode_hdr(np.ascontiguousarray(rgb[::-1].transpose(1, 0, 2)))
    path.write_bytes(data.replace(f"-Y {width} +X {height}".encode(), f"+X {width} +Y {height}".encode(), 1))


def store_lying(path: Path) -> None:
    """Turn the pixels by a quarter and tell so by EXIF, as phones do."""
    with Image.open(path) as picture:
        exif = picture.getexif()
        exif[ExifTags.Base.Orientation] = 6
        # orientation 6: the viewer is to turn the picture clockwise
        picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=98, subsampling=0)


def store_as_png16(path: Path) -> Path:
    """Replace an 8-bit picture by a 16-bit PNG of the same name."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    path.unlink()
    replaced = path.with_suffix(".png")
    cv2.imwrite(str(replaced), pixels.astype(np.uint16) * 257)
    return replaced


def store_with_data_window(path: Path) -> None:
    """An EXR whose pixels lie anywhere in a larger display window."""
    rgb = read_exr(path)
    height, width = rgb.shape[:2]
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "dataWindow": (np.array([5, 9], np.int32), np.array([5 + width - 1, 9 + height - 1], np.int32)),
        "displayWindow": (np.array([0, 0], np.int32), np.array([2 * width, 2 * height], np.int32)),
    }
    OpenEXR.File(header, {"RGB": rgb.astype(np.float16)}).write(str(path))


def crop(path: Path) -> None:
    """Take off the last four columns."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), np.ascontiguousarray(pixels[:, :-4]))
