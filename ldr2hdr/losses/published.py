"""Losses of published networks."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ldr2hdr.losses.distance import distance, require_non_negative, require_positive
from ldr2hdr.radiometry import encode_log, luminance

# Eilertsen's Gaussian: 13 bins whose centres span about two deviations either side
_ILLUMINATION_PX = 13
_ILLUMINATION_SPAN = 2.0


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
        require_positive("eps", self.eps)
        require_non_negative("cosine_weight", self.cosine_weight)
        require_non_negative("charbonnier", self.charbonnier)

    def __call__(self, pred: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """Mean L1 plus the weighted mean of ``1 - cos``."""
        direction = self._direct(pred) - self._direct(target)
        # 1 - cos of unit vectors is half their squared distance, which does not cancel in float32
        angle = 0.5 * direction.square().sum(dim=1).mean()
        return distance(pred - target, self.charbonnier).mean() + self.cosine_weight * angle

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
        require_positive("eps", self.eps)
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
class ClippedTarget:
    """Another loss against labels clipped at sensor white, which ask for no highlights.

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
        require_positive("white", self.white)

    def __call__(self, pred: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """The loss of the clipped target; the prediction is left as it is."""
        return self.loss(pred, target.clamp_max(self.white))


def _blur(image: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Gaussian blur; at the border only pixels inside count, for a border of zeros would be light."""
    end = _ILLUMINATION_SPAN + (2 * _ILLUMINATION_SPAN + 1) / (2 * _ILLUMINATION_PX)
    edges = torch.linspace(-end, end, _ILLUMINATION_PX + 1, dtype=torch.float64, device=image.device)
    # the published kernel is the square root of an outer product, hence the root
    kernel = torch.special.ndtr(edges).diff().sqrt().to(image)
    half = _ILLUMINATION_PX // 2
    for shape, padding in (((1, 1, -1, 1), (half, 0)), ((1, 1, 1, -1), (0, half))):
        weights = kernel.reshape(shape)
        inside = functional.conv2d(torch.ones_like(image[:1]), weights, padding=padding)
        image = functional.conv2d(image, weights, padding=padding) / inside
    return image
