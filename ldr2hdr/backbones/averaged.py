"""Backbone of one camera whose answer is averaged with that of a closed form beside it."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.backbones.base import AbstractConvolutionalBackbone
from ldr2hdr.layers.precision import full_precision
from ldr2hdr.radiometry import LOG_OFFSET
from ldr2hdr.tasks import Statistics, map_tensors


class AveragedBackbone(AbstractConvolutionalBackbone):
    """Average of a backbone's light and a closed form's, in logarithms; it needs pictures whole.

    Args:
        backbone: The backbone.
        beside: The closed form, ``(ldr, statistics) -> exposure``.
        statistics: Of the camera, for the closed form.
        shares: What each of the two counts.
    """

    multiple: int | None = None

    def __init__(
        self, backbone: nn.Module, beside: nn.Module, *, statistics: Statistics, shares: Float[Tensor, " 2"]
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.beside = beside
        self.statistics = statistics
        self.register_buffer("shares", shares)
        self.shares: Tensor

    def forward(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct sensor exposure; arguments and result as for `AbstractBackbone`."""
        with full_precision(ldr):
            of_beside = self.beside(ldr, self.statistics)
        first, second = (torch.log(exposure + LOG_OFFSET) for exposure in (self.backbone(ldr, linear), of_beside))
        return ((self.shares[0] * first + self.shares[1] * second).exp() - LOG_OFFSET).clamp_min(0)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "AveragedBackbone":
        """Move the statistics with the parameters, to a device or a type."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.statistics = map_tensors(self.statistics, fn)
        return self
