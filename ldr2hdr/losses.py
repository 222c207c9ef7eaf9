"""Losses between predicted and true sensor exposure ``(B, 3, H, W)``, non-negative and unbounded.

The distances are smooth (Charbonnier) by default: the kink of an absolute value has no second derivative, which a
meta-gradient needs. With ``charbonnier=0`` they are the plain L1 of the papers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ldr2hdr.radiometry import (
    PU21_MAX_CD_M2,
    PU21_MIN_CD_M2,
    Pu21Curve,
    encode_log,
    encode_mu_law,
    encode_pu21,
    luminance,
)

# Eilertsen's Gaussian: 13 bins whose centres span about two deviations either side
_ILLUMINATION_PX = 13
_ILLUMINATION_SPAN = 2.0


@dataclass(frozen=True)
class LogL1:
    """L1 between logarithms: the same ratio costs the same in shadow and in highlight.

    Attributes:
        eps: Toe of the logarithm in units of sensor white; below it differences count linearly. One 8-bit
            level by default, so that noise in black does not rule the loss.
        charbonnier: Error, in nats, below which the distance turns quadratic; 0 is plain L1.

    Raises:
        ValueError: If ``eps`` is not positive or ``charbonnier`` is negative.
    """

    eps: float = 1 / 255
    charbonnier: float = 1e-2

    def __post_init__(self) -> None:
        _require_positive("eps", self.eps)
        _require_non_negative("charbonnier", self.charbonnier)

    def __call__(self, pred: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """Mean distance in nats."""
        error = encode_log(pred, eps=self.eps) - encode_log(target, eps=self.eps)
        return _distance(error, self.charbonnier).mean()


@dataclass(frozen=True)
class MuLawL1:
    """L1 after the mu-law, which maps sensor white to 1 and goes on rising above.

    Attributes:
        mu: Strength of the compression.
        charbonnier: Error, in mu-law units, below which the distance turns quadratic; 0 is plain L1.

    Raises:
        ValueError: If ``mu`` is not positive or ``charbonnier`` is negative.

    References:
        Kalantari and Ramamoorthi, SIGGRAPH 2017.
    """

    mu: float = 5000.0
    charbonnier: float = 1e-3

    def __post_init__(self) -> None:
        _require_positive("mu", self.mu)
        _require_non_negative("charbonnier", self.charbonnier)

    def __call__(self, pred: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """Mean distance; 1 is the distance of black and sensor white."""
        error = encode_mu_law(pred, self.mu) - encode_mu_law(target, self.mu)
        return _distance(error, self.charbonnier).mean()


@dataclass(frozen=True)
class PU21L1:
    """L1 between perceptually uniform units: errors count by how visible they are on a display.

    The encoding is not clamped, so that a prediction outside the range of a display still has a gradient, and
    black is shown at 0.005 cd/m2, where its slope is finite.

    Attributes:
        white_cd_m2: Luminance at which sensor white is shown.
        curve: PU21 parameter set.
        charbonnier: Error, in units of sensor white's code, below which the distance turns quadratic; 0 is
            plain L1.

    Raises:
        ValueError: If ``white_cd_m2`` is outside (0.005, 10000] or ``charbonnier`` is negative.

    References:
        Mantiuk and Azimi, PCS 2021.
    """

    white_cd_m2: float = 100.0
    curve: Pu21Curve = "banding_glare"
    charbonnier: float = 1e-3

    def __post_init__(self) -> None:
        if not PU21_MIN_CD_M2 < self.white_cd_m2 <= PU21_MAX_CD_M2:
            raise ValueError(f"white_cd_m2 must be above 0.005 and at most 10000, got {self.white_cd_m2}")
        _require_non_negative("charbonnier", self.charbonnier)

    def __call__(self, pred: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """Mean distance; 1 is the distance of black and sensor white."""
        return _distance(self._encode(pred) - self._encode(target), self.charbonnier).mean()

    def _encode(self, exposure: Tensor) -> Tensor:
        white = encode_pu21(exposure.new_tensor(self.white_cd_m2), self.curve)
        shown = exposure * self.white_cd_m2 + PU21_MIN_CD_M2
        return encode_pu21(shown, self.curve, clamp=False) / white


@dataclass(frozen=True)
class ExpandNetLoss:
    """L1 of linear values and the angle between colours: the second keeps the hue of dark pixels.

    Attributes:
        cosine_weight: Weight of ``1 - cos`` between the colour vectors of a pixel.
        eps: Length, in units of sensor white, below which a colour has no direction. It enters as a fourth
            coordinate of both vectors: equal colours have cosine 1, black included, and no slope is infinite.
        charbonnier: Error, in units of sensor white, below which L1 turns quadratic; 0 is plain L1.

    Raises:
        ValueError: If ``eps`` is not positive, or another parameter is negative.

    References:
        Marnerides et al., Eurographics 2018, whose weight of the cosine is 5.
    """

    cosine_weight: float = 5.0
    eps: float = 1e-3
    charbonnier: float = 1e-3

    def __post_init__(self) -> None:
        _require_positive("eps", self.eps)
        _require_non_negative("cosine_weight", self.cosine_weight)
        _require_non_negative("charbonnier", self.charbonnier)

    def __call__(self, pred: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """Mean L1 plus the weighted mean of ``1 - cos``."""
        direction = self._direct(pred) - self._direct(target)
        # 1 - cos of unit vectors is half their squared distance, which does not cancel in float32
        angle = 0.5 * direction.square().sum(dim=1).mean()
        return _distance(pred - target, self.charbonnier).mean() + self.cosine_weight * angle

    def _direct(self, exposure: Tensor) -> Tensor:
        extended = functional.pad(exposure, (0, 0, 0, 0, 0, 1), value=self.eps)
        return extended / extended.square().sum(dim=1, keepdim=True).sqrt()


@dataclass(frozen=True)
class HDRCNNLoss:
    """Squared log errors of illumination and reflectance, weighed separately.

    Illumination is the blurred log luminance, reflectance the log colour without it.

    Attributes:
        illumination_weight: Weight of the illumination; the reflectance has the rest of 1.
        eps: Toe of the logarithm in units of sensor white.
        highlights_only: Whether only pixels near or above sensor white count, as published. There the
            network's output is blended in nowhere else; ours paint every pixel, so all count by default.
        threshold: Brightest channel of the target at which pixels begin to count when only highlights do;
            they count in full from sensor white on.

    Raises:
        ValueError: If ``illumination_weight`` is outside [0, 1], ``eps`` is not positive or ``threshold`` is
            outside [0, 1).

    References:
        Eilertsen et al., SIGGRAPH Asia 2017, sec. 4.
    """

    illumination_weight: float = 0.5
    eps: float = 1 / 255
    highlights_only: bool = False
    threshold: float = 0.95

    def __post_init__(self) -> None:
        _require_positive("eps", self.eps)
        if not 0 <= self.illumination_weight <= 1:
            raise ValueError(f"illumination_weight must be in [0, 1], got {self.illumination_weight}")
        if not 0 <= self.threshold < 1:
            raise ValueError(f"threshold must be in [0, 1), got {self.threshold}")

    def __call__(self, pred: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """Mean over all pixels and channels, in squared nats."""
        log_luminance = [encode_log(luminance(x).unsqueeze(1), eps=self.eps) for x in (pred, target)]
        illumination = _blur(log_luminance[0] - log_luminance[1])
        colour = encode_log(pred, eps=self.eps) - encode_log(target, eps=self.eps)
        reflectance = colour - illumination
        weight = self.illumination_weight
        error = weight * illumination.square() + (1 - weight) * reflectance.square()
        if self.highlights_only:
            brightest = target.amax(dim=1, keepdim=True)
            error = error * ((brightest - self.threshold) / (1 - self.threshold)).clamp(0, 1)
        return error.mean()


@dataclass(frozen=True)
class TanhL1:
    """L1 between hyperbolic tangents of display values: what is far above white hardly counts.

    Ten times sensor white and infinite light are less than 0.01 apart, and hardly any slope is left there.

    Attributes:
        gamma: Exponent from display values to exposure; that of the challenge which the loss was made for is 2.24.
        eps: Toe of the display values in units of sensor white, where their slope at black is finite.
        charbonnier: Error, in units of the tangent, below which the distance turns quadratic; 0 is plain L1.

    Raises:
        ValueError: If ``gamma`` or ``eps`` is not positive or ``charbonnier`` is negative.

    References:
        Chen et al., "HDRUNet", CVPR workshops 2021.
    """

    gamma: float = 2.24
    eps: float = 1e-4
    charbonnier: float = 1e-3

    def __post_init__(self) -> None:
        _require_positive("gamma", self.gamma)
        _require_positive("eps", self.eps)
        _require_non_negative("charbonnier", self.charbonnier)

    def __call__(self, pred: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """Mean distance; black and infinite light are 1 apart."""
        return _distance(self._encode(pred) - self._encode(target), self.charbonnier).mean()

    def _encode(self, exposure: Tensor) -> Tensor:
        root = 1 / self.gamma
        return ((exposure + self.eps) ** root - self.eps**root).tanh()


@dataclass(frozen=True)
class ClippedTarget:
    """Another loss, against labels that are clipped at sensor white: what no brighter camera saw is not asked for.

    The published protocol of MetaHDR. A network trained by it has no reason to go above white.

    Attributes:
        loss: ``(prediction, target) -> scalar``.
        white: Where labels are clipped, in units of sensor white.

    Raises:
        ValueError: If ``white`` is not positive.

    References:
        Pan and Vento, "MetaHDR", 2021, whose loss is ``ExpandNetLoss``.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    white: float = 1.0

    def __post_init__(self) -> None:
        _require_positive("white", self.white)

    def __call__(self, pred: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """The loss of the clipped target; the prediction is left as it is."""
        return self.loss(pred, target.clamp_max(self.white))


def _blur(image: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Gaussian blur; at the border only pixels inside count, for a border of zeros would be light."""
    end = _ILLUMINATION_SPAN + (2 * _ILLUMINATION_SPAN + 1) / (2 * _ILLUMINATION_PX)
    edges = torch.linspace(-end, end, _ILLUMINATION_PX + 1, dtype=torch.float64)
    # the published kernel is the square root of an outer product, hence the root
    kernel = torch.special.ndtr(edges).diff().sqrt().to(image)
    half = _ILLUMINATION_PX // 2
    for shape, padding in (((1, 1, -1, 1), (half, 0)), ((1, 1, 1, -1), (0, half))):
        weights = kernel.reshape(shape)
        inside = functional.conv2d(torch.ones_like(image[:1]), weights, padding=padding)
        image = functional.conv2d(image, weights, padding=padding) / inside
    return image


def _distance(error: Tensor, charbonnier: float) -> Tensor:
    """Absolute value, rounded off within ``charbonnier`` of 0; 0 at 0."""
    if charbonnier == 0:
        return error.abs()
    # e^2 / (sqrt(e^2 + c^2) + c) is sqrt(e^2 + c^2) - c without its cancellation
    return error.square() / ((error.square() + charbonnier**2).sqrt() + charbonnier)


def _require_positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} must be positive, got {value}")


def _require_non_negative(name: str, value: float) -> None:
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{name} must not be negative, got {value}")
