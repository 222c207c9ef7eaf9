"""Fits that the local response stage weighs against each other on a support."""

from typing import Final, NamedTuple


class Prior(NamedTuple):
    """Strengths of a candidate's priors, relative to the learned ones.

    Attributes:
        curve: On the height of the curve.
        bend: On its second difference; a large one leaves gain and gamma free.
        local: On the local weights; a large one leaves them at 0.
        is_display_gamma: Whether the prior curve is the one that displays are made for, not the learned one.
    """

    curve: float = 1.0
    bend: float = 1.0
    local: float = 1.0
    is_display_gamma: bool = False


_RIGID: Final = 1e3  # more, and single precision loses the curve
FIXED: Final = 1e9
"""So strong a prior that nothing moves from it."""
CANDIDATES: Final = (
    Prior(),
    Prior(local=0.1),
    Prior(local=0.01),
    Prior(local=FIXED),
    Prior(bend=_RIGID, local=FIXED),
    Prior(curve=FIXED, local=FIXED),
    Prior(curve=FIXED, local=FIXED, is_display_gamma=True),
)
