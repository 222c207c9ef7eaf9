"""Distribution of the light that a clipped channel lost, in stops above the sensor's white."""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Statistic: TypeAlias = Literal["median", "mean"] | float
"""Number to report of a distribution: ``median`` (least error in stops), ``mean`` (right energy), or a quantile."""
# The mean of 2**x diverges where ``up`` reaches 1.44; that of this many equally likely quantiles leaves the outermost
# tail out; four were nearest to the energy of real clipped light (experiments/highlights).
_MEAN_POINTS: Final = 4
_INNER_68: Final = (0.16, 0.84)


class Excess(NamedTuple):
    """Asymmetric Laplace distribution of the log2 exposure over white.

    The density falls as ``exp(-(x - location) / up)`` above the location, and as ``exp(-(location - x) / down)`` below.

    Attributes:
        location: Mode, in stops.
        up: Scale above the location, in stops.
        down: Scale below, in stops.

    References:
        Kotz, Kozubowski and Podgorski, "The Laplace distribution and generalizations", 2001, ch. 3.
    """

    location: Float[Tensor, "*s"]
    up: Float[Tensor, "*s"]
    down: Float[Tensor, "*s"]

    def quantile(self, share: float) -> Float[Tensor, "*s"]:
        """Return the stops that this share of the distribution is below.

        Example:
            >>> Excess(*torch.tensor([[1.0], [0.5], [0.5]])).quantile(0.5)
            tensor([1.])
        """
        below = self.down / (self.up + self.down)
        low = self.location + self.down * torch.log((share / below).clamp(max=1.0))
        return low - self.up * torch.log(((1 - share) / (1 - below)).clamp(max=1.0))

    def log2_mean(self) -> Float[Tensor, "*s"]:
        """Return log2 of the mean exposure, its outermost tail left out."""
        points = [self.quantile((index + 0.5) / _MEAN_POINTS) for index in range(_MEAN_POINTS)]
        return torch.log2(torch.exp2(torch.stack(points)).mean(dim=0))

    def statistic(self, asked: Statistic) -> Float[Tensor, "*s"]:
        """Return the number asked for, in stops over white."""
        if asked == "mean":
            return self.log2_mean()
        return self.quantile(0.5 if asked == "median" else float(asked))

    def inner_68(self) -> tuple[Float[Tensor, "*s"], Float[Tensor, "*s"]]:
        """Return the bounds of the inner 68 %, in stops."""
        low, high = (self.quantile(share) for share in _INNER_68)
        return low, high

    def spread(self) -> Float[Tensor, "*s"]:
        """Return half the width of the inner 68 %, in stops."""
        low, high = self.inner_68()
        return (high - low) / 2

    def widened(self, factor: float) -> "Excess":
        """Return the distribution with both scales times a factor."""
        return self if factor == 1 else Excess(self.location, self.up * factor, self.down * factor)

    def moved(self, gain: float, by: float) -> "Excess":
        """Return the distribution of the same scales whose median is this one's times a factor, and some stops more."""
        return self._replace(location=self.location + (gain - 1) * self.quantile(0.5) + by)

    def negative_log_likelihood(
        self, stops: Float[Tensor, "*s"], is_censored: Bool[Tensor, "*s"]
    ) -> Float[Tensor, "*s"]:
        """Return that of the truth, in nats.

        Args:
            stops: The truth, above white.
            is_censored: Where the truth is as much as that or more.
        """
        offset = stops - self.location
        above, below = F.relu(offset) / self.up, F.relu(-offset) / self.down
        density = torch.log(self.up + self.down) + above + below
        share_above = self.up / (self.up + self.down)
        tail_above = torch.log(share_above) - above
        tail_below = torch.log1p(-(1 - share_above) * torch.exp(-below))
        return torch.where(is_censored, -torch.where(offset > 0, tail_above, tail_below), density)


class Answer(Tensor):
    """Sensor exposure that knows the distribution it is a statistic of, for losses that ask for it.

    To everything else it is the picture; what is computed of it is a plain tensor.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    clipped: Float[Tensor, "b 3 h w"]
    find_excess: Callable[[], Excess]

    @classmethod
    def of(
        cls,
        exposure: Float[Tensor, "b 3 h w"],
        *,
        clipped: Float[Tensor, "b 3 h w"],
        find_excess: Callable[[], Excess],
    ) -> "Answer":
        """Bind a reconstruction to its distribution.

        Args:
            exposure: Sensor exposure.
            clipped: Share of each channel that is clipped, 0 to 1.
            find_excess: Returns the distribution in every channel; called when a loss asks for it.
        """
        answer = exposure.as_subclass(cls)
        answer.clipped, answer.find_excess = clipped, find_excess
        return answer

    def negative_log_likelihood(self, target: Float[Tensor, "b 3 h w"], *, ceiling: float) -> Float[Tensor, ""]:
        """Return the mean over clipped channels, in nats; 0 where nothing is clipped.

        Args:
            target: True sensor exposure.
            ceiling: Where the source of the truth clips itself: there the truth is as much as that or more.
        """
        stops = torch.log2(target.clamp(2.0**-10, ceiling))
        nats = self.find_excess().negative_log_likelihood(stops, target >= ceiling)
        return (self.clipped * nats).sum() / self.clipped.sum().clamp_min(1)


def require_statistic(asked: Statistic) -> Statistic:
    """Return a statistic that exists.

    Raises:
        ValueError: If it is neither ``median``, ``mean`` nor a share between 0 and 1.
    """
    if asked in ("median", "mean") or (isinstance(asked, float) and 0 < asked < 1):
        return asked
    raise ValueError(f"expected median, mean, or a quantile between 0 and 1 of the highlights, got {asked!r}")
