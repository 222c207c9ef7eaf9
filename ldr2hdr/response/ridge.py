"""Response stage of a smooth curve per channel from LDR level to exposure, solved in closed form on the support."""

import math
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.radiometry import LOG_OFFSET
from ldr2hdr.response.base import AbstractPointwiseResponse
from ldr2hdr.response.features import WHITE_LEVEL, hats, interpolate, level_to_tone, tone_to_level
from ldr2hdr.tasks import WHOLE, Shots, Window

# Pixels whose basis is in memory at once; on a CPU, as many as its cache has room for
_CHUNK: Final = 1 << 16
_CHUNK_ON_CPU: Final = 1 << 12


class InverseGammaResponse(AbstractPointwiseResponse[None, None]):
    """One fixed display gamma for every camera, in place of a response stage (``response=none``).

    Args:
        gamma: Exponent of the linearisation; 2.2 by convention.
    """

    def __init__(self, gamma: float = 2.2) -> None:
        super().__init__()
        if gamma <= 0:
            raise ValueError(f"response.gamma must be positive, got {gamma}")
        self.gamma = gamma

    def sufficient_statistics(self, support: Shots) -> None:
        """Return None: there is nothing to learn."""

    def weights(self, statistics: None) -> None:
        """Return None: there is nothing to solve."""

    def linearize(
        self,
        part: Float[Tensor, "b 3 h w"],
        weights: None,
        *,
        global_statistics: None = None,
        window: Window = WHOLE,
    ) -> Float[Tensor, "b 3 h w"]:
        """Linearise by ``part ** gamma``."""
        return part.pow(self.gamma)


class NormalEquations(NamedTuple):
    """Normal equations of the fit of a curve.

    Attributes:
        value: Per channel ``[A | b]``: the moments of the basis functions, and their products with log exposure. The
            name is that of the tensor in camera profiles.
    """

    value: Float[Tensor, "3 j j_plus_1"]


class RidgeResponse(AbstractPointwiseResponse[NormalEquations, Float[Tensor, "3 j"]]):
    r"""Per-channel curve, fitted to the support by ridge regression toward a meta-learned prior curve.

    With hat functions :math:`\phi` on ``num_knots`` LDR levels, the log exposure of level ``v`` is
    :math:`\phi(v) \cdot w`, and per channel

    .. math:: w = \arg\min_w \; \tfrac1N \sum_i (\phi(v_i) \cdot w - \log(x_i + \epsilon))^2
              + \lambda_p \|w - w_p\|^2 + \lambda_s \|D_2 (w - w_p)\|^2

    over the support pixels, :math:`D_2` the second difference. The knots are equally spaced in the logarithm of the
    level, where cameras differ by nearly straight lines: a gain shifts log exposure, a gamma tilts it. White stands
    for all light above it, so it has a weight of its own, added to the end of the curve. The minimum is a linear
    solve, so the outer loop differentiates through it and learns the prior :math:`w_p` and the strengths. With no
    support the curve is the prior.

    Args:
        num_knots: Number of LDR levels that carry the curve.
        gamma: The prior starts at this display gamma.
        prior_weight: Start of :math:`\lambda_p`.
        smoothness_weight: Start of :math:`\lambda_s`.
        white_stops: Start of the prior for white: how far above the end of the curve, in stops.

    Raises:
        ValueError: If an argument is out of range.

    References:
        Debevec and Malik, SIGGRAPH 1997, eq. 3: log exposure as a function of level with a smoothness term.
        Bertinetto et al., "Meta-learning with differentiable closed-form solvers", ICLR 2019, sec. 3.2.
    """

    def __init__(
        self,
        num_knots: int = 24,
        gamma: float = 2.2,
        prior_weight: float = 1e-6,
        smoothness_weight: float = 1e-3,
        white_stops: float = 0.5,
    ) -> None:
        super().__init__()
        if min(prior_weight, smoothness_weight) <= 0:
            raise ValueError(
                "response.prior_weight and response.smoothness_weight must be positive, "
                f"got {prior_weight} and {smoothness_weight}"
            )
        self.num_knots = num_knots
        white = torch.tensor([white_stops * math.log(2)])
        curve = inverse_gamma_curve(num_knots, gamma)
        self.prior = nn.Parameter(torch.cat([curve, white]).expand(3, -1).clone())
        self.log_prior_weight = nn.Parameter(torch.tensor(math.log(prior_weight)))
        self.log_smoothness_weight = nn.Parameter(torch.tensor(math.log(smoothness_weight)))
        self.register_buffer("roughness", F.pad(knot_roughness(num_knots), (0, 1, 0, 1)), persistent=False)
        self.roughness: Tensor

    @torch.no_grad()
    def sufficient_statistics(self, support: Shots) -> NormalEquations:
        """Reduce the support to the normal equations of the fit.

        Args:
            support: K examples ``(K, 3, H, W)``.
        """
        levels = support.ldr.transpose(0, 1).flatten(1)
        log_exposure = torch.log(support.exposure.transpose(0, 1).flatten(1) + LOG_OFFSET)
        moments, size = [], _CHUNK_ON_CPU if levels.device.type == "cpu" else _CHUNK
        for level, target in zip(*(torch.split(part, size, dim=1) for part in (levels, log_exposure)), strict=True):
            basis = self._basis(level)
            moments.append(basis.mT @ torch.cat([basis, target[..., None]], dim=2))
        return NormalEquations(torch.stack(moments).sum(dim=0) / levels.shape[1])

    def weights(self, statistics: NormalEquations | None) -> Float[Tensor, "3 j"]:
        """Return log exposure at the knots, and white's height above the last: the fit, or the prior."""
        if statistics is None:
            return self.prior
        identity = torch.eye(self.num_knots + 1, dtype=self.prior.dtype, device=self.prior.device)
        penalty = self.log_prior_weight.exp() * identity + self.log_smoothness_weight.exp() * self.roughness
        matrix, moments = statistics.value[..., :-1], statistics.value[..., -1]
        return solve(matrix + penalty, moments + self.prior @ penalty)

    def linearize(
        self,
        part: Float[Tensor, "b 3 h w"],
        weights: Float[Tensor, "3 j"],
        *,
        global_statistics: None = None,
        window: Window = WHOLE,
    ) -> Float[Tensor, "b 3 h w"]:
        """Linearise by the curve; white becomes what light above the sensor's white is on average."""
        levels = part.transpose(0, 1).flatten(1)
        curve = interpolate(level_to_tone(levels), weights[:, :-1])
        log_exposure = curve + (levels >= WHITE_LEVEL) * weights[:, -1:]
        linear = F.relu(log_exposure.exp() - LOG_OFFSET)
        return linear.view(3, part.shape[0], *part.shape[2:]).transpose(0, 1)

    def _basis(self, levels: Float[Tensor, "3 n"]) -> Float[Tensor, "3 n j_plus_1"]:
        """Compute what each level has of each knot, and whether it is white."""
        knots = hats(level_to_tone(levels) * (self.num_knots - 1), self.num_knots)
        return torch.cat([knots, (levels >= WHITE_LEVEL)[..., None].to(levels.dtype)], dim=2)


def inverse_gamma_curve(num_knots: int, gamma: float) -> Float[Tensor, " j"]:
    """Compute log exposure of a display gamma at knots equally spaced in tone.

    Raises:
        ValueError: If there are fewer than three knots or gamma is not positive.
    """
    if num_knots < 3 or gamma <= 0:
        raise ValueError(
            f"response.num_knots must be at least 3 and response.gamma positive, got {num_knots} and {gamma}"
        )
    return torch.log(tone_to_level(torch.linspace(0, 1, num_knots)).clamp_min(0).pow(gamma) + LOG_OFFSET)


def knot_roughness(num_knots: int) -> Float[Tensor, "j j"]:
    """Build the quadratic form of the squared second difference."""
    second_difference = torch.diff(torch.eye(num_knots), n=2, dim=0)
    return second_difference.T @ second_difference


def solve(matrix: Float[Tensor, "*b n n"], right_hand_side: Float[Tensor, "*b n"]) -> Float[Tensor, "*b n"]:
    """Solve linear systems; a matrix that diverged gives NaN, which the guards see, instead of an exception."""
    solution, info = torch.linalg.solve_ex(matrix, right_hand_side)
    return torch.where((info == 0)[..., None], solution, torch.nan)
