"""Response stage that starts from the curves of real cameras: a Gaussian prior, and what a support says."""

import functools
import math
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ldr2hdr.calibration.curve import MAX_LEVEL, NUM_LEVELS, levels_of
from ldr2hdr.calibration.information import labelled_information
from ldr2hdr.calibration.posterior import (
    CurveInformation,
    CurvePosterior,
    by_level,
    condition,
    conditional_mean,
    rising,
)
from ldr2hdr.calibration.prior import CHANNEL_DEVIATION, CurvePrior, JointGaussian, read_curve_prior, read_factors
from ldr2hdr.response.base import AbstractPointwiseResponse
from ldr2hdr.tasks import WHOLE, Shots, Window

# Light below this is not known, whatever a label says
_LEAST_EXPOSURE: Final = 2.0**-13
_DIGITS: Final = math.isqrt(NUM_LEVELS)


class PriorResponse(AbstractPointwiseResponse[CurveInformation, Float[Tensor, "256 3"]]):
    r"""Log inverse curve by the posterior of a Gaussian prior that real cameras taught, and that training moves on.

    The unknown is the natural logarithm of exposure at the knots of the shipped prior, one channel after the other,

    .. math:: \theta \sim N\bigl(1 \otimes (m - m_{255}),\;
              (1 1^T + \tau^2 I) \otimes (C C^T + R) + \gamma^2 I \otimes 1 1^T\bigr)

    where the curve is taken relative to level 255, which stands for exposure 1, the sensor's white. A channel's height
    may differ from that by a gain, of deviation :math:`\gamma`: labels that are the light before a camera's gains show
    it. The statistics are what `labelled_information` makes of labelled pixels; those of brackets, see
    `bracket_information`, are blind to the height, which then is 1 at white exactly. Both are multiplied by a
    learned evidence. Mean, components, tau, gamma and evidence are parameters, which the outer loop trains through the
    solve, in double precision. Without support the curve is the prior's mean.

    Args:
        tau: Start of a channel's deviation from the common curve, in units of the cameras' spread.
        gain_deviation: Start of gamma, in nats.
        evidence: Start of what the support counts, relative to what calibration gives it.
        is_fixed: Whether all of these stay what real cameras taught, whatever else is trained.

    Raises:
        ValueError: If an argument is not positive.
    """

    def __init__(
        self,
        tau: float = CHANNEL_DEVIATION,
        gain_deviation: float = 0.2,
        evidence: float = 1.0,
        *,
        is_fixed: bool = False,
    ) -> None:
        super().__init__()
        if min(tau, gain_deviation, evidence) <= 0:
            raise ValueError(
                "response.tau, response.gain_deviation and response.evidence must be positive, "
                f"got {tau}, {gain_deviation} and {evidence}"
            )
        factors = read_factors()
        dtype = torch.get_default_dtype()
        self.mean = nn.Parameter(factors.mean.to(dtype))
        self.components = nn.Parameter(factors.components.to(dtype))
        self.log_tau = nn.Parameter(torch.tensor(math.log(tau)))
        self.log_gain_deviation = nn.Parameter(torch.tensor(math.log(gain_deviation)))
        self.log_evidence = nn.Parameter(torch.tensor(math.log(evidence)))
        self.requires_grad_(not is_fixed)
        self.register_buffer("knots", factors.knots, persistent=False)
        self.register_buffer("residual", factors.residual, persistent=False)
        self.knots: Tensor
        self.residual: Tensor

    @torch.no_grad()
    def sufficient_statistics(self, support: Shots) -> CurveInformation:
        """Reduce the support to what its pixels between black and white say about the curve.

        Args:
            support: K examples ``(K, 3, H, W)``; exposure 1 is white.
        """
        log_exposure = support.exposure.clamp_min(_LEAST_EXPOSURE).log()
        return labelled_information(
            levels_of(support.ldr).flatten(2), log_exposure.flatten(2), _shipped(support.ldr.device)
        )

    def weights(self, statistics: CurveInformation | None) -> Float[Tensor, "256 3"]:
        """Return the logarithm of exposure by level, never falling: the posterior's mean, or the prior's."""
        joint = self._joint()
        theta = joint.mean if statistics is None else conditional_mean(joint, self._weighted(statistics))
        return rising(theta, self.knots)

    def posterior(self, statistics: CurveInformation | None) -> CurvePosterior:
        """Return what ``weights`` returns with its deviation, and relative to level 250 as `CurvePosterior` has it."""
        joint = self._joint()
        found = joint if statistics is None else condition(joint, self._weighted(statistics))
        return by_level(_relative(found, self.knots == MAX_LEVEL), self.knots)

    def linearize(
        self,
        part: Float[Tensor, "b 3 h w"],
        weights: Float[Tensor, "256 3"],
        *,
        global_statistics: None = None,
        window: Window = WHOLE,
    ) -> Float[Tensor, "b 3 h w"]:
        """Linearise by the curve, straight between levels; white becomes the curve's end."""
        table = weights.exp().to(part.dtype).T
        position = part.transpose(0, 1).flatten(1) * (NUM_LEVELS - 1)
        below = position.detach().long().clamp(0, NUM_LEVELS - 2)
        linear = torch.lerp(_look_up(table, below), _look_up(table, below + 1), position - below)
        return linear.view(3, part.shape[0], *part.shape[2:]).transpose(0, 1)

    def _weighted(self, statistics: CurveInformation) -> CurveInformation:
        evidence = self.log_evidence.double().exp()
        return CurveInformation(statistics.precision.double() * evidence, statistics.information.double() * evidence)

    def _joint(self) -> JointGaussian:
        """The prior of log exposure, in double precision: the solve needs it."""
        components = self.components.double()
        covariance = components @ components.T + self.residual.double()
        curves = CurvePrior(self.knots, self.mean.double(), covariance, self.log_tau.double().exp()).joint()
        mean, covariance = _relative(curves, self.knots == NUM_LEVELS - 1)
        gains = _in_each_channel(torch.ones_like(curves.covariance[: len(self.knots), : len(self.knots)]))
        return JointGaussian(mean, covariance + (2 * self.log_gain_deviation.double()).exp() * gains)


@functools.cache
def _shipped(device: torch.device) -> CurvePrior:
    """The prior that ships, brought to a device once: a CUDA graph reads nothing from the CPU."""
    return CurvePrior(*(tensor.to(device) for tensor in read_curve_prior()))


def _look_up(table: Float[Tensor, "3 256"], level: Int[Tensor, "3 n"]) -> Float[Tensor, "3 n"]:
    """Look levels up.

    The derivative of a look-up adds up in no fixed order on a GPU. There, where one is wanted, it is a product with
    ones and zeros instead: of two digits, 32 a pixel and not 256.
    """
    if table.device.type == "cpu" or not torch.is_grad_enabled():
        return table.gather(1, level)
    digits = torch.arange(_DIGITS, device=table.device)
    first, second = ((part[..., None] == digits).to(table.dtype) for part in (level // _DIGITS, level % _DIGITS))
    return (first @ table.view(3, _DIGITS, _DIGITS) * second).sum(dim=-1)


def _relative(joint: JointGaussian, is_zero: Tensor) -> JointGaussian:
    """The law of curves less their own height at one knot."""
    identity = torch.eye(len(is_zero), dtype=joint.mean.dtype, device=joint.mean.device)
    less = _in_each_channel(identity - is_zero.to(identity.dtype))
    return JointGaussian(less @ joint.mean, less @ joint.covariance @ less.T)


def _in_each_channel(matrix: Tensor) -> Tensor:
    return torch.kron(torch.eye(3, dtype=matrix.dtype, device=matrix.device), matrix)
