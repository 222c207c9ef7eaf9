"""Contract of a response stage: what it keeps of a support, of a whole picture, and how it linearises a part."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Generic, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.tasks import WHOLE, Shots, Statistics, Window

StatisticsT = TypeVar("StatisticsT", bound=Statistics)
WeightsT = TypeVar("WeightsT")
GlobalT = TypeVar("GlobalT")


class AbstractResponse(nn.Module, ABC, Generic[StatisticsT, WeightsT, GlobalT]):
    """Response stage: from display-referred pictures to linear ones, by a closed form of a few statistics.

    A camera is learned in two steps. Data give *statistics*, which depend on no parameter, may be stored, and are all
    that the fit depends on; statistics and parameters give *weights*, by a differentiable solve. Most stages reduce
    labelled pixels by ``sufficient_statistics``; statistics of the same type from other data serve as well.

    A picture is linearised whole by ``forward``, or in parts: all of it goes to ``global_statistics`` once, then each
    part to ``linearize``.

    All three types that a stage fills in are None, tensors, or NamedTuples of tensors.
    """

    @abstractmethod
    def sufficient_statistics(self, support: Shots) -> StatisticsT:
        """Reduce a support ``(K, 3, H, W)`` to all that the fit depends on; a function of the data alone."""

    @abstractmethod
    def weights(self, statistics: StatisticsT | None) -> WeightsT:
        """Solve for the weights that linearise a picture: the fit to the support, or the prior without one."""

    @abstractmethod
    def global_statistics(self, strips: Iterable[Float[Tensor, "b 3 _ w"]], size: tuple[int, int]) -> GlobalT:
        """Reduce whole pictures to what ``linearize`` needs of them beside the part.

        Args:
            strips: Rows of the pictures in [0, 1], from top to bottom; together they are the whole.
            size: Height and width of the whole.
        """

    @abstractmethod
    def linearize(
        self,
        part: Float[Tensor, "b 3 h w"],
        weights: WeightsT,
        *,
        global_statistics: GlobalT | None = None,
        window: Window = WHOLE,
    ) -> Float[Tensor, "b 3 h w"]:
        """Linearise pictures, or a part of them as within the whole.

        Args:
            part: The part, in [0, 1].
            weights: What ``weights`` gave.
            global_statistics: What ``global_statistics`` made of the whole pictures; None if the part is the whole.
            window: Rows and columns of the part in the whole.

        Returns:
            Exposure, 1 at the sensor's white, non-negative.
        """

    def forward(self, ldr: Float[Tensor, "b 3 h w"], statistics: StatisticsT | None = None) -> Float[Tensor, "b 3 h w"]:
        """Linearise whole pictures in [0, 1], by the statistics of their camera or by the prior."""
        return self.linearize(ldr, self.weights(statistics))


class AbstractPointwiseResponse(AbstractResponse[StatisticsT, WeightsT, None]):
    """Response stage that looks at one pixel at a time, and so needs nothing of the whole picture."""

    def global_statistics(self, strips: Iterable[Float[Tensor, "b 3 _ w"]], size: tuple[int, int]) -> None:
        """Return None; the strips are not read."""
