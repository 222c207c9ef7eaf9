"""Robertson et al. 1999 as a system, by OpenCV, with what its answer lacks.

Found in OpenCV 5.0, and mended here:

- Levels that no pixel shows come back as NaN; where that is level 128, which fixes the scale, the whole channel does. A
  row that shows it in one picture alone is added.
- Black and white weigh nothing, so that a pixel that is one of the two in every picture comes back as 0, a clipped
  light as black. It is given its bound: the clipping point of the darkest picture, or the black of the brightest.
- A white that JPEG or noise have moved some levels below 255 does weigh, times the squared exposure. It is made 255.
- The response follows the noise of rare levels up and down. It is replaced by the nearest one that never falls.
"""

import functools
import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from ldr2hdr.baselines.bracket import AbstractBracketMerge, RecoveredBracket, to_opencv
from ldr2hdr.baselines.response_fit import isotonic_regression
from ldr2hdr.calibration.curve import FIRST_WHITE, NUM_LEVELS, levels_of, look_up

_WHITE: Final = NUM_LEVELS - 1
_MIDDLE: Final = 128
# OpenCV's threshold on the change of the response; NaN at levels not shown keeps it from ever being met.
_THRESHOLD: Final = 0.01
# Slope over the log of the level beyond the levels seen: an inverse gamma goes on as it is.
_GAMMA_BEYOND: Final = 2.2


@dataclass(frozen=True)
class Robertson1999(AbstractBracketMerge):
    """Response and scene by turns, each the most likely given the other.

    Nothing ties one level to its neighbours, and the response starts as a line: what the bracket leaves open, such as
    waves that repeat from one exposure to the next, stays as it began. On a noiseless synthetic scene that is an error
    of 0.03 stops for exposures 1 stop apart, and of 0.25 stops for exposures 2 stops apart.

    Attributes:
        max_iterations: Turns.

    Raises:
        ValueError: If ``max_iterations`` is not positive.

    References:
        Robertson, Borman and Stevenson, Dynamic range improvement through multiple exposures, ICIP 1999; OpenCV's
        ``CalibrateRobertson`` and ``MergeRobertson``.
    """

    max_iterations: int = 30

    def __post_init__(self) -> None:
        if self.max_iterations < 1:
            raise ValueError(f"max_iterations must be positive, got {self.max_iterations}")

    def recover(self, ldr: Float[Tensor, "k 3 h w"], evs: Float[Tensor, " k"]) -> RecoveredBracket:
        """Calibrate the response.

        Raises:
            ValueError: If in a channel no pixel is between black and white in two pictures.
        """
        levels = _find_levels(ldr)
        is_shared = ((levels > 0) & (levels < _WHITE)).sum(dim=0) >= 2
        for name, shared in zip(("red", "green", "blue"), is_shared, strict=True):
            if not bool(shared.any()):
                raise ValueError(
                    f"response recovery needs pixels between black and white in two exposures, got none in {name} for "
                    f"evs {evs.tolist()}; take exposures that are closer together, or nearer to the metered one"
                )
        calibration = cv2.createCalibrateRobertson(self.max_iterations, _THRESHOLD)
        response = torch.from_numpy(calibration.process(to_opencv(_show_middle(levels)), _times(evs)))
        curve = _complete(response[:, 0].T.double(), levels.movedim(1, 0).flatten(1).cpu())
        return RecoveredBracket(curve.to(ldr), functools.partial(_merge, curve=curve))


def _merge(
    ldr: Float[Tensor, "n 3 h w"], evs: Float[Tensor, " n"], *, curve: Float[Tensor, "3 256"]
) -> Float[Tensor, "3 h w"]:
    levels = _find_levels(ldr)
    response = np.ascontiguousarray(curve.T[:, None].float().numpy())
    merged = cv2.createMergeRobertson().process(to_opencv(levels), _times(evs), response)
    scene = torch.from_numpy(np.asarray(merged, dtype=np.float32)).to(ldr).movedim(-1, 0)
    is_weighed = ((levels > 0) & (levels < _WHITE)).any(dim=0)
    return torch.where(is_weighed, scene, _bound(levels, evs, curve.to(ldr)))


def _bound(
    levels: Int[Tensor, "n 3 h w"], evs: Float[Tensor, " n"], curve: Float[Tensor, "3 256"]
) -> Float[Tensor, "3 h w"]:
    """Light of pixels that are black or white everywhere: white bounds it from below, black from above."""
    log_light = look_up(curve, levels).log() - evs.to(curve)[:, None, None, None] * math.log(2)
    lowest = log_light.where(levels == _WHITE, -torch.inf).amax(dim=0)
    highest = log_light.where(levels == 0, torch.inf).amin(dim=0)
    bound = torch.where(highest.isinf(), lowest, torch.where(lowest.isinf(), highest, (lowest + highest) / 2))
    return bound.exp()


def _find_levels(ldr: Float[Tensor, "n 3 h w"]) -> Int[Tensor, "n 3 h w"]:
    levels = levels_of(ldr)
    return torch.where(levels >= FIRST_WHITE, _WHITE, levels)


def _times(evs: Float[Tensor, " n"]) -> NDArray[np.float32]:
    """Exposure times, made anew for each call: OpenCV has been known to change them."""
    return torch.exp2(evs).float().cpu().numpy()


def _show_middle(levels: Int[Tensor, "n 3 h w"]) -> Int[Tensor, "n 3 h+1 w"]:
    """Add a row that has level 128 in the first picture, and in the others black, which weighs nothing."""
    padded = F.pad(levels, (0, 0, 0, 1))
    padded[0, :, -1] = _MIDDLE
    return padded


def _complete(response: Float[Tensor, "3 256"], levels: Int[Tensor, "3 n"]) -> Float[Tensor, "3 256"]:
    """Sensor exposure of all levels, never falling, 1 at white, from the response at those that were shown."""
    position = torch.arange(_WHITE + 1).clamp_min(1).double().log()
    position[0] = math.log(0.5)
    curves = []
    for channel, shown in zip(response, levels, strict=True):
        count = shown.bincount(minlength=_WHITE + 1).double()
        is_seen = (count > 0) & (channel > 0) & channel.isfinite()
        is_seen[[0, _WHITE]] = False
        seen, log_exposure = position[is_seen], isotonic_regression(channel[is_seen].log(), count[is_seen])
        curve = torch.from_numpy(np.interp(position.numpy(), seen.numpy(), log_exposure.numpy()))
        beyond = (position - seen[-1]).clamp_min(0) + (position - seen[0]).clamp_max(0)
        curve = curve + _GAMMA_BEYOND * beyond
        curves.append((curve - curve[-1]).exp())
    return torch.stack(curves)
