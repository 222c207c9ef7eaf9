"""Differences between the pictures of one camera: the veil that a lens lays over them, and white balance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.cameras.ranges import parse_interval

# Widths of a lens's veil, standard deviations in parts of the longer side.
_VEILS: Final = (0.012, 0.05, 0.25)
# The veil is smooth: pictures are blurred at about this many pixels of their longer side.
_BLURRED_AT_PX: Final = 64


@dataclass(frozen=True)
class Drift:
    """Draws of glare and white balance for the pictures of one camera, at most one of each for every moment.

    Both change the light in front of the camera, so they are a part of what a camera does to it: where a task asks for
    the scene's light, as ``task=camera`` and ``task=scene`` do, the truth is without them; where it asks for light in
    the camera's own colours (``task=profile``), it is with them, and nothing changes in the response curve.

    A lens spreads its share of the light in its own widths. Of a share's logarithm one half is the lens's, and the
    other the picture's: lamps outside the frame, a finger's grease.

    Attributes:
        balance_stops: Standard deviation of the gains of red and blue about the camera's own, in stops; green is 1.
        glare: Least and largest share of the light that a lens spreads. Both 0 for none.

    Raises:
        ValueError: If the deviation is negative or not finite, or the shares are no interval in (0, 1).
    """

    balance_stops: float = 0.0
    glare: Sequence[float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        low, high = parse_interval(self.glare, "task.drift.glare")
        if high >= 1 or low < 0 or (low == 0) != (high == 0):
            raise ValueError(f"task.drift.glare must be [0, 0] or lie within (0, 1), got [{low}, {high}]")
        if not 0 <= self.balance_stops < math.inf:
            raise ValueError(f"task.drift.balance_stops must be finite and not negative, got {self.balance_stops}")

    def __call__(
        self, exposure: Float[Tensor, "n 3 h w"], generator: torch.Generator, *, num_alike: int = 1
    ) -> Float[Tensor, "n 3 h w"]:
        """Spread the light of pictures, and change their balance.

        Args:
            exposure: Sensor exposure of pictures by one camera.
            generator: Source of both; as much is drawn from it whatever is switched off.
            num_alike: The first pictures, as those of a bracket, are taken at one moment: nothing differs among them.

        Returns:
            Exposure of the same sum in each channel, but for the gains; the argument itself if there is no drift.
        """
        low, high = self.glare
        if high == 0 and self.balance_stops == 0:
            return exposure
        moments = len(exposure) - num_alike + 1
        of_picture = torch.tensor([0] * num_alike + list(range(1, moments)))
        parts = -torch.rand(3, generator=generator, dtype=torch.float64).clamp_min(1e-12).log()
        place = torch.rand(1 + moments, generator=generator, dtype=torch.float64)
        stops = self.balance_stops * torch.randn(moments, 2, generator=generator, dtype=torch.float64)
        if high > 0:
            shares = low * (high / low) ** ((place[0] + place[1:]) / 2)
            lit = (
                add_glare(picture.cpu().numpy(), share=share, parts=(parts / parts.sum()).tolist())
                for picture, share in zip(exposure, shares[of_picture].tolist(), strict=True)
            )
            exposure = torch.stack([torch.from_numpy(picture) for picture in lit]).to(exposure)
        gains = torch.stack([stops[:, 0], torch.zeros(moments), stops[:, 1]], dim=1).exp2()[of_picture]
        return exposure * gains.to(exposure)[:, :, None, None]


def add_glare(light: Float[np.ndarray, "3 h w"], *, share: float, parts: Sequence[float]) -> Float[np.ndarray, "3 h w"]:
    """Spread a share of the light by blurs of three widths, as a lens does; light beyond the border is as within.

    Args:
        light: Linear light.
        share: Of the light that is spread; its sum stays.
        parts: What each blur, from narrow to wide, has of it; of sum 1.

    References:
        ISO 9358, veiling glare of image forming systems, for the name; 0.2 to 8 % and the widths are this project's.
    """
    height, width = light.shape[1:]
    picture = np.ascontiguousarray(light.transpose(1, 2, 0))
    step = max(1, max(height, width) // _BLURRED_AT_PX)
    small = cv2.resize(picture, (width // step, height // step), interpolation=cv2.INTER_AREA)
    veil = np.zeros_like(picture)
    for part, relative in zip(parts, _VEILS, strict=True):
        blurred = cv2.GaussianBlur(small, (0, 0), relative * max(small.shape[:2]), borderType=cv2.BORDER_REFLECT)
        veil += np.float32(part) * cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(((1 - share) * picture + np.float32(share) * veil).transpose(2, 0, 1))
