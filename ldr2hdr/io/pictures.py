"""Reading and writing pictures by what they are: linear radiance or display-referred."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import imageio.v3 as iio
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.io.avif import write_avif
from ldr2hdr.io.errors import ImageError, naming
from ldr2hdr.io.exif import upright_exif
from ldr2hdr.io.exr import read_exr, write_exr
from ldr2hdr.io.files import kind_of, replacing
from ldr2hdr.io.jxl import write_jxl
from ldr2hdr.io.photo import Photo
from ldr2hdr.io.radiance import encode_hdr, read_hdr
from ldr2hdr.io.shot import Shot
from ldr2hdr.io.shot_metadata import exr_attributes, radiance_lines
from ldr2hdr.io.tiff import write_tiff
from ldr2hdr.io.ultrahdr import write_ultrahdr

HDR_FORMATS: Final[Mapping[str, tuple[str, ...]]] = {
    "exr": (".exr",),
    "hdr": (".hdr",),
    "ultrahdr": (".jpg", ".jpeg"),
    "avif": (".avif",),
    "jxl": (".jxl",),
    "tiff": (".tiff", ".tif"),
}
"""Formats of linear radiance, and their extensions, the usual one first."""
_HDR_READERS = {"Radiance HDR": read_hdr, "OpenEXR": read_exr}
_DISPLAY_SUFFIXES: Final = (".png", ".jpg", ".jpeg")
_JPEG_QUALITY = 95
_BLOCK_ROWS: Final = 64


def read_radiance(path: Path | str, *, allow_negative: bool = False) -> Float[Tensor, "3 h w"]:
    """Read linear Rec. 709 radiance of a ``.hdr`` or ``.exr`` picture, by content.

    Args:
        path: The picture.
        allow_negative: Return negative values (colours that Rec. 709 does not span, of pictures of wider primaries;
            traces of lossy coding), do not refuse.

    Returns:
        Radiance, relative units, float32.

    Raises:
        ImageError: If the file is missing, damaged, no HDR picture, of absurd size, or holds NaN, infinite or
            negative values.
    """
    path = Path(path)
    reader = _HDR_READERS.get(kind_of(path))
    if reader is None:
        raise ImageError(f"expected an HDR picture (.hdr or .exr), got {kind_of(path)}: {path}")
    with naming(path):
        rgb = reader(path)
    _check_values(rgb, path, allow_negative=allow_negative)
    return torch.from_numpy(rgb).movedim(-1, 0).contiguous()


def write_image(
    path: Path | str,
    picture: Float[Tensor, "3 h w"],
    *,
    is_half: bool = True,
    format: str | None = None,
    photo: Photo | None = None,
    layers: Mapping[str, Float[Tensor, "_ _"]] | None = None,
    attributes: Mapping[str, str | float] | None = None,
    replaces_gain_map: bool = False,
) -> str | None:
    """Write a picture in the format of the extension, whole or not at all.

    Linear radiance goes to ``.exr``, ``.hdr``, ``.tiff`` (32-bit floats), ``.jxl`` (lossless) and ``.avif`` (PQ, 1
    shown at 203 cd/m2); with ``format="ultrahdr"`` to ``.jpg``, as a gain map behind the photograph. Display-referred
    values go to ``.png`` and ``.jpg`` as 8-bit codes.

    Args:
        path: Where to; replaced if it exists.
        picture: Non-negative radiance, or display-referred values in [0, 1].
        is_half: In ``.exr`` and ``.jxl``, store 16-bit floats where the values fit; see `write_exr`.
        format: A key of `HDR_FORMATS`, needed for Ultra HDR only; that of the extension if None.
        photo: The photograph that the picture was made from: the base of Ultra HDR, and what its EXIF says of camera,
            shot and place for all formats of linear radiance: as EXIF, else in the words of the format.
        layers: Further channels of ``.exr`` by name, such as ``mask.clipped``, ``mask.invented`` or ``sigma``.
        attributes: Further metadata of ``.exr`` by name.
        replaces_gain_map: In Ultra HDR of a photograph that has a gain map of its own, write the new one instead of it;
            else the photograph is copied.

    Returns:
        What of the photograph's EXIF the file has no room or no place for, or that its gain map was kept, in a line;
        None if there is nothing to say.

    Raises:
        ImageError: If the extension is another, a value or option does not fit the format, the folder is missing, or
            an optional package is.
    """
    path = Path(path)
    suffix, layers = path.suffix.lower(), layers or {}
    _check_options(path, format, photo, has_exr_options=bool(layers or attributes))
    # half floats stay what they are where the writer can use them, which halves the memory
    takes_half = (suffix == ".exr" and is_half) or suffix == ".avif" or format == "ultrahdr"
    is_kept = takes_half and picture.dtype == torch.float16
    linear = picture.detach().to("cpu", torch.float16 if is_kept else torch.float32)
    rgb = linear.movedim(0, -1).numpy()
    _check_values(rgb, path, allow_negative=False)
    shot = Shot() if photo is None else photo.source.shot
    exif = None if photo is None else upright_exif(photo.source.exif, height=rgb.shape[0], width=rgb.shape[1])
    if format == "ultrahdr" and photo is not None:
        return write_ultrahdr(path, linear, photo, replaces_gain_map=replaces_gain_map)
    if suffix == ".exr":
        channels = {name: layer.detach().to("cpu", torch.float32).numpy() for name, layer in layers.items()}
        named = {**exr_attributes(shot), **(attributes or {})}
        write_exr(path, rgb, is_half=is_half, layers=channels, attributes=named)
    elif suffix == ".hdr":
        _write_hdr(path, rgb, radiance_lines(shot))
    elif suffix == ".avif":
        return write_avif(path, linear, exif=exif)
    elif suffix == ".jxl":
        return write_jxl(path, rgb, is_half=is_half, exif=exif)
    elif suffix in HDR_FORMATS["tiff"]:
        write_tiff(path, rgb, exif=exif)
    elif suffix in _DISPLAY_SUFFIXES:
        _write_8bit(path, rgb)
    else:
        known = ", ".join([".hdr", *HDR_FORMATS["tiff"], *_DISPLAY_SUFFIXES, ".exr", ".avif"])
        raise ImageError(f"expected a name ending in {known} or .jxl, got {suffix or 'none'!r}: {path}")
    return None


def _check_options(path: Path, format: str | None, photo: Photo | None, *, has_exr_options: bool) -> None:
    suffix = path.suffix.lower()
    if format is not None and suffix not in HDR_FORMATS.get(format, ()):
        known = ", ".join(f"{name} ({' '.join(suffixes)})" for name, suffixes in HDR_FORMATS.items())
        raise ImageError(f"expected a format and its extension, one of {known}, got {format!r}: {path}")
    if format == "ultrahdr" and photo is None:
        raise ImageError(f"expected the photograph that an Ultra HDR file shows to old programs, got none: {path}")
    if has_exr_options and suffix != ".exr":
        raise ImageError(f"expected .exr for layers and attributes, got {suffix or 'none'!r}: {path}")


def _write_hdr(path: Path, rgb: Float[np.ndarray, "h w 3"], lines: Sequence[str]) -> None:
    data = encode_hdr(rgb, lines=lines)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _write_8bit(path: Path, rgb: Float[np.ndarray, "h w 3"]) -> None:
    if rgb.max(initial=0.0) > 1:
        raise ImageError(
            f"expected display-referred values in [0, 1] for {path.suffix}, got up to {rgb.max():.4g}: {path}"
        )
    levels = np.ascontiguousarray(np.rint(rgb * 255), dtype=np.uint8)
    with replacing(path) as temporary:
        if path.suffix.lower() == ".png":
            iio.imwrite(temporary, levels)
        else:
            iio.imwrite(temporary, levels, quality=_JPEG_QUALITY)


def _check_values(rgb: Float[np.ndarray, "h w 3"], path: Path, *, allow_negative: bool) -> None:
    blocks = [rgb[top : top + _BLOCK_ROWS] for top in range(0, len(rgb), _BLOCK_ROWS)]
    num_nonfinite = sum(int((~np.isfinite(block)).sum()) for block in blocks)
    if num_nonfinite:
        raise ImageError(f"expected finite values, got {num_nonfinite} NaN or infinite ones: {path}")
    num_negative = sum(int((block < 0).sum()) for block in blocks)
    if num_negative and not allow_negative:
        raise ImageError(f"expected non-negative values, got {num_negative} down to {rgb.min():.3g}: {path}")
