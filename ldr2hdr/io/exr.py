"""OpenEXR pictures (.exr): linear radiance in half or single floats."""

import contextlib
import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import OpenEXR
from jaxtyping import Float

from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.files import check_size, replacing
from ldr2hdr.io.primaries import REC709_XY, Colours, colours_of, convert

HALF_MAX: Final = 65504.0
# What `read_exr` would take for the picture
_COLOUR_CHANNELS: Final = ("R", "G", "B", "A", "Y", "RY", "BY", "RGB", "RGBA")
_PICTURES: Final[tuple[tuple[str, ...], ...]] = (("R", "G", "B"), ("Y", "RY", "BY"), ("Y",))
"""Channels that make a picture; luminance without its chroma is none."""
_DEEP: Final = (OpenEXR.deepscanline, OpenEXR.deeptile)
_SQUARE: Final = 1e-3
# By the names of the Color Interop Forum; the last two say nothing
_LINEAR_SPACES: Final = {
    "lin_ap0_scene": (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767),
    "lin_ap1_scene": (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767),
    "lin_adobergb_scene": (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, 0.3127, 0.3290),
    "lin_p3d65_scene": (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.3290),
    "lin_rec2020_scene": (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.3290),
    **dict.fromkeys(("lin_rec709_scene", "lin_rec709_display", "data", "unknown"), REC709_XY),
}
# OpenEXR, ImfRgbaYca.cpp, `reconstructChromaHoriz`: half of a symmetric filter
_CHROMA_TAPS: Final = (0.002128, -0.007540, 0.019597, -0.043159, 0.087929, -0.186077, 0.627123)
_COMPRESSION: Final = {"zip": OpenEXR.ZIP_COMPRESSION, "dwaa": OpenEXR.DWAA_COMPRESSION}


def read_exr(path: Path) -> Float[np.ndarray, "h w 3"]:
    """Read linear Rec. 709 radiance of the first part's data window, float32.

    Alpha is dropped; a single channel ``Y`` is grey; luminance and chroma (``Y``, ``RY``, ``BY``) become colours. A
    ``whiteLuminance`` is applied: the numbers are cd/m2 then. Other ``chromaticities`` are converted, white to white;
    colours that Rec. 709 does not span have negative values then, which are kept.

    Raises:
        ImageError: If the file is damaged or deep, the size absurd, the pixels not square, the primaries none that span
            colours, or there is no RGB or Y.

    References:
        OpenEXR 3.4, "Standard Attributes"; "Technical Introduction", luminance/chroma images.
    """
    header, (height, width), colours = _read_header(path)
    planes = _read_planes(path)
    names = _choose_channels(path, planes)
    rgb = np.empty((height, width, 3), np.float32)
    for index, name in enumerate(names):
        rgb[..., index] = _to_size(path, name, planes[name], rgb.shape[:2])
    if len(names) == 1:
        rgb[..., 1:] = rgb[..., :1]
    elif names[0] == "Y":
        rgb = _from_chroma(rgb, colours.luminance)
    if len(names) > 1:  # grey is grey in all
        rgb = convert(rgb, colours.to_rec709)
    white = header.get("whiteLuminance", 1.0)
    return rgb if white == 1.0 else rgb * np.float32(white)


def read_exr_size(path: Path) -> tuple[int, int]:
    """Return height and width of the data window, after a look at all that `read_exr` refuses by the header.

    Raises:
        ImageError: As `read_exr`.
    """
    return _read_header(path)[1]


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
        "chromaticities": REC709_XY,
        "dwaCompressionLevel": float(dwa_level),
    }
    channels = {name: _storable(pixels, is_half) for name, pixels in ({"RGB": rgb} | dict(layers)).items()}
    with replacing(path) as temporary:
        temporary.touch()  # where that is not allowed, the operating system says why
        try:
            with _on_all_cores():
                OpenEXR.File(header, channels).write(str(temporary))
        except RuntimeError as error:
            raise OSError(f"the file could not be written, is the disk full? ({error}): {path}") from error


@contextmanager
def _on_all_cores() -> Iterator[None]:
    """Let the library compress by threads; none stays, as a process that is forked would wait for them for ever."""
    OpenEXR.set_global_thread_count(os.cpu_count() or 1)
    try:
        yield
    finally:
        OpenEXR.set_global_thread_count(0)


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


def _read_header(path: Path) -> tuple[dict[str, Any], tuple[int, int], Colours]:
    """The header, height and width, and what the numbers mean."""
    with _damage_named(path):
        header: dict[str, Any] = OpenEXR.File(str(path), header_only=True).header()
    if header.get("type") in _DEEP:
        raise ImageError(f"expected a flat OpenEXR picture, got a deep one; flatten it first: {path}")
    low, high = header["dataWindow"]
    width, height = (int(side) for side in np.subtract(high, low, dtype=np.int64) + 1)
    check_size(path, height, width)
    space = header.get("colorInteropID", "unknown")
    if not isinstance(space, str) or space not in _LINEAR_SPACES:
        raise ImageError(f"expected linear light, got the colorInteropID {space!r}; convert the file: {path}")
    if header.get("acesImageContainerFlag") == 1:  # SMPTE ST 2065-4
        space = "lin_ap0_scene"
    primaries = header.get("chromaticities", _LINEAR_SPACES[space])
    if not isinstance(primaries, tuple):  # what the library could not read; it may not even be printed
        raise ImageError(f"expected chromaticities in the OpenEXR header, got something else by that name: {path}")
    aspect, white = header.get("pixelAspectRatio", 1.0), header.get("whiteLuminance", 1.0)
    if not isinstance(aspect, float) or abs(aspect - 1) > _SQUARE:
        raise ImageError(f"expected square pixels, got a pixelAspectRatio of {aspect}; scale the picture: {path}")
    if not isinstance(white, float) or not 0 < white < math.inf:
        raise ImageError(f"expected a positive whiteLuminance, got {white}: {path}")
    _choose_channels(path, [channel.name for channel in header["channels"]])
    return header, (height, width), colours_of(path, primaries)


def _choose_channels(path: Path, found: Iterable[str]) -> tuple[str, ...]:
    """Choose the channels that make the picture: Y is grey only if nothing beside it is colour."""
    channels = set(found)
    is_colour = bool(channels & {"RY", "BY"}) or {"X", "Z"} <= channels
    names = next((names for names in _PICTURES if set(names) <= channels and not (names == ("Y",) and is_colour)), None)
    if names is None:
        raise ImageError(f"expected the channels R, G, B or Y, got {', '.join(sorted(channels))}: {path}")
    return names


def _read_planes(path: Path) -> dict[str, np.ndarray]:
    """Channels by name."""
    with _damage_named(path):
        channels = OpenEXR.File(str(path), separate_channels=True).channels()
        return {name: np.asarray(channel.pixels) for name, channel in channels.items()}


def _to_size(path: Path, name: str, plane: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A channel at full size; chroma is stored at half of it."""
    if plane.shape == size:
        return plane
    if name not in ("RY", "BY") or plane.shape != tuple(-(-side // 2) for side in size):
        raise ImageError(f"expected the channel {name} of {size}, got {plane.shape}: {path}")
    height, width = size
    return _doubled(_doubled(plane.astype(np.float32).T)[:width].T)[:height]


def _doubled(lines: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "_ m"]:
    """Put a line between any two, as OpenEXR reconstructs chroma."""
    reach = len(_CHROMA_TAPS)
    padded = np.pad(lines, ((reach - 1, reach), (0, 0)), mode="edge")
    between = np.zeros_like(lines)
    for index, weight in enumerate(_CHROMA_TAPS):
        far = 2 * reach - 1 - index
        between += np.float32(weight) * (padded[index : index + len(lines)] + padded[far : far + len(lines)])
    return np.stack([lines, between], axis=1).reshape(-1, lines.shape[1])


def _from_chroma(yca: Float[np.ndarray, "h w 3"], weights: tuple[float, float, float]) -> Float[np.ndarray, "h w 3"]:
    """Red, green, blue of luminance, ``(R - Y) / Y`` and ``(B - Y) / Y``."""
    red_weight, green_weight, blue_weight = weights
    luminance = yca[..., 0]
    red, blue = ((yca[..., index] + 1) * luminance for index in (1, 2))
    green = (luminance - red_weight * red - blue_weight * blue) / green_weight
    return np.stack([red, green, blue], axis=-1).astype(np.float32)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """The library prints some of what it trips over, and goes on: that is damage, and not for the terminal."""
    message = f"expected an intact OpenEXR file, got a truncated or damaged one: {path}"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            yield
        except (RuntimeError, ValueError, TypeError) as error:
            raise ImageError(message) from error
    if printed.getvalue():
        raise ImageError(f"{message} ({printed.getvalue().strip()})")
