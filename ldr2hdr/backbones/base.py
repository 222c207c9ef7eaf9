"""Contract of a backbone: what it makes of a whole picture once, and how it then reconstructs a part."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.backbones.blocks import LogHead
from ldr2hdr.backbones.locality import Locality, measure_locality
from ldr2hdr.tasks import Window

PreparedT = TypeVar("PreparedT")


class Strip(NamedTuple):
    """Rows of pictures, with their linearisation."""

    ldr: Float[Tensor, "b 3 h w"]
    linear: Float[Tensor, "b 3 h w"]


class AbstractBackbone(nn.Module, ABC, Generic[PreparedT]):
    """Network that corrects linearised pictures.

    Whole pictures go to ``forward``. A picture in parts goes to ``prepare`` once, strip by strip, and each part with
    its surroundings to ``reconstruct``, which must make of it what ``forward`` makes of the whole: what a pixel takes
    from afar has to come by ``prepare``, and what it takes from near by the halo that ``locality`` asks for.
    """

    @property
    def label(self) -> str:
        """Return the name for error messages."""
        return type(self).__name__

    @abstractmethod
    def forward(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct sensor exposure.

        Args:
            ldr: Display-referred pictures in [0, 1], any size.
            linear: The same pictures linearised by the response stage, 1 at the sensor's white.

        Returns:
            Sensor exposure, non-negative, unbounded above unless the class says otherwise.
        """

    @abstractmethod
    def locality(self) -> Locality | None:
        """Return where pictures may be cut for ``reconstruct``; None if it needs them whole."""

    @abstractmethod
    def prepare(self, strips: Iterable[Strip], size: tuple[int, int]) -> PreparedT:
        """Look through whole pictures once.

        Args:
            strips: From top to bottom; computed as they are asked for, so that not asking costs nothing.
            size: Height and width of the whole.
        """

    @abstractmethod
    def reconstruct(
        self,
        ldr: Float[Tensor, "b 3 h w"],
        linear: Float[Tensor, "b 3 h w"],
        *,
        prepared: PreparedT,
        window: Window,
    ) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct a part of pictures; within the halo of its sides it may be wrong.

        Args:
            ldr: The part, in [0, 1].
            linear: The part, linearised.
            prepared: What ``prepare`` made of the whole pictures.
            window: Rows and columns of the part in the whole.
        """


class AbstractConvolutionalBackbone(AbstractBackbone[None]):
    """Network that sees nothing of a picture but tiles, each with as much around it as its layers reach.

    Attributes:
        multiple: The coarsest features are down-sampled by this, or by a divisor of it: the smaller, the tighter tiles
            can be. None if the network is known to look at the whole picture.
    """

    multiple: int | None = 64

    def locality(self) -> Locality | None:
        """Measure how far the layers reach."""
        return None if self.multiple is None else measure_locality(self, self.multiple)

    def prepare(self, strips: Iterable[Strip], size: tuple[int, int]) -> None:
        """Return None; the strips are not read."""

    def reconstruct(
        self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"], *, prepared: None, window: Window
    ) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct a tile as a picture of its own."""
        # channels beside each other are what convolutions of one picture are fastest with
        inputs = (picture.contiguous(memory_format=torch.channels_last) for picture in (ldr, linear))
        exposure: Tensor = self(*inputs)
        return exposure


class AbstractHeadedBackbone(AbstractConvolutionalBackbone):
    """Network that ends in a `LogHead` and gives what this head looks at, so that it can be solved for.

    Attributes:
        head: The last layer.
    """

    head: LogHead

    @abstractmethod
    def features(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """Compute the features that the head looks at; arguments as for ``forward``."""

    def forward(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct sensor exposure; arguments and result as for `AbstractBackbone`."""
        return self.head(self.features(ldr, linear), linear)
