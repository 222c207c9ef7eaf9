"""Picture files as such: what they hold by content, how large they may be, how they are written whole."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ldr2hdr.io.errors import ImageError

MAX_PIXELS: Final = 2**27
"""134 megapixels: beyond any camera, and 1.6 GB as float32; a larger header is damage or an attack."""

_KINDS: Final = (
    (b"#?", "Radiance HDR"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)


def kind_of(path: Path) -> str:
    """Name of a picture's format by its first bytes; the extension is not looked at.

    Returns:
        "Radiance HDR", "OpenEXR", "PNG", "JPEG", "TIFF", or "an unknown format".

    Raises:
        ImageError: If there is no such file, or it is empty.
    """
    if not path.is_file():
        raise ImageError(f"expected a picture, found no such file: {path}")
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise ImageError(f"expected a picture, the file is empty: {path}")
    return next((name for magic, name in _KINDS if start.startswith(magic)), "an unknown format")


def check_size(path: Path, height: int, width: int) -> None:
    """Refuse a size that no picture has, before its pixels are decoded.

    Raises:
        ImageError: If a side is below 1, or there are more than `MAX_PIXELS` pixels.
    """
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise ImageError(f"expected a picture of 1 to {MAX_PIXELS} pixels, the header says {width} x {height}: {path}")


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
