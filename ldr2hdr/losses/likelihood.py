"""Loss of a reconstruction that comes with a distribution."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from ldr2hdr.losses.distance import require_non_negative, require_positive
from ldr2hdr.losses.encoded import LogL1


@runtime_checkable
class Distributed(Protocol):
    """Picture that knows a distribution of the light that was clipped."""

    def negative_log_likelihood(self, target: Tensor, *, ceiling: float) -> Tensor:
        """Return the mean over clipped channels, in nats; truth at or above the ceiling is as much as that or more."""


@dataclass(frozen=True)
class HighlightLikelihood:
    """Negative log-likelihood where channels clip, and another loss of the exposure everywhere.

    Of a picture that knows no distribution, the other loss is taken alone.

    Attributes:
        exposure: ``(prediction, target) -> scalar``.
        weight: Of the likelihood.
        ceiling_stops: Where the sources of the truth clip, in stops above sensor white; what reaches it is censored.

    Raises:
        ValueError: If the weight is negative, or the ceiling not above white.
    """

    exposure: Callable[[Tensor, Tensor], Tensor] = field(default_factory=LogL1)
    weight: float = 0.1
    ceiling_stops: float = 9.0

    def __post_init__(self) -> None:
        require_non_negative("weight", self.weight)
        require_positive("ceiling_stops", self.ceiling_stops)

    def __call__(self, pred: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """Loss of the exposure, plus the weighted likelihood in nats if there is a distribution."""
        loss = self.exposure(pred, target)
        if not isinstance(pred, Distributed):
            return loss
        return loss + self.weight * pred.negative_log_likelihood(target, ceiling=2.0**self.ceiling_stops)
