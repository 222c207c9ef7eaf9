"""OpenEXR pictures (.exr): linear radiance in half or single floats."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import OpenEXR
from jaxtyping import Float

from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.files import check_size, replacing

HALF_MAX: Final = 65504.0
# red, green, blue, white as x, y (ITU-R BT.709, item 1.3 and 1.4)
_REC709: Final = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
# The same primaries adapted to the D50 white of ICC profiles; Photoshop writes these beside unchanged numbers
_REC709_D50: Final = (0.6484, 0.3309, 0.3212, 0.5979, 0.1559, 0.0661, 0.3457, 0.3585)
# What `read_exr` would take for the picture
_COLOUR_CHANNELS: Final = ("R", "G", "B", "A", "Y", "RY", "BY", "RGB", "RGBA")
_COMPRESSION: Final = {"zip": OpenEXR.ZIP_COMPRESSION, "dwaa": OpenEXR.DWAA_COMPRESSION}


def read_exr(path: Path) -> Float[np.ndarray, "h w 3"]:
    """Linear Rec. 709 radiance of the first part's data window, float32.

    Alpha is dropped; a single channel ``Y`` is grey.

    Raises:
        ImageError: If the file is damaged, the size absurd, the primaries others, or there is no RGB or Y.
    """
    header = _read_header(path)
    low, high = header["dataWindow"]
    width, height = (int(side) for side in np.subtract(high, low, dtype=np.int64) + 1)
    check_size(path, height, width)
    primaries = header.get("chromaticities", _REC709)
    if not isinstance(primaries, tuple):  # what the library could not read; it may not even be printed
        raise ImageError(f"expected chromaticities in the OpenEXR header, got something else by that name: {path}")
    if not any(np.allclose(primaries, known, atol=2e-3) for known in (_REC709, _REC709_D50)):
        raise ImageError(f"expected Rec. 709 primaries {_REC709}, got {primaries}; convert the file: {path}")
    channels = _read_channels(path)
    name = next((name for name in ("RGB", "RGBA", "Y") if name in channels), None)
    if name is None:
        raise ImageError(f"expected the channels R, G, B or Y, got {', '.join(channels)}: {path}")
    pixels = np.asarray(channels[name].pixels).reshape(height, width, -1)[..., :3]
    return np.array(np.broadcast_to(pixels, (height, width, 3)), dtype=np.float32, order="C")


def write_exr(
    path: Path,
    rgb: Float[np.ndarray, "h w 3"],
    *,
    is_half: bool = True,
    compression: Literal["zip", "dwaa"] = "zip",
    dwa_level: float = 45.0,
    layers: Mapping[str, Float[np.ndarray, "_ _"]] | None = None,
    attributes: Mapping[str, str | float] | None = None,
) -> None:
    """Write linear Rec. 709 radiance, whole or not at all.

    The picture is in memory as a whole, once as given and once as stored: the package writes by blocks of lines only
    through an interface it is about to remove, and which stores the primaries as zeros.

    Args:
        path: Where to; replaced if it exists.
        rgb: Radiance.
        is_half: Store 16-bit floats (relative error 2**-11) unless a value is above 65504; else 32 bits.
        compression: ``zip`` is lossless; ``dwaa`` is lossy and several times smaller.
        dwa_level: Strength of ``dwaa``; 45 is the library's default, larger is smaller and coarser.
        layers: Further channels by name, such as ``mask.clipped``, ``mask.invented`` or ``sigma``.
        attributes: Further metadata by name, such as the standard ``expTime``, ``isoSpeed`` or ``comments``.

    Raises:
        ImageError: If the folder does not exist, or a layer has the name of a colour or another size.
        OSError: If the file cannot be written, in a read-only folder or on a full disk.
    """
    layers = layers or {}
    _check_layers(path, rgb, layers)
    header = {
        **(attributes or {}),
        "compression": _COMPRESSION[compression],
        "type": OpenEXR.scanlineimage,
        "chromaticities": _REC709,
        "dwaCompressionLevel": float(dwa_level),
    }
    channels = {name: _storable(pixels, is_half) for name, pixels in ({"RGB": rgb} | dict(layers)).items()}
    with replacing(path) as temporary:
        temporary.touch()  # where that is not allowed, the operating system says why
        try:
            OpenEXR.File(header, channels).write(str(temporary))
        except RuntimeError as error:
            raise OSError(f"the file could not be written, is the disk full? ({error}): {path}") from error


def _check_layers(path: Path, rgb: Float[np.ndarray, "h w 3"], layers: Mapping[str, np.ndarray]) -> None:
    for name, layer in layers.items():
        if name in _COLOUR_CHANNELS or not name:
            raise ImageError(f"expected a layer named otherwise than a colour, got {name!r}: {path}")
        if layer.shape != rgb.shape[:2]:
            raise ImageError(f"expected layer {name!r} to be {rgb.shape[:2]}, got {layer.shape}: {path}")


def _storable(pixels: Float[np.ndarray, "..."], is_half: bool) -> np.ndarray:
    # not by the absolute values, which would be as large in memory as the picture
    is_in_range = pixels.max(initial=0.0) <= HALF_MAX and pixels.min(initial=0.0) >= -HALF_MAX
    dtype = np.float16 if is_half and is_in_range else np.float32
    # the library writes strided arrays as garbage, silently
    return np.ascontiguousarray(pixels, dtype=dtype)


def _read_header(path: Path) -> dict[str, Any]:
    with _damage_named(path):
        header: dict[str, Any] = OpenEXR.File(str(path), header_only=True).header()
    return header


def _read_channels(path: Path) -> dict[str, Any]:
    with _damage_named(path):
        channels: dict[str, Any] = OpenEXR.File(str(path)).channels()
    return channels


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise ImageError(f"expected an intact OpenEXR file, got a truncated or damaged one: {path}") from error
