"""Debevec and Malik 1997 as a system."""

import functools
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ldr2hdr.baselines.bracket import AbstractBracketMerge, RecoveredBracket
from ldr2hdr.calibration.merge import InverseResponse, merge_DebevecMalik1997, recover_response_DebevecMalik1997


@dataclass(frozen=True)
class DebevecMalik1997(AbstractBracketMerge):
    """The classical recovery and merge of a bracket.

    Attributes:
        smoothness: Lambda of eq. 3 per sample, for weights with a peak of 1.
        samples_per_level: Pixels chosen for each level of each picture.

    References:
        Debevec and Malik, SIGGRAPH 1997.
    """

    smoothness: float = 3.0
    samples_per_level: int = 16

    def recover(self, ldr: Float[Tensor, "k 3 h w"], evs: Float[Tensor, " k"]) -> RecoveredBracket:
        """Solve for the response."""
        response = recover_response_DebevecMalik1997(
            ldr, evs, smoothness=self.smoothness, samples_per_level=self.samples_per_level
        )
        return RecoveredBracket(response.log_exposure.exp(), functools.partial(_merge, response=response))


def _merge(
    ldr: Float[Tensor, "n 3 h w"], evs: Float[Tensor, " n"], *, response: InverseResponse
) -> Float[Tensor, "3 h w"]:
    return merge_DebevecMalik1997(ldr, evs, response=response).exposure
