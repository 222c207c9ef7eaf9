"""The stages after the sensor: local tone mapping, response curve, quantisation, JPEG."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ldr2hdr.data.cameras.crf import AbstractCurve
from ldr2hdr.data.cameras.crf_families import AbstractCurveFamily
from ldr2hdr.data.cameras.ranges import Ranges, RangeSpec, parse_range
from ldr2hdr.data.cameras.stages import AbstractStage, AbstractStageFamily
from ldr2hdr.radiometry import luminance

_LEVELS: Final = 255
# Surroundings darker than this share one gain: with no floor, noise in the black would be lifted to grey.
_DARKEST: Final = 1e-2


@dataclass(frozen=True)
class LocalToneMapping(AbstractStage):
    """Lift pictures where their surroundings are dark.

    The gain ``g = ((blur(Y) + e) / (1 + e))**-strength >= 1`` varies smoothly over the picture. It is applied
    as ``g x / (1 + (g - 1) x)``, which is ``g x`` in the shadows and leaves 0 and 1 where they are; strength
    0 is the identity.

    Attributes:
        strength: 0 is none, 1 would lift every surrounding to white.
        radius: Standard deviation of the blur as a fraction of the longer side.
    """

    strength: float
    radius: float

    def __call__(self, picture: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Lift dark surroundings of a picture in [0, 1]."""
        sigma_px = self.radius * max(picture.shape[-2:])
        surround = _blur(luminance(picture), sigma_px)
        gain = ((surround + _DARKEST) / (1 + _DARKEST)) ** -self.strength
        gain = gain[:, None]
        return (gain * picture / (1 + (gain - 1) * picture)).clamp(0, 1)


class LocalToneMappingFamily(AbstractStageFamily):
    """Local tone mapping whose strength and radius are drawn."""

    def __init__(self, strength: RangeSpec, radius: RangeSpec, *, enabled: bool = True) -> None:
        self.strength = parse_range(strength, "local_tone_mapping.strength")
        self.radius = parse_range(radius, "local_tone_mapping.radius")
        self.enabled = enabled

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> LocalToneMapping:
        """Draw strength and radius."""
        return LocalToneMapping(
            self.strength.draw(generator, ranges=ranges), self.radius.draw(generator, ranges=ranges)
        )


@dataclass(frozen=True)
class Response(AbstractStage):
    """The camera response curve."""

    curve: AbstractCurve

    def __call__(self, picture: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Apply the curve to a picture in [0, 1]."""
        return self.curve(picture).clamp(0, 1)  # rounding may leave 1 by one unit in the last place


class ResponseFamily(AbstractStageFamily):
    """A mixture of families of curves with equal weights.

    Raises:
        ValueError: If there is no family.
    """

    def __init__(self, curves: Mapping[str, AbstractCurveFamily], *, enabled: bool = True) -> None:
        if not curves:
            raise ValueError("response.curves needs at least one family of curves, got none")
        self.curves = dict(curves)
        self.enabled = enabled

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> Response:
        """Draw a family, then a curve of it."""
        choice = torch.randint(len(self.curves), (), generator=generator, device=generator.device).item()
        return Response(list(self.curves.values())[int(choice)].sample(generator, ranges=ranges))


@dataclass(frozen=True)
class Quantise(AbstractStage):
    """Round to the nearest of the 256 levels ``k / 255``."""

    def __call__(self, picture: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Round."""
        return torch.round(picture * _LEVELS) / _LEVELS


class QuantiseFamily(AbstractStageFamily):
    """Quantisation, which has no parameter."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.enabled = enabled

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> Quantise:
        """Return the stage."""
        return Quantise()


@dataclass(frozen=True)
class Jpeg(AbstractStage):
    """Baseline JPEG by OpenCV, chroma at half resolution; not differentiable.

    Attributes:
        quality: 1 to 100.
    """

    quality: int

    def __call__(self, picture: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Compress and decompress a picture in [0, 1]."""
        levels = (picture.detach() * _LEVELS).round().clamp(0, _LEVELS).to(torch.uint8)
        bgr = levels.flip(1).permute(0, 2, 3, 1).cpu().contiguous().numpy()
        decoded = np.stack([_compress(picture_bgr, self.quality) for picture_bgr in bgr])
        rgb = torch.from_numpy(decoded).to(picture.device).permute(0, 3, 1, 2).flip(1)
        return (rgb.to(picture.dtype) / _LEVELS).contiguous()


class JpegFamily(AbstractStageFamily):
    """JPEG whose integer ``quality`` is drawn; draws above 100 give 100, as HDRCNN's law has it."""

    def __init__(self, quality: RangeSpec, *, enabled: bool = True) -> None:
        self.quality = parse_range(quality, "jpeg.quality")
        self.enabled = enabled

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> Jpeg:
        """Draw the quality."""
        return Jpeg(min(round(self.quality.draw(generator, ranges=ranges)), 100))


def _blur(field: Float[Tensor, "n h w"], sigma_px: float) -> Float[Tensor, "n h w"]:
    """Gaussian blur, its weights renormalised at the borders."""
    rows, columns = (_gaussian_matrix(size, sigma_px, like=field) for size in field.shape[-2:])
    return rows @ field @ columns.mT


def _gaussian_matrix(size: int, sigma_px: float, *, like: Tensor) -> Float[Tensor, "size size"]:
    position = torch.arange(size, dtype=like.dtype, device=like.device)
    return torch.softmax(-0.5 * ((position[:, None] - position) / sigma_px) ** 2, dim=1)


def _compress(bgr: UInt8[np.ndarray, "h w 3"], quality: int) -> UInt8[np.ndarray, "h w 3"]:
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), dtype=np.uint8)
