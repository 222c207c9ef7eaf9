"""Distances between encodings of light: logarithm, mu-law, PU21, hyperbolic tangent."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ldr2hdr.losses.distance import distance, require_non_negative, require_positive
from ldr2hdr.radiometry import PU21_MAX_CD_M2, PU21_MIN_CD_M2, Pu21Curve, encode_log, encode_mu_law, encode_pu21


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
        require_positive("eps", self.eps)
        require_non_negative("charbonnier", self.charbonnier)

    def __call__(self, pred: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """Mean distance in nats."""
        error = encode_log(pred, eps=self.eps) - encode_log(target, eps=self.eps)
        return distance(error, self.charbonnier).mean()


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
        require_positive("mu", self.mu)
        require_non_negative("charbonnier", self.charbonnier)

    def __call__(self, pred: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """Mean distance; 1 is the distance of black and sensor white."""
        error = encode_mu_law(pred, self.mu) - encode_mu_law(target, self.mu)
        return distance(error, self.charbonnier).mean()


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
        require_non_negative("charbonnier", self.charbonnier)

    def __call__(self, pred: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """Mean distance; 1 is the distance of black and sensor white."""
        return distance(self._encode(pred) - self._encode(target), self.charbonnier).mean()

    def _encode(self, exposure: Tensor) -> Tensor:
        white = encode_pu21(exposure.new_full((), self.white_cd_m2), self.curve)
        shown = exposure * self.white_cd_m2 + PU21_MIN_CD_M2
        return encode_pu21(shown, self.curve, clamp=False) / white


@dataclass(frozen=True)
class TanhL1:
    """L1 between hyperbolic tangents of display values: values far above white hardly count.

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
        require_positive("gamma", self.gamma)
        require_positive("eps", self.eps)
        require_non_negative("charbonnier", self.charbonnier)

    def __call__(self, pred: Float[Tensor, "b 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
        """Mean distance; black and infinite light are 1 apart."""
        return distance(self._encode(pred) - self._encode(target), self.charbonnier).mean()

    def _encode(self, exposure: Tensor) -> Tensor:
        root = 1 / self.gamma
        return ((exposure + self.eps) ** root - self.eps**root).tanh()
