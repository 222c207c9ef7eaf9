"""Photographs of any format as the networks take them, and what of a file must not be lost."""

from pathlib import Path
from typing import Final, NamedTuple

from jaxtyping import Float
from torch import Tensor

from ldr2hdr.io.colour import to_srgb
from ldr2hdr.io.errors import ImageError, naming
from ldr2hdr.io.exif import parse_exif
from ldr2hdr.io.files import MAX_PIXELS, kind_of
from ldr2hdr.io.heic import metadata_of_heic, read_heic
from ldr2hdr.io.icc_writing import adobe_rgb_profile
from ldr2hdr.io.ldr import StoredPicture, read_ldr_header, read_stored
from ldr2hdr.io.orientation import turn_upright
from ldr2hdr.io.raw import TIFF_STARTS, exif_of_raw, read_raw
from ldr2hdr.io.shot import Shot, describe_shot
from ldr2hdr.io.tiff import parse_tiff

_READ: Final = "a JPEG, PNG, TIFF, HEIC or camera RAW photograph"
_REASONS: Final = {
    "GIF": "GIF, which has 256 colours and may move; export a still as JPEG or PNG",
    "OpenEXR": "OpenEXR, which is HDR already",
    "Radiance HDR": "Radiance HDR, which is HDR already",
    "JPEG 2000": "JPEG 2000; export it as TIFF or PNG",
    "Photoshop": "a Photoshop document; export it as TIFF or PNG",
    "GIMP": "a GIMP document; export it as TIFF or PNG",
    "BigTIFF": "a BigTIFF, which is for files beyond 4 GB; save it as TIFF",
    "an unknown format": "something that is no picture, or of an unknown format",
}


class PhotoSource(NamedTuple):
    """Parts of a photograph's file that are kept beside the pixels.

    Attributes:
        path: The file.
        kind: ``JPEG``, ``PNG``, ``TIFF``, ``HEIC`` or ``camera RAW``.
        bit_depth: Bits a channel in the file.
        orientation: EXIF orientation that was applied; 1 if the decoder applied it.
        colour_space: What the colours were converted to sRGB from.
        shot: Camera and settings, by EXIF or XMP.
        exif: EXIF block as in the file; its orientation is that of the file, not of the pixels.
        icc: ICC profile that the conversion went by; None for sRGB without a profile.
        jpeg: The whole file if it is a JPEG: the base picture of an Ultra HDR file.
        exif_damage: What of EXIF cannot be read, in a line; None if all can.
    """

    path: Path
    kind: str
    bit_depth: int
    orientation: int
    colour_space: str
    shot: Shot
    exif: bytes | None
    icc: bytes | None
    jpeg: bytes | None
    exif_damage: str | None = None


class Photo(NamedTuple):
    """A photograph, and what of its file must be kept.

    Attributes:
        ldr: sRGB codes in [0, 1], upright, display-referred.
        source: The rest.
    """

    ldr: Float[Tensor, "3 h w"]
    source: PhotoSource


def read_photo(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a photograph as people see it: upright, in sRGB.

    The content decides, not the name. JPEG, PNG and TIFF of 8 or 16 bits, HEIC (extra ``heic``) and camera
    RAW (extra ``raw``, developed without automatic brightness). Embedded ICC profiles are honoured; colours outside
    sRGB are clipped to it. Grey becomes three equal channels. Refused, and the message says what to do instead: CMYK,
    animations, transparency (an opaque alpha channel is dropped), damaged profiles, what is HDR already.

    Args:
        path: The photograph.
        max_pixels: Larger ones are refused before they are decoded.

    Raises:
        ImageError: If it cannot be read or is refused; the message names the file.
    """
    path = Path(path)
    with naming(path):
        return _read_photo(path, max_pixels)


def read_shot(path: Path) -> Shot:
    """Read how a photograph was taken; no pixels are decoded, and the content decides, not the name.

    Raises:
        ImageError: If the file cannot be read or is refused by its header; the message names it.
    """
    with naming(path):
        kind = _photo_kind(path)
        if kind == "HEIC":
            exif, xmp = metadata_of_heic(path, path.read_bytes())
            return describe_shot(parse_exif(exif), xmp)
        if kind == "camera RAW" or (kind == "TIFF" and _is_raw(path)):
            return describe_shot(parse_exif(exif_of_raw(path, path.read_bytes())))
        return read_ldr_header(path).shot


def _is_raw(path: Path) -> bool:
    with path.open("rb") as file:
        return parse_tiff(path, file).is_raw


def _read_photo(path: Path, max_pixels: int) -> Photo:
    kind = _photo_kind(path)
    data = path.read_bytes()
    stored, kind = _read_stored(path, data, kind, max_pixels)
    shot = describe_shot(parse_exif(stored.exif), stored.xmp)
    icc = stored.icc or (adobe_rgb_profile() if shot.is_adobe_rgb and kind != "camera RAW" else None)
    ldr, colour_space = to_srgb(path, stored.codes, icc, white=stored.white)
    colour_space = "sRGB (developed)" if kind == "camera RAW" else colour_space
    source = PhotoSource(
        path=path,
        kind=kind,
        bit_depth=stored.bit_depth,
        orientation=stored.orientation,
        colour_space=colour_space,
        shot=shot,
        exif=stored.exif,
        icc=icc,
        jpeg=data if kind == "JPEG" else None,
        exif_damage=parse_exif(data if data.startswith(TIFF_STARTS) else stored.exif).damage,
    )
    return Photo(turn_upright(ldr, stored.orientation).contiguous(), source)


def _photo_kind(path: Path) -> str:
    kind = kind_of(path)
    if kind not in ("JPEG", "PNG", "TIFF", "HEIC", "camera RAW"):
        raise ImageError(f"expected {_READ}, got {_REASONS.get(kind, kind)}: {path}")
    return kind


def _read_stored(path: Path, data: bytes, kind: str, max_pixels: int) -> tuple[StoredPicture, str]:
    """Decode by kind; most RAW files are TIFF by their first bytes."""
    if kind == "camera RAW" or (kind == "TIFF" and parse_tiff(path, data).is_raw):
        return read_raw(path, data, max_pixels=max_pixels), "camera RAW"
    if kind == "HEIC":
        return read_heic(path, data, max_pixels=max_pixels), kind
    return read_stored(path, data, kind, max_pixels=max_pixels), kind
