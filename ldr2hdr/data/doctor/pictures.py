"""One decoded picture, reduced at once to what the doctor needs: only one is in memory whole at any time."""

import math
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.radiometry import luminance

# The strided pixels suffice for a response; `fit_scale` would take no more of them.
_MAX_SAMPLES: Final = 2**16
_PATCH_PX: Final = 512
_THUMBNAIL_PX: Final = 144
_SIGNATURE_PX: Final = 12
_BLACK, _WHITE = 2.5 / 255, 252.5 / 255
# of the key value, below which radiance counts as black in a signature
_FLOOR_STOPS: Final = 6.0


class Reduced(NamedTuple):
    """Parts of a picture that are kept.

    Attributes:
        size: Height and width of the whole.
        samples: Every n-th pixel of every n-th row.
        patch: The middle, up to 512 pixels wide and high, at full resolution.
        small: Area means, up to 144 pixels high.
    """

    size: tuple[int, int]
    samples: Float[Tensor, "3 h w"]
    patch: Float[Tensor, "3 hp wp"]
    small: Float[Tensor, "3 hs ws"]


def reduce_picture(picture: Float[Tensor, "3 h w"]) -> Reduced:
    """Copy samples, middle and thumbnail of a picture."""
    height, width = picture.shape[1:]
    step = max(1, math.ceil(math.sqrt(height * width / _MAX_SAMPLES)))
    top, left = max(0, (height - _PATCH_PX) // 2), max(0, (width - _PATCH_PX) // 2)
    patch = picture[:, top : top + _PATCH_PX, left : left + _PATCH_PX]
    factor = min(1.0, _THUMBNAIL_PX / height, 3 * _THUMBNAIL_PX / width)
    small = _resize(picture, max(1, round(height * factor)), max(1, round(width * factor)))
    return Reduced((height, width), picture[:, ::step, ::step].clone(), patch.clone(), small)


def dark_and_white(samples: Float[Tensor, "3 h w"]) -> tuple[float, float]:
    """Return the fractions of pixels that are black in all channels, and white in one, within 2 of 255 levels."""
    is_black, is_white = (samples < _BLACK).all(dim=0), (samples > _WHITE).any(dim=0)
    return is_black.float().mean().item(), is_white.float().mean().item()


def range_stops(samples: Float[Tensor, "3 h w"]) -> float:
    """Return the stops between the 0.1st and 99.9th percentile of luminance above 0; 0 for a black picture."""
    values = luminance(samples).flatten()
    values = values[values > 0]
    if len(values) == 0:
        return 0.0
    low, high = np.quantile(values.numpy(), [0.001, 0.999])
    return math.log2(high / low)


def tone_map(linear: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
    """Map tones for a thumbnail: log-mean luminance to 0.18, highlights compressed, gamma 2.2.

    References:
        Reinhard et al., "Photographic tone reproduction for digital images", SIGGRAPH 2002, eq. 1, 2 and 4.
    """
    light = luminance(linear)
    peak = light.max().item()
    if peak == 0:
        return torch.zeros_like(linear)
    key = light.clamp_min(peak * 2.0**-20).log().mean().exp()
    scaled = 0.18 * light / key
    white = scaled.max()
    factor = 0.18 / key * (1 + scaled / white**2) / (1 + scaled)
    return (linear * factor).clamp(0, 1) ** (1 / 2.2)


def encode_thumbnail(small: Float[Tensor, "3 h w"]) -> bytes:
    """JPEG of a display-referred picture in [0, 1]."""
    levels = (small.clamp(0, 1) * 255).round().byte().flip(0).movedim(0, -1).contiguous().numpy()
    return cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


def sign_picture(small: Float[Tensor, "3 h w"], *, is_linear: bool) -> Float[Tensor, "432"]:
    """Return a perceptual hash to correlate: 12 x 12 colours in stops, or as shown, of mean 0 and length 1.

    It does not change with the scale of linear pictures, and little with the contrast of others. Of a flat picture it
    is 0.
    """
    tiny = _resize(small, _SIGNATURE_PX, _SIGNATURE_PX)
    if is_linear:
        tiny = tiny.clamp_min(max(tiny.median().item() * 2.0**-_FLOOR_STOPS, 1e-30)).log2()
    centred = tiny.flatten().double() - tiny.double().mean()
    length = centred.norm()
    return centred.float() / length if length > 1e-3 else torch.zeros(len(centred))


def find_pictures(root: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Picture files below a folder, sorted, without those that are hidden or in hidden folders."""
    return sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
        and path.is_file()
    )


def _resize(picture: Float[Tensor, "3 h w"], height: int, width: int) -> Float[Tensor, "3 hs ws"]:
    pixels = np.ascontiguousarray(picture.movedim(0, -1).float().numpy())
    resized = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(resized).movedim(-1, 0).contiguous()
