"""The network that is meta-learned: a response stage in front of any backbone."""

from collections.abc import Iterable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.tasks import Shots, Statistics


class Reconstructor(nn.Module):
    """Map LDR pictures to sensor exposure.

    A picture may be given whole to ``forward``, or in parts: first all of it to ``global_statistics``, strip by strip,
    then each part to ``reconstruct``. How large the parts have to be depends on the
    backbone; see `ldr2hdr.inference.tiling`.

    Args:
        response: Linearises the picture, ``(ldr, statistics) -> linear``; for pictures in parts it also has
            ``global_statistics`` and ``linearize``, as the stages of `ldr2hdr.response` do.
        backbone: Corrects it, ``(ldr, linear) -> exposure``.
    """

    def __init__(self, response: nn.Module, backbone: nn.Module) -> None:
        super().__init__()
        self.response = response
        self.backbone = backbone

    def sufficient_statistics(self, support: Shots) -> Statistics:
        """What the response stage needs of the support; a function of the data alone, not of any parameter."""
        with _full_precision(support.ldr):
            return self.response.sufficient_statistics(support)  # type: ignore[operator]

    def forward(self, ldr: Float[Tensor, "b 3 h w"], statistics: Statistics = None) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct ``(B, 3, H, W)`` pictures of one camera.

        Args:
            ldr: Display-referred pictures in [0, 1], any size.
            statistics: What ``sufficient_statistics`` made of this camera's support; None for a single shot.

        Returns:
            Sensor exposure, 1 at the camera's white, non-negative, unbounded above.
        """
        exposure: Tensor = self.backbone(ldr, self._linearize(ldr, statistics))
        return exposure

    @property
    def head(self) -> nn.Module:
        """The last layer of a backbone that also gives what this layer looks at.

        Raises:
            AttributeError: If the backbone has no ``features`` or no ``head``.
        """
        if not hasattr(self.backbone, "features"):
            raise AttributeError(f"{type(self.backbone).__name__} does not give its features")
        return cast(nn.Module, self.backbone.head)

    def features(
        self, ldr: Float[Tensor, "b 3 h w"], statistics: Statistics = None
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 3 h w"]]:
        """What the head looks at, and the linearised pictures; arguments as for ``forward``."""
        linear = self._linearize(ldr, statistics)
        return self.backbone.features(ldr, linear), linear  # type: ignore[operator]

    def global_statistics(self, strips: Iterable[Float[Tensor, "b 3 _ w"]], size: tuple[int, int]) -> Statistics:
        """What the response stage needs of whole pictures before it sees their parts.

        Args:
            strips: Rows of the pictures, from top to bottom; read only if the stage looks beyond a pixel.
            size: Height and width of the whole.
        """
        return self.response.global_statistics(strips, size)  # type: ignore[operator]

    def reconstruct(
        self,
        part: Float[Tensor, "b 3 h w"],
        statistics: Statistics = None,
        *,
        global_statistics: object,
        window: tuple[slice, slice],
    ) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct a part of pictures; near its sides, where the backbone misses what lies beyond, it is wrong.

        Args:
            part: The part, in [0, 1].
            statistics: As for ``forward``.
            global_statistics: What ``global_statistics`` made of the whole pictures.
            window: Rows and columns of the part in the whole.
        """
        linear = self.response.linearize(part, statistics, global_statistics=global_statistics, window=window)  # type: ignore[operator]
        # channels beside each other are what convolutions of one picture are fastest with
        inputs = (picture.contiguous(memory_format=torch.channels_last) for picture in (part, linear))
        exposure: Tensor = self.backbone(*inputs)
        return exposure

    def _linearize(self, ldr: Float[Tensor, "b 3 h w"], statistics: Statistics) -> Float[Tensor, "b 3 h w"]:
        with _full_precision(ldr):
            linear: Tensor = self.response(ldr, statistics)
        return linear


def _full_precision(picture: Tensor) -> torch.autocast:
    """A closed form is solved in the precision of its data, whatever the network runs in."""
    return torch.autocast(picture.device.type, enabled=False)
