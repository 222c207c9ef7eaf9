"""Distance that the losses share, and checks of their parameters."""

import math

from torch import Tensor


def distance(error: Tensor, charbonnier: float) -> Tensor:
    """Return the absolute value, rounded off within ``charbonnier`` of 0; 0 at 0."""
    if charbonnier == 0:
        return error.abs()
    # e^2 / (sqrt(e^2 + c^2) + c) is sqrt(e^2 + c^2) - c without its cancellation
    return error.square() / ((error.square() + charbonnier**2).sqrt() + charbonnier)


def require_positive(name: str, value: float) -> None:
    """Raise a ValueError that names the parameter unless it is positive and finite."""
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} must be positive, got {value}")


def require_non_negative(name: str, value: float) -> None:
    """Raise a ValueError that names the parameter unless it is finite and not negative."""
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{name} must not be negative, got {value}")
