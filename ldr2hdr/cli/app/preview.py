"""One photograph for the viewer of the report: itself and its light, no larger than a screen."""

import math
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.evaluation.report.encoding import encode_light, pack
from ldr2hdr.evaluation.report.pictures import Scene, jpeg_uri
from ldr2hdr.radiometry import encode_srgb

_LONGEST_PX: Final = 1280
_DARKEST_EV, _LEAST_DARK_EV = -16, -4
_SMALL_PX: Final = 240
_BRIGHTER_EVS: Final = (0, 2, 4)
_QUALITY: Final = 80


class Shown(NamedTuple):
    """Light at one exposure.

    Attributes:
        ev: In stops.
        picture: Data URI of a small JPEG.
    """

    ev: int
    picture: str


def shrink(picture: Float[Tensor, "3 h w"], *, longest_px: int = _LONGEST_PX) -> Float[np.ndarray, "3 _ _"]:
    """Shrink by means over areas, which keep the light; a small picture stays as it is."""
    pixels = picture.movedim(0, -1).float().contiguous().numpy()
    height, width = pixels.shape[:2]
    scale = longest_px / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def make_scene(photo: Float[np.ndarray, "3 h w"], exposure: Float[np.ndarray, "3 h w"]) -> Scene:
    """Pack both for the viewer.

    Args:
        photo: Display-referred, in [0, 1].
        exposure: Sensor exposure.
    """
    levels = np.round(photo * 255).astype(np.int32)
    codes = encode_light(np.moveaxis(exposure, 0, -1))
    packed = {"photograph": pack(levels), "HDR": pack(codes, levels=levels)}
    pictures: list[dict[str, Any]] = [
        {"name": name, "base": one.base, "smoothed": one.is_smoothed, "scores": {}} for name, one in packed.items()
    ]
    about = {
        # words that the report has for its samples
        **dict.fromkeys(("place", "camera", "table", "run", "seed"), ""),
        "height": levels.shape[1],
        "width": levels.shape[2],
        "darkest": _darkest_ev(float(exposure.max())),
        "right": 1,
        "pictures": pictures,
    }
    return Scene(about, tuple(one.data for one in packed.values()), "")


def show_exposures(exposure: Float[np.ndarray, "3 h w"], *, darkest: int) -> tuple[Shown, ...]:
    """Show light at several exposures, from the darkest to four stops brighter, each as a photograph would.

    Args:
        exposure: Sensor exposure.
        darkest: In whole stops, at which nothing is clipped.
    """
    light = torch.from_numpy(shrink(torch.from_numpy(exposure), longest_px=_SMALL_PX)).movedim(0, -1)
    evs = sorted({darkest, darkest // 2, *_BRIGHTER_EVS})
    return tuple(Shown(ev, _as_jpeg(encode_srgb((light * 2.0**ev).clamp(0, 1)).numpy())) for ev in evs)


def _as_jpeg(codes: Float[np.ndarray, "h w 3"]) -> str:
    levels = np.ascontiguousarray(np.rint(codes[..., ::-1] * 255).astype(np.uint8))
    return jpeg_uri(levels, quality=_QUALITY)


def _darkest_ev(brightest: float) -> int:
    """Return the exposure at which nothing is clipped any more, in whole stops."""
    stops = math.ceil(math.log2(brightest)) if brightest > 0 else 0
    return max(_DARKEST_EV, min(_LEAST_DARK_EV, -stops))
