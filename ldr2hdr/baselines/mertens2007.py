"""Mertens et al. 2007 as a system: exposure fusion, which makes a picture of a bracket without knowing its light."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.baselines.bracket import AbstractBracketMerge, RecoveredBracket, to_opencv
from ldr2hdr.calibration.curve import NUM_LEVELS, levels_of


@dataclass(frozen=True)
class Mertens2007(AbstractBracketMerge):
    """The fused picture, linearised by a display curve.

    Fusion neither needs nor gives the light of the scene: contrasts are those of a picture for a display, so this is
    what is lost by showing a bracket instead of measuring it. OpenCV leaves the weight of the exposure at 0 by default,
    the paper has 1 for all three.

    Attributes:
        contrast: Exponent of the contrast's weight.
        saturation: Exponent of the saturation's weight.
        exposure: Exponent of the weight of being near mid-grey.
        display_gamma: Exponent that linearises the pictures, the fused one too.

    Raises:
        ValueError: If an exponent of a weight is negative or ``display_gamma`` is not positive.

    References:
        Mertens, Kautz and Van Reeth, Exposure fusion, Pacific Graphics 2007; OpenCV's ``MergeMertens``.
    """

    contrast: float = 1.0
    saturation: float = 1.0
    exposure: float = 1.0
    display_gamma: float = 2.2

    def __post_init__(self) -> None:
        if not (min(self.contrast, self.saturation, self.exposure) >= 0 and self.display_gamma > 0):
            raise ValueError(
                "exposure fusion needs contrast, saturation and exposure of 0 or more and display_gamma > 0, got "
                f"{self.contrast}, {self.saturation}, {self.exposure} and {self.display_gamma}"
            )

    def recover(self, ldr: Float[Tensor, "k 3 h w"], evs: Float[Tensor, " k"]) -> RecoveredBracket:
        """Take the display curve."""
        levels = torch.arange(NUM_LEVELS, device=ldr.device) / (NUM_LEVELS - 1)
        return RecoveredBracket(self._linearise(levels).expand(3, -1), self._merge)

    def _merge(self, ldr: Float[Tensor, "n 3 h w"], evs: Float[Tensor, " n"]) -> Float[Tensor, "3 h w"]:
        fusion = cv2.createMergeMertens(self.contrast, self.saturation, self.exposure)
        with _one_thread():
            fused = np.asarray(fusion.process(to_opencv(levels_of(ldr))), dtype=np.float32)
        return self._linearise(torch.from_numpy(fused).to(ldr).movedim(-1, 0))

    def _linearise(self, picture: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        # half a level for black, and where the pyramid swings below it
        return picture.clamp_min(0.5 / (NUM_LEVELS - 1)) ** self.display_gamma


@contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV 5.0 adds up the weights in the order in which its threads end: no two results would be the same."""
    num_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(num_threads)
