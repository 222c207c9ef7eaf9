"""Camera RAW files (extra ``raw``), developed as plainly as can be: nothing depends on the picture."""

from pathlib import Path
from typing import Final

import numpy as np

from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.exif import exif_of_tiff, parse_exif
from ldr2hdr.io.files import MAX_PIXELS, check_size
from ldr2hdr.io.jpeg import exif_of_jpeg, parse_jpeg
from ldr2hdr.io.ldr import StoredPicture
from ldr2hdr.io.optional import import_optional
from ldr2hdr.radiometry import SRGB_EXPONENT, SRGB_SLOPE

RAW_SUFFIXES: Final = (
    *(
        ".dng",
        ".nef",
        ".nrw",
        ".cr2",
        ".cr3",
        ".arw",
        ".raf",
        ".orf",
        ".rw2",
        ".pef",
        ".srw",
        ".3fr",
        ".iiq",
        ".crw",
        ".mrw",
    ),
)
"""Extensions of RAW files; the content decides what a file is."""
_SRGB_GAMMA: Final = (SRGB_EXPONENT, SRGB_SLOPE)
# How the camera was held, as LibRaw has it, to the orientations of EXIF
_ORIENTATIONS: Final = {0: 1, 3: 3, 5: 8, 6: 6}
TIFF_STARTS: Final = (b"II*\0", b"MM\0*", b"IIRO", b"IIRS", b"IIU\0")
"""Of TIFF, and of RAW files that are TIFF but for their first bytes (Olympus, Panasonic)."""
_FUJIFILM_START: Final = b"FUJIFILMCCD-RAW"
_FUJIFILM_PREVIEW_AT: Final = 84
"""Position of the place and length of a whole JPEG, which has the EXIF."""


def read_raw(path: Path, data: bytes, *, max_pixels: int = MAX_PIXELS) -> StoredPicture:
    """Develop a RAW file to 16-bit sRGB: the camera's white balance, no automatic brightness, white where it clips.

    Args:
        path: The file.
        data: Its bytes, from which EXIF is read.
        max_pixels: More are refused before anything is developed.

    Raises:
        ImageError: If the package is missing, the camera unknown, or the file damaged or of absurd size.
    """
    rawpy = import_optional("rawpy", extra="raw", path=path)
    try:
        with rawpy.imread(str(path)) as raw:
            check_size(path, raw.sizes.height, raw.sizes.width, max_pixels=max_pixels)
            white_level, flip = int(raw.white_level), raw.sizes.flip
            codes = raw.postprocess(
                use_camera_wb=True,
                no_auto_bright=True,
                adjust_maximum_thr=0.0,  # else white is where the brightest pixel is, not where the sensor clips
                gamma=_SRGB_GAMMA,
                output_color=rawpy.ColorSpace.sRGB,
                output_bps=16,
                user_flip=0,
            )
    except rawpy.LibRawError as error:
        (reason, *_) = error.args
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
        raise ImageError(f"the RAW file is damaged or of an unknown camera ({reason}): {path}") from error
    rgb = np.repeat(codes, 3, axis=2) if codes.shape[2] == 1 else codes  # of a sensor without colours
    return StoredPicture(
        rgb, 65535, white_level.bit_length(), _ORIENTATIONS.get(flip, 1), exif_of_raw(path, data), None
    )


def exif_of_raw(path: Path, data: bytes) -> bytes | None:
    """Return the EXIF block of a RAW file: of its TIFF directories, or of a Fujifilm's preview; None of other kinds.

    Args:
        path: Of the file, for messages.
        data: Its bytes.
    """
    if data.startswith(TIFF_STARTS):
        return exif_of_tiff(parse_exif(data))
    if not data.startswith(_FUJIFILM_START):
        return None
    start, length = (int.from_bytes(data[at : at + 4]) for at in (_FUJIFILM_PREVIEW_AT, _FUJIFILM_PREVIEW_AT + 4))
    try:
        return exif_of_jpeg(parse_jpeg(path, data[start : start + length]))
    except ImageError:  # a damaged preview says nothing, and hinders nothing
        return None
