"""Debevec and Malik 1997 as a system; the recovery and the merge are given to it."""

import functools
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from ldr2hdr.baselines.bracket import AbstractBracketMerge, RecoveredBracket


@runtime_checkable
class InverseResponse(Protocol):
    """What the recovery gives: the logarithm of sensor exposure for each level, 0 at level 255."""

    @property
    def log_exposure(self) -> Float[Tensor, "3 256"]:
        """Natural logarithm."""


@runtime_checkable
class MergedExposure(Protocol):
    """What the merge gives: sensor exposure at 0 stops."""

    @property
    def exposure(self) -> Float[Tensor, "3 h w"]:
        """The light of the scene."""


@runtime_checkable
class RecoverResponse(Protocol):
    """Pictures of one scene and their exposures in stops to the inverse response."""

    def __call__(self, ldr: Tensor, evs: Tensor) -> InverseResponse:
        """Recover it."""


@runtime_checkable
class MergeExposures(Protocol):
    """Pictures, their exposures and the inverse response to the light of the scene."""

    def __call__(self, ldr: Tensor, evs: Tensor, *, response: InverseResponse) -> MergedExposure:
        """Merge them."""


@dataclass(frozen=True)
class DebevecMalik1997(AbstractBracketMerge):
    """The classical recovery and merge of a bracket.

    Attributes:
        recover_response: ``ldr2hdr.calibration.merge.recover_response_DebevecMalik1997``, or what is called like it.
        merge_exposures: ``ldr2hdr.calibration.merge.merge_DebevecMalik1997``, or what is called like it.

    References:
        Debevec and Malik, SIGGRAPH 1997.
    """

    recover_response: RecoverResponse
    merge_exposures: MergeExposures

    def recover(self, ldr: Float[Tensor, "k 3 h w"], evs: Float[Tensor, " k"]) -> RecoveredBracket:
        """Solve for the response."""
        response = self.recover_response(ldr, evs)
        return RecoveredBracket(response.log_exposure.exp(), functools.partial(self._merge, response=response))

    def _merge(
        self, ldr: Float[Tensor, "n 3 h w"], evs: Float[Tensor, " n"], *, response: InverseResponse
    ) -> Float[Tensor, "3 h w"]:
        return self.merge_exposures(ldr, evs, response=response).exposure
