"""Multi-exposure merges as systems: they see the whole bracket, and measure highlights where others guess.

Support and query must be exposures of ONE scene, pixel on pixel, as in ``task=scene`` and ``task=bracket``. Of the
support's labels only their ratio is used, which is what a photographer knows from the shutter: the exposure of each
picture relative to the first. Everything else comes from the pictures.

The exposure of a query picture is not given either. It is measured: where the picture is well-exposed and the scene is
known, its light by the recovered response over the scene's light is one factor, and the median of it is taken. The
query then joins the bracket as one more exposure, the merge is repeated with it and placed at its exposure.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from ldr2hdr.baselines.inverse_gamma import InverseGamma
from ldr2hdr.calibration.curve import FIRST_WHITE, levels_of, look_up
from ldr2hdr.tasks import Shots

_log = logging.getLogger(__name__)

_LAST_BLACK: Final = 5
_FALLBACK_GAMMA: Final = 2.2
# Labels of one scene have one ratio at all pixels; those of different scenes differ by stops from pixel to pixel.
_MAX_SPREAD_STOPS: Final = 0.25
_MIN_STEP_STOPS: Final = 0.05
# Light below this, of sensor white, says nothing of a ratio.
_MIN_LIGHT: Final = 1e-6


class NoBracketError(ValueError):
    """Error: the support is no bracket of one scene, so that a merge does not apply to it."""


class RecoveredBracket(NamedTuple):
    """A camera's response, and the merge that it makes possible.

    Attributes:
        curve: Sensor exposure of each level, positive, never falling, 1 at level 255.
        merge: Maps pictures ``(n, 3, h, w)`` and their exposures in stops ``(n,)`` to the light of the scene
            ``(3, h, w)``, positive: sensor exposure at 0 stops.
    """

    curve: Float[Tensor, "3 256"]
    merge: Callable[[Tensor, Tensor], Tensor]


class AbstractBracketMerge(ABC):
    """A merge as a system.

    Attributes:
        needs_one_scene: Support and query must be exposures of one scene.
    """

    needs_one_scene: ClassVar[bool] = True

    @abstractmethod
    def recover(self, ldr: Float[Tensor, "k 3 h w"], evs: Float[Tensor, " k"]) -> RecoveredBracket:
        """Recover the response from exposures of one scene.

        Raises:
            ValueError: If these pictures do not show it.
        """

    def adapt(self, support: Shots | None) -> Callable[[Tensor], Tensor]:
        """Merge the support; the function returned maps pictures of the same scene to sensor exposure.

        Pictures that share too little light to show the response leave inverse gamma 2.2, with a line in the log.

        Raises:
            NoBracketError: If there is no support, or it is no bracket of one scene.
        """
        if support is None:
            raise NoBracketError(f"{type(self).__name__} merges the support, got none; give it a bracket of the scene")
        evs = measure_evs(support)
        try:
            recovered = self.recover(support.ldr, evs)
        except ValueError as error:
            _log.warning("%s leaves inverse gamma %g: %s", type(self).__name__, _FALLBACK_GAMMA, error)
            return InverseGamma(_FALLBACK_GAMMA)
        return PlacedMerge(support.ldr, evs, recovered=recovered)


class PlacedMerge:
    """The light of a scene at the exposure of whichever picture of it is shown."""

    def __init__(self, ldr: Float[Tensor, "k 3 h w"], evs: Float[Tensor, " k"], *, recovered: RecoveredBracket) -> None:
        self._ldr = ldr
        self._evs = evs
        self._curve = recovered.curve
        self._merge = recovered.merge
        self.scene: Float[Tensor, "3 h w"] = recovered.merge(ldr, evs)
        self._is_known = _is_between(levels_of(ldr)).any(dim=0)

    def __call__(self, ldr: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Sensor exposure of pictures of the scene.

        Raises:
            ValueError: If they are not of the bracket's size.
        """
        if ldr.shape[1:] != self._ldr.shape[1:]:
            raise ValueError(
                f"a merge needs query pictures of the bracket's size {tuple(self._ldr.shape[1:])}, pixel on pixel, got "
                f"{tuple(ldr.shape[1:])}; support and query must be the same crop of one scene"
            )
        return torch.stack([self._place(picture) for picture in ldr])

    def _place(self, picture: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        ev = self._measure_ev(picture, self.scene)
        scene = self._merge(torch.cat([self._ldr, picture[None]]), torch.cat([self._evs, ev[None]]))
        return scene * torch.exp2(self._measure_ev(picture, scene)).to(scene)

    def _measure_ev(self, picture: Float[Tensor, "3 h w"], scene: Float[Tensor, "3 h w"]) -> Float[Tensor, ""]:
        levels = levels_of(picture)
        stops = torch.log2(look_up(self._curve, levels) / scene)
        is_told = _is_between(levels) & self._is_known
        # a picture that is black or white throughout only says where its limit lies: all its pixels count
        return stops[is_told if bool(is_told.any()) else torch.ones_like(is_told)].median().to(self._evs)


def measure_evs(support: Shots) -> Float[Tensor, " k"]:
    """Exposure of each support picture relative to the first, in stops: the median ratio of their labels.

    Raises:
        NoBracketError: If there are less than two pictures, their labels are not one scene's up to a factor, as under
            ``task=camera``, or all have the same exposure.
    """
    if len(support) < 2:
        raise NoBracketError(f"a merge needs two exposures or more, got {len(support)}; raise task.shots")
    labels = support.exposure.flatten(1)
    is_lit = (labels > _MIN_LIGHT).all(dim=0)
    if not bool(is_lit.any()):
        raise NoBracketError("a merge needs exposures of one scene, got labels without a pixel that all of them light")
    stops = torch.log2(labels[:, is_lit] / labels[0, is_lit])
    evs = stops.median(dim=1).values
    spread = (stops - evs[:, None]).abs().median(dim=1).values.max().item()
    if spread > _MAX_SPREAD_STOPS:
        raise NoBracketError(
            f"a merge needs exposures of one scene, got labels whose ratios spread by {spread:.2f} stops from pixel to "
            "pixel, as those of different scenes do; use task=scene or task=bracket"
        )
    if (evs.max() - evs.min()).item() < _MIN_STEP_STOPS:
        raise NoBracketError(f"a merge needs different exposures, got {len(support)} within {_MIN_STEP_STOPS} stops")
    return evs


def to_opencv(levels: Int[Tensor, "n 3 h w"]) -> list[NDArray[np.uint8]]:
    """Pictures as OpenCV takes them, height by width by red, green and blue."""
    return [np.ascontiguousarray(picture) for picture in levels.movedim(1, -1).cpu().numpy().astype(np.uint8)]


def _is_between(levels: Int[Tensor, "*s"]) -> Bool[Tensor, "*s"]:
    return (levels > _LAST_BLACK) & (levels < FIRST_WHITE)
