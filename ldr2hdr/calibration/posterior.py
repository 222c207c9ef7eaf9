"""Log inverse response of a camera as a Gaussian: what data say is information, which adds up over brackets.

With ``g`` the natural logarithm of exposure by level, 0 at level 250, the unknown is ``g`` at the prior's knots, one
channel after the other. Data give a precision and an information vector, from any number of brackets by summing;
with the prior they give the posterior by one linear solve.
"""

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ldr2hdr.calibration.curve import MAX_LEVEL
from ldr2hdr.calibration.prior import CurvePrior, JointGaussian, hat_basis

SCENE_DEVIATION: Final = 1.0
"""How far the curve that a scene shows is from its camera's, as a part of how far cameras are from the prior's mean.

Cameras map tones by scene. Of real stacks, the first two principal coefficients differ by .53 and .45 prior deviations
between scenes of one camera, by .72 and .70 between cameras (37 stacks by 22 cameras and hands)."""
# Prior deviations beyond which a departure is the camera's: scenes of one camera do not differ by so much
_LARGEST_OF_SCENES: Final = 2.0
# Directions in which the prior does not vary at all, by variance relative to the largest
_NO_VARIANCE: Final = 1e-10


class CurveInformation(NamedTuple):
    """Gaussian likelihood of the curve at the knots, ``exp(-x precision x / 2 + information x)``.

    Attributes:
        precision: By knot, one channel after the other.
        information: Precision times the estimate.
    """

    precision: Float[Tensor, "m m"]
    information: Float[Tensor, " m"]


class CurvePosterior(NamedTuple):
    """Log inverse response by level.

    Attributes:
        log_curve: Natural logarithm of exposure, never falling, 0 at level 250.
        deviation: Standard deviation, of the curve before it was made to rise.
    """

    log_curve: Float[Tensor, "256 3"]
    deviation: Float[Tensor, "256 3"]


def pool(parts: Iterable[CurveInformation]) -> CurveInformation:
    """Return what several brackets of one camera say together.

    Raises:
        ValueError: If there is none.
    """
    precisions, informations = zip(*parts, strict=True)
    return CurveInformation(torch.stack(precisions).sum(0), torch.stack(informations).sum(0))


def of_camera(scenes: Iterable[CurveInformation], prior: CurvePrior) -> list[CurveInformation]:
    """Return what each scene tells of its camera's curve, which the scene's own differs from.

    The scene's deviation has mean 0 and the prior's law times `SCENE_DEVIATION`, less along principal directions in
    which the scene is farther from the prior's mean than scenes go. However much a scene tells of its own curve, the
    camera stays unsure by that: scenes are pooled as equals, and one of them alone is not overrated.
    """
    joint = prior.joint()
    values, vectors = torch.linalg.eigh(joint.covariance)
    varies = values > _NO_VARIANCE * values[-1]
    root = vectors[:, varies] * values[varies].sqrt()
    return [_of_camera(scene, joint, root) for scene in scenes]


def _of_camera(scene: CurveInformation, joint: JointGaussian, root: Float[Tensor, "m p"]) -> CurveInformation:
    surprise = root.T @ (scene.information - scene.precision @ joint.mean)
    of_scene = torch.linalg.solve(_identity(root.T @ root) + root.T @ scene.precision @ root, surprise)
    variance = (SCENE_DEVIATION * _LARGEST_OF_SCENES / of_scene.abs().clamp_min(_LARGEST_OF_SCENES)) ** 2
    spread = _identity(joint.covariance) + scene.precision @ (root * variance) @ root.T
    told = torch.linalg.solve(spread, torch.column_stack([scene.precision, scene.information]))
    return CurveInformation(told[:, :-1], told[:, -1])


def posterior_mean(information: CurveInformation, prior: CurvePrior) -> Float[Tensor, "256 3"]:
    """Return the curve that prior and brackets give, 0 at level 250."""
    theta = conditional_mean(prior.joint(), information)
    curve = rising(theta, prior.knots)
    return curve - curve[MAX_LEVEL]


def condition(joint: JointGaussian, information: CurveInformation) -> JointGaussian:
    """Return the law that a prior becomes by data."""
    identity = _identity(joint.covariance)
    covariance = torch.linalg.solve(identity + joint.covariance @ information.precision, joint.covariance)
    return JointGaussian(conditional_mean(joint, information), covariance)


def conditional_mean(joint: JointGaussian, information: CurveInformation) -> Float[Tensor, " m"]:
    """Return the mean that a prior has by data, NaN if it cannot be solved for.

    The covariance is not inverted, for it may be singular.
    """
    identity = _identity(joint.covariance)
    surprise = joint.covariance @ (information.information - information.precision @ joint.mean)
    solution, failed = torch.linalg.solve_ex(identity + joint.covariance @ information.precision, surprise)
    return joint.mean + torch.where(failed == 0, solution, math.nan)


def by_level(joint: JointGaussian, knots: Int[Tensor, " j"]) -> CurvePosterior:
    """Return a law of the curve at the knots as one at the levels."""
    to_levels, num = hat_basis(knots), len(knots)
    blocks = torch.stack([joint.covariance[at : at + num, at : at + num] for at in (0, num, 2 * num)])
    variance = torch.einsum("lj,cjk,lk->lc", to_levels, blocks, to_levels)
    return CurvePosterior(rising(joint.mean, knots), variance.clamp_min(0).sqrt())


def rising(theta: Float[Tensor, " m"], knots: Int[Tensor, " j"]) -> Float[Tensor, "256 3"]:
    """Return the curve by level of one at the knots, its running maximum where it falls."""
    curve = hat_basis(knots) @ theta.view(3, -1).T
    if curve.device.type == "cpu" or not torch.is_grad_enabled():
        return curve.cummax(dim=0).values
    # as a product, since the derivative of a running maximum adds up in no fixed order on a GPU
    is_largest = curve.detach().cummax(dim=0).indices[..., None] == torch.arange(len(curve), device=curve.device)
    return torch.einsum("lck,kc->lc", is_largest.to(curve.dtype), curve)


def _identity(like: Float[Tensor, "m m"]) -> Float[Tensor, "m m"]:
    return torch.eye(len(like), dtype=like.dtype, device=like.device)
