"""Schedules of the outer learning rate: its factor as a function of the step alone, so that a run can be extended."""

import math


def cosine_decay(step: int, *, num_steps: int) -> float:
    """Half a cosine from 1 to 0, and 0 from then on.

    References:
        Loshchilov and Hutter, "SGDR", ICLR 2017, eq. 5, without restarts.

    Example:
        >>> [round(cosine_decay(step, num_steps=100), 3) for step in (0, 50, 100, 200)]
        [1.0, 0.5, 0.0, 0.0]
    """
    return 0.5 * (1 + math.cos(math.pi * min(step / num_steps, 1.0)))


def constant(step: int) -> float:
    """Always 1."""
    return 1.0
