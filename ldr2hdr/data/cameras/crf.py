"""Camera response curves: clipped exposure in [0, 1] to display values in [0, 1], with their inverses.

Every curve maps 0 to 0 and 1 to 1, is strictly monotone, and is differentiable inside (0, 1). Channels may
differ slightly, as those of real cameras do.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.cameras.ranges import Channels


class AbstractCurve(ABC):
    """A camera response curve with its inverse."""

    @abstractmethod
    def __call__(self, exposure: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Map clipped exposure in [0, 1] to display values in [0, 1]."""

    @abstractmethod
    def inverse(self, ldr: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Map display values in [0, 1] back to clipped exposure in [0, 1]."""


@dataclass(frozen=True)
class GammaCurve(AbstractCurve):
    """``f(x) = x**(1 / exponent)``, per channel.

    Raises:
        ValueError: If an exponent is not positive.
    """

    exponent: Channels

    def __post_init__(self) -> None:
        _check_positive(self.exponent, "exponent")

    def __call__(self, exposure: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Map clipped exposure to display values."""
        return exposure ** (1 / _per_channel(self.exponent, like=exposure))

    def inverse(self, ldr: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Map display values back to clipped exposure."""
        return ldr ** _per_channel(self.exponent, like=ldr)


@dataclass(frozen=True)
class SrgbCurve(AbstractCurve):
    """Power law with an offset and a straight toe, joined with equal slopes.

    ``f(x) = (1 + a) x**(1/g) - a`` above the joint and ``f(x) = slope * x`` below. The offset ``a = 0.055``
    and the exponent ``g = 2.4`` give sRGB, 0.099 and 1/0.45 give Rec. 709. Both standards round joint and slope;
    the exact ones used here differ by less than 3 %.

    Raises:
        ValueError: If an offset is not positive or an exponent not above 1, where no toe is tangent.

    References:
        IEC 61966-2-1:1999; ITU-R BT.709, item 1.2.
    """

    offset: Channels = (0.055, 0.055, 0.055)
    exponent: Channels = (2.4, 2.4, 2.4)

    def __post_init__(self) -> None:
        _check_positive(self.offset, "offset")
        _check_positive(tuple(exponent - 1 for exponent in self.exponent), "exponent - 1")

    def __call__(self, exposure: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Map clipped exposure to display values."""
        offset, exponent, joint, slope = self._constants(exposure)
        # The clamp keeps the gradient of the branch that is not taken finite.
        shoulder = (1 + offset) * torch.maximum(exposure, joint) ** (1 / exponent) - offset
        return torch.where(exposure <= joint, slope * exposure, shoulder)

    def inverse(self, ldr: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Map display values back to clipped exposure."""
        offset, exponent, joint, slope = self._constants(ldr)
        shoulder = ((torch.maximum(ldr, slope * joint) + offset) / (1 + offset)) ** exponent
        return torch.where(ldr <= slope * joint, ldr / slope, shoulder)

    def _constants(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        offset, exponent = _per_channel(self.offset, like=like), _per_channel(self.exponent, like=like)
        # The tangent through 0: f(joint) = joint f'(joint).
        joint = (offset * exponent / ((1 + offset) * (exponent - 1))) ** exponent
        slope = (1 + offset) / exponent * joint ** (1 / exponent - 1)
        return offset, exponent, joint, slope


@dataclass(frozen=True)
class SigmoidCurve(AbstractCurve):
    """``f(x) = (1 + s) x**n / (x**n + s)``, per channel.

    Attributes:
        exponent: ``n``, the slope of the shadows in log-log; mean 0.9 in the paper.
        shoulder: ``s``, small where highlights are compressed hard; mean 0.6 in the paper.

    Raises:
        ValueError: If a parameter is not positive.

    References:
        Eilertsen et al., SIGGRAPH Asia 2017, eq. 8.
    """

    exponent: Channels
    shoulder: Channels

    def __post_init__(self) -> None:
        _check_positive(self.exponent, "exponent")
        _check_positive(self.shoulder, "shoulder")

    def __call__(self, exposure: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Map clipped exposure to display values."""
        shoulder = _per_channel(self.shoulder, like=exposure)
        power = exposure ** _per_channel(self.exponent, like=exposure)
        return (1 + shoulder) * power / (power + shoulder)

    def inverse(self, ldr: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Map display values back to clipped exposure."""
        shoulder = _per_channel(self.shoulder, like=ldr)
        power = shoulder * ldr / (1 + shoulder - ldr)
        return power ** (1 / _per_channel(self.exponent, like=ldr))


@dataclass(frozen=True)
class ExtendedSigmoidCurve(AbstractCurve):
    """Eilertsen's sigmoid to a power: toe and shoulder bend independently, S-shaped where ``n p > 1``.

    ``f(x) = ((1 + s) x**n / (x**n + s))**p``. The definition is this project's own.

    Attributes:
        exponent: ``n``.
        shoulder: ``s``.
        toe: ``p``, the contrast of the shadows; 1 gives ``SigmoidCurve``.

    Raises:
        ValueError: If a parameter is not positive.
    """

    exponent: Channels
    shoulder: Channels
    toe: Channels

    def __post_init__(self) -> None:
        _check_positive(self.exponent, "exponent")
        _check_positive(self.shoulder, "shoulder")
        _check_positive(self.toe, "toe")

    def __call__(self, exposure: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Map clipped exposure to display values."""
        sigmoid = SigmoidCurve(self.exponent, self.shoulder)(exposure)
        return sigmoid ** _per_channel(self.toe, like=exposure)

    def inverse(self, ldr: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Map display values back to clipped exposure."""
        sigmoid = ldr ** (1 / _per_channel(self.toe, like=ldr))
        return SigmoidCurve(self.exponent, self.shoulder).inverse(sigmoid)


@dataclass(frozen=True)
class SplineCurve(AbstractCurve):
    """A gamma curve bent by a monotone rational-quadratic spline.

    ``f(x) = S(x**(1 / exponent))``, where ``S`` runs through ``(k/B, sum of the first k heights)`` and has
    the geometric mean of the neighbouring secants as slope at each knot. Any positive slopes keep such a
    spline monotone, and each piece inverts in closed form.

    Attributes:
        exponent: Exponent of the gamma curve, per channel.
        heights: Rise over each of the ``B`` bins of equal width, per channel; positive with sum 1.

    Raises:
        ValueError: If a parameter is not positive, or heights do not sum to 1.

    References:
        Gregory and Delbourgo, IMA J. Numerical Analysis 2, 1982; Durkan et al., NeurIPS 2019, eq. 4-8.
    """

    exponent: Channels
    heights: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]

    def __post_init__(self) -> None:
        _check_positive(self.exponent, "exponent")
        for heights in self.heights:
            _check_positive(heights, "heights")
            if abs(sum(heights) - 1) > 1e-9 or len(heights) != len(self.heights[0]):
                raise ValueError(f"spline heights must sum to 1 with as many bins in each channel, got {heights}")

    def __call__(self, exposure: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Map clipped exposure to display values."""
        scaled = GammaCurve(self.exponent)(exposure) * len(self.heights[0])
        bins = scaled.detach().long().clamp(0, len(self.heights[0]) - 1)
        start, height, left, right = self._pieces(bins, like=exposure)
        along = scaled - bins
        bump = along * (1 - along)
        rise = height * (height * along**2 + left * bump) / (height + (left + right - 2 * height) * bump)
        return start + rise

    def inverse(self, ldr: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Map display values back to clipped exposure."""
        heights = torch.tensor(self.heights, dtype=ldr.dtype).to(ldr.device)
        inner_knots = heights.cumsum(dim=1)[:, :-1]
        bins = (ldr.detach()[..., None] >= inner_knots[:, None, None]).sum(dim=-1)
        start, height, left, right = self._pieces(bins, like=ldr)
        rise = ldr - start
        # Durkan et al., eq. 6-8, with the bin's width as unit.
        bend = rise * (left + right - 2 * height)
        a, b, c = height * (height - left) + bend, height * left - bend, -height * rise
        along = 2 * c / (-b - torch.sqrt((b**2 - 4 * a * c).clamp_min(0)))
        return GammaCurve(self.exponent).inverse((bins + along) / len(self.heights[0]))

    def _pieces(self, bins: Tensor, *, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Start, height, and slopes at both ends of the bin of each sample, in units of the bin's width."""
        heights = torch.tensor(self.heights, dtype=torch.float64)
        starts = heights.cumsum(dim=1) - heights
        slopes = torch.cat([heights[:, :1], (heights[:, 1:] * heights[:, :-1]).sqrt(), heights[:, -1:]], dim=1)
        offset = torch.arange(3, device=like.device)[:, None, None] * heights.shape[1]
        start, height, left, right = (
            table.to(like.device, like.dtype).flatten().take(bins + offset)
            for table in (starts, heights, slopes[:, :-1].contiguous(), slopes[:, 1:].contiguous())
        )
        return start, height, left, right


def _per_channel(values: Channels, *, like: Tensor) -> Float[Tensor, "3 1 1"]:
    return torch.tensor(values, dtype=like.dtype).to(like.device)[:, None, None]


def _check_positive(values: tuple[float, ...], key: str) -> None:
    if min(values) <= 0:
        raise ValueError(f"a response curve needs a positive {key}, got {values}")
