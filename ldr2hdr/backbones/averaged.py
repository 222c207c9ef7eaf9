"""Backbone of one camera whose answer is averaged with that of a closed form beside it."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.backbones.base import AbstractBackbone, AbstractConvolutionalBackbone, Strip
from ldr2hdr.backbones.locality import Locality
from ldr2hdr.layers.precision import full_precision
from ldr2hdr.radiometry import LOG_OFFSET
from ldr2hdr.tasks import WHOLE, Window, map_tensors


@runtime_checkable
class _ResponseStage(Protocol):
    def global_statistics(self, strips: Iterable[Tensor], size: tuple[int, int]) -> Any:  # noqa: ANN401 (its own type)
        """Reduce whole pictures to what ``linearize`` needs of them beside the part."""

    def linearize(self, part: Tensor, weights: Any, *, global_statistics: Any = None, window: Window = WHOLE) -> Tensor:  # noqa: ANN401
        """Linearise pictures, or a part of them as within the whole."""


class AveragedBackbone(AbstractBackbone[Any]):
    """Average of a backbone's light and a closed form's, in logarithms; it may be cut where the backbone may.

    Args:
        backbone: The backbone.
        beside: The closed form, a response stage.
        weights: Of the closed form, for the camera.
        shares: What each of the two counts.
    """

    def __init__(
        self,
        backbone: AbstractConvolutionalBackbone,
        beside: nn.Module,
        *,
        weights: Any,  # noqa: ANN401 (each response stage has weights of its own)
        shares: Float[Tensor, " 2"],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.beside = beside
        self.weights = weights
        self.register_buffer("shares", shares)
        self.shares: Tensor

    @property
    def label(self) -> str:
        """Return the name of the backbone within."""
        return self.backbone.label

    def forward(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct sensor exposure; arguments and result as for `AbstractBackbone`."""
        with full_precision(ldr):
            of_beside = self._stage.linearize(ldr, self.weights)
        return self._average(self.backbone(ldr, linear), of_beside)

    def locality(self) -> Locality | None:
        """Return that of the backbone: the closed form knows of the whole what it needs."""
        return self.backbone.locality()

    def prepare(self, strips: Iterable[Strip], size: tuple[int, int]) -> Any:  # noqa: ANN401 (as for the closed form)
        """Return what the closed form needs of whole pictures; the backbone needs nothing of them."""
        return self._stage.global_statistics((strip.ldr for strip in strips), size)

    def reconstruct(
        self,
        ldr: Float[Tensor, "b 3 h w"],
        linear: Float[Tensor, "b 3 h w"],
        *,
        prepared: Any,  # noqa: ANN401 (as for the closed form)
        window: Window,
    ) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct a part of pictures; within the halo of its sides it may be wrong."""
        with full_precision(ldr):
            of_beside = self._stage.linearize(ldr, self.weights, global_statistics=prepared, window=window)
        return self._average(self.backbone.reconstruct(ldr, linear, prepared=None, window=window), of_beside)

    @property
    def _stage(self) -> _ResponseStage:
        return cast(_ResponseStage, self.beside)

    def _average(self, of_backbone: Tensor, of_beside: Tensor) -> Float[Tensor, "b 3 h w"]:
        first, second = (torch.log(exposure + LOG_OFFSET) for exposure in (of_backbone, of_beside))
        return ((self.shares[0] * first + self.shares[1] * second).exp() - LOG_OFFSET).clamp_min(0)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "AveragedBackbone":
        """Move the weights with the parameters, to a device or a type."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.weights = map_tensors(self.weights, fn)
        return self
