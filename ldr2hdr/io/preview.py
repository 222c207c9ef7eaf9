"""Tone-mapped pictures of linear light, to look at where no program shows HDR."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.io.pictures import write_image
from ldr2hdr.radiometry import encode_srgb

_LONGEST_PX: Final = 2048
_SUFFIX: Final = ".jpg"
# Relative to the brightest pixel, below what any screen shows; the operator takes logarithms
_FLOOR: Final = 1e-7


def preview_path(output: Path) -> Path:
    """Return the name of a preview: beside the file that it is of.

    Example:
        >>> preview_path(Path("day/scene.exr")).name
        'scene_preview.jpg'
    """
    return output.with_name(f"{output.stem}_preview{_SUFFIX}")


def tone_map(exposure: Float[Tensor, "3 h w"], *, longest_px: int = _LONGEST_PX) -> Float[Tensor, "3 u v"]:
    """Return a display-referred picture in [0, 1] by OpenCV's Reinhard operator, at most 2048 pixels a side.

    Args:
        exposure: Linear light, non-negative; its scale is no matter.
        longest_px: The picture is shrunk to it.

    References:
        Reinhard and Devlin, "Dynamic range reduction inspired by photoreceptor physiology", TVCG 2005.
    """
    height, width = exposure.shape[1:]
    scale = min(1.0, longest_px / max(height, width))
    light = np.ascontiguousarray(exposure.detach().cpu().float().movedim(0, -1).numpy())
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        light = cv2.resize(light, size, interpolation=cv2.INTER_AREA)
    peak = float(light.max(initial=0.0))
    if peak - float(light.min(initial=0.0)) <= _FLOOR * peak:  # an even picture has no range to map
        return torch.full((3, *light.shape[:2]), 0.5 if peak > 0 else 0.0)
    relative = np.maximum(light / peak, _FLOOR)
    # its own gamma is a power; sRGB is applied instead
    operator = cv2.createTonemapReinhard(gamma=1.0, intensity=0.0, light_adapt=0.8, color_adapt=0.0)
    with _quiet():
        mapped = operator.process(relative)
    linear = torch.from_numpy(np.nan_to_num(mapped).clip(0, 1)).movedim(-1, 0)
    return encode_srgb(linear).clamp(0, 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV 5 from writing to the terminal that its own operator uses what is to change."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def write_preview(path: Path, exposure: Float[Tensor, "3 h w"]) -> None:
    """Write a tone-mapped JPEG or PNG, whole or not at all; errors as of `write_image`."""
    write_image(path, tone_map(exposure))
