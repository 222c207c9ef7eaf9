"""Files as such: what pictures hold by content, how large they may be, how files are written whole."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ldr2hdr.io.errors import ImageError

MAX_PIXELS: Final = 2**27
"""134 megapixels: beyond any camera, and 1.6 GB as float32; a larger header is damage or an attack."""

# Where the bytes stand, what they are, whose they are. Of TIFF-based RAW files only Canon's differ from TIFF in
# these; of the others the first directory decides, see `ldr2hdr.io.tiff`.
_KINDS: Final = (
    (0, b"#?", "Radiance HDR"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (8, b"CR\x02", "camera RAW"),
    (4, b"ftypcrx", "camera RAW"),
    (0, b"FUJIFILMCCD-RAW", "camera RAW"),
    (0, b"IIRO", "camera RAW"),
    (0, b"IIRS", "camera RAW"),
    (0, b"IIU\0", "camera RAW"),
    (0, b"FOVb", "camera RAW"),
    (6, b"HEAPCCDR", "camera RAW"),
    (0, b"\0MRM", "camera RAW"),
    (0, b"II+\0", "BigTIFF"),
    (0, b"MM\0+", "BigTIFF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypheix", "HEIC"),
    (4, b"ftypheim", "HEIC"),
    (4, b"ftypheis", "HEIC"),
    (4, b"ftyphevc", "HEIC"),
    (4, b"ftyphevx", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypmif2", "HEIC"),
    (4, b"ftypmiaf", "HEIC"),
    (4, b"ftypunif", "HEIC"),
    (4, b"ftypavci", "HEIC"),
    (4, b"ftypj2ki", "HEIC"),
    (4, b"ftypvvic", "HEIC"),
    (4, b"ftypmsf1", "HEIC"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n\x87\n", "JPEG XL"),
    (8, b"WEBP", "WebP"),
    (0, b"GIF8", "GIF"),
    (4, b"jP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (0, b"8BPS", "Photoshop"),
    (0, b"gimp xcf", "GIMP"),
    (0, b"BM", "BMP"),
    (0, b"%PDF", "PDF"),
    (4, b"ftyp", "a video"),
)
_MAGIC_BYTES: Final = 16


def kind_of(path: Path) -> str:
    """Name of a picture's format by its first bytes; the extension is not looked at.

    Returns:
        "Radiance HDR", "OpenEXR", "PNG", "JPEG", "TIFF", "BigTIFF", "HEIC", "camera RAW", "AVIF", "JPEG XL", "WebP",
        "GIF", a name of what else people have for pictures, or "an unknown format". Many RAW files are TIFF by their
        first bytes; HEIC is any HEIF but AVIF.

    Raises:
        ImageError: If there is no such file, or it is empty.
    """
    if not path.is_file():
        raise ImageError(f"expected a picture, found no such file: {path}")
    with path.open("rb") as file:
        start = file.read(_MAGIC_BYTES)
    if not start:
        raise ImageError(f"expected a picture, the file is empty: {path}")
    return next((name for at, magic, name in _KINDS if start.startswith(magic, at)), "an unknown format")


def check_size(path: Path, height: int, width: int, *, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse a size that no picture has, before its pixels are decoded.

    Raises:
        ImageError: If a side is below 1, or there are more than ``max_pixels`` pixels.
    """
    if height < 1 or width < 1 or height * width > max_pixels:
        raise ImageError(f"expected a picture of 1 to {max_pixels} pixels, the header says {width} x {height}: {path}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Hand out a temporary name beside ``path`` and rename it on success, so no half-written file remains.

    Raises:
        ImageError: If the folder does not exist.
    """
    if not path.parent.is_dir():
        raise ImageError(f"expected an existing folder to write to, got {path.parent} for {path.name}")
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Write JSON, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
