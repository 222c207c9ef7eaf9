"""Reading and writing pictures by what they are: linear radiance or display-referred."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.exr import read_exr, write_exr
from ldr2hdr.io.files import kind_of, replacing
from ldr2hdr.io.radiance import encode_hdr, read_hdr

_HDR_READERS = {"Radiance HDR": read_hdr, "OpenEXR": read_exr}
_JPEG_QUALITY = 95


def read_radiance(path: Path | str, *, allow_negative: bool = False) -> Float[Tensor, "3 h w"]:
    """Linear Rec. 709 radiance of a ``.hdr`` or ``.exr`` picture, told apart by content.

    Args:
        path: The picture.
        allow_negative: Return negative values (out-of-gamut colours, traces of lossy coding), do not refuse.

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
    rgb = reader(path)
    _check_values(rgb, path, allow_negative=allow_negative)
    return torch.from_numpy(rgb).movedim(-1, 0).contiguous()


def write_image(path: Path | str, picture: Float[Tensor, "3 h w"], *, is_half: bool = True) -> None:
    """Write a picture in the format of the extension, whole or not at all.

    Args:
        path: ``.exr`` and ``.hdr`` hold linear radiance, ``.png``, ``.jpg`` and ``.jpeg`` 8-bit codes.
        picture: Non-negative radiance, or display-referred values in [0, 1].
        is_half: In ``.exr``, store 16-bit floats where the values fit; see `write_exr`.

    Raises:
        ImageError: If the extension is another, a value does not fit the format, or the folder is missing.
    """
    path = Path(path)
    rgb = np.ascontiguousarray(picture.detach().movedim(0, -1).to("cpu", torch.float32).numpy())
    _check_values(rgb, path, allow_negative=False)
    suffix = path.suffix.lower()
    if suffix == ".exr":
        write_exr(path, rgb, is_half=is_half)
    elif suffix == ".hdr":
        data = encode_hdr(rgb)
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    elif suffix in (".png", ".jpg", ".jpeg"):
        _write_8bit(path, rgb)
    else:
        raise ImageError(f"expected a name ending in .exr, .hdr, .png or .jpg, got {suffix or 'none'!r}: {path}")


def _write_8bit(path: Path, rgb: Float[np.ndarray, "h w 3"]) -> None:
    if rgb.max(initial=0.0) > 1:
        raise ImageError(
            f"expected display-referred values in [0, 1] for {path.suffix}, got up to {rgb.max():.4g}: {path}"
        )
    levels = np.rint(rgb * 255).astype(np.uint8)
    with replacing(path) as temporary:
        if path.suffix.lower() == ".png":
            iio.imwrite(temporary, levels)
        else:
            iio.imwrite(temporary, levels, quality=_JPEG_QUALITY)


def _check_values(rgb: Float[np.ndarray, "h w 3"], path: Path, *, allow_negative: bool) -> None:
    num_nonfinite = int((~np.isfinite(rgb)).sum())
    if num_nonfinite:
        raise ImageError(f"expected finite values, got {num_nonfinite} NaN or infinite ones: {path}")
    num_negative = int((rgb < 0).sum())
    if num_negative and not allow_negative:
        raise ImageError(f"expected non-negative values, got {num_negative} down to {rgb.min():.3g}: {path}")
