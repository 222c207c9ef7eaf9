"""Responses of the virtual cameras, and what a response stage believes of them: log2 exposure, 0 at level 250."""

import math
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float

from ldr2hdr.calibration.curve import MAX_LEVEL, NUM_LEVELS
from ldr2hdr.calibration.prior import hat_basis, read_curve_prior, read_dorf, read_prior

Belief: TypeAlias = Literal["fitted", "charts", "dorf", "prior", "true"]
"""``fitted``: nearly right, as by a profile; ``charts``: the shipped prior's mean; ``dorf``: DoRF's mean; ``prior``: a
draw between both; ``true``: the camera's own curve."""
# How far cameras go from DoRF's curves to the chart cameras': mean and deviation, 1 is all of the way; least
_BEND: Final = (1.0, 0.5)
_LEAST_BEND: Final = -0.3
_CHANNEL_DEVIATION: Final = 0.06
_LEAST_RISE: Final = 1e-4


class Curves(NamedTuple):
    """What curves are drawn from, log2.

    Attributes:
        train: DoRF's curves that the prior was learned from.
        held_out: The others.
        mean: Of DoRF's curves.
        bend: What takes that to the mean of the cameras that photographed a chart.
        directions: The two in which curves differ most, times the deviation along each.
    """

    train: Float[np.ndarray, "n 256"]
    held_out: Float[np.ndarray, "m 256"]
    mean: Float[np.ndarray, "256"]
    bend: Float[np.ndarray, "256"]
    directions: Float[np.ndarray, "2 256"]


def read_curves(dorf: Path) -> Curves:
    """Read the DoRF database, see `ldr2hdr.calibration.prior.read_dorf`, and the priors that ship."""
    found, prior, charts = read_dorf(dorf), read_prior(), read_curve_prior()
    own = found.log_exposure / math.log(2)
    mean = prior.mean.numpy() / math.log(2)
    of_charts = (hat_basis(charts.knots) @ charts.mean).numpy() / math.log(2)
    directions = (prior.deviations[:2, None] * prior.components[:2]).numpy() / math.log(2)
    return Curves(own[~found.is_held_out], own[found.is_held_out], mean, of_charts - mean, directions)


def draw_camera(curves: Curves, generator: np.random.Generator, *, is_held_out: bool) -> Float[np.ndarray, "3 256"]:
    """Draw a camera: a curve of the database, bent toward those of chart cameras, its channels a little apart."""
    pool = curves.held_out if is_held_out else curves.train
    curve = pool[generator.integers(len(pool))] + max(generator.normal(*_BEND), _LEAST_BEND) * curves.bend
    return _rising(curve + generator.normal(0, _CHANNEL_DEVIATION, (3, 2)) @ curves.directions)


def draw_belief(
    camera: Float[np.ndarray, "3 256"], curves: Curves, generator: np.random.Generator, *, kind: Belief
) -> Float[np.ndarray, "3 256"]:
    """Draw what a response stage takes a camera's curve for."""
    if kind == "true":
        return camera
    if kind == "fitted":
        error = generator.normal(0, abs(generator.normal(0, 0.3)), 2) @ curves.directions
        error = error + generator.normal(0, 0.35) * curves.bend
        return _rising(camera + error + generator.normal(0, 0.05, (3, 2)) @ curves.directions)
    if kind == "prior":
        error = generator.normal(0, 0.7) * curves.directions[0] + generator.uniform(0, 1.4) * curves.bend
    else:
        error = float(kind == "charts") * curves.bend
    return _rising(np.tile(curves.mean + error, (3, 1)))


def _rising(curve: Float[np.ndarray, "3 256"]) -> Float[np.ndarray, "3 256"]:
    """Make curves rise at every level, 0 at level 250."""
    curve = np.maximum.accumulate(curve - curve[:, MAX_LEVEL, None], axis=1) + _LEAST_RISE * np.arange(NUM_LEVELS)
    return curve - curve[:, MAX_LEVEL, None]
