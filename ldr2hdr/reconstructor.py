"""Network that is meta-learned, a response stage in front of a backbone; and the same network bound to a camera."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.backbones.averaged import AveragedBackbone
from ldr2hdr.backbones.base import AbstractBackbone, AbstractHeadedBackbone, Strip
from ldr2hdr.backbones.blocks import LogHead
from ldr2hdr.backbones.highlights.backbone import AbstractHighlightBackbone
from ldr2hdr.backbones.highlights.distribution import Statistic
from ldr2hdr.backbones.locality import Locality
from ldr2hdr.layers.precision import full_precision
from ldr2hdr.response.base import AbstractResponse
from ldr2hdr.tasks import Shots, Statistics, Window, map_tensors

_STRIP_ROWS: Final = 128


class Reconstructor(nn.Module):
    """Map LDR pictures to sensor exposure.

    Args:
        response: Linearises the picture, by the statistics of its camera.
        backbone: Corrects it, ``(ldr, linear) -> exposure``.
    """

    def __init__(self, response: AbstractResponse[Any, Any, Any], backbone: AbstractBackbone[Any]) -> None:
        super().__init__()
        self.response = response
        self.backbone = backbone

    def sufficient_statistics(self, support: Shots) -> Statistics:
        """Reduce the support to what the response stage needs of it; a function of the data alone."""
        with full_precision(support.ldr):
            return cast(Statistics, self.response.sufficient_statistics(support))

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

    @torch.no_grad()
    def bind(self, statistics: Statistics = None) -> "BoundReconstructor":
        """Solve the closed form once, for one camera.

        Args:
            statistics: Of the camera, as the response stage has them; None for a single shot.

        Returns:
            A network of one camera, which shares this one's parameters.
        """
        with full_precision(next(self.response.parameters(), torch.empty(0))):
            weights = self.response.weights(statistics)
        return BoundReconstructor(self.response, self.backbone, weights)

    @property
    def head(self) -> LogHead:
        """Return the last layer of a backbone that also gives what this layer looks at.

        Raises:
            AttributeError: If the backbone is no `AbstractHeadedBackbone`.
        """
        return self._headed_backbone().head

    def features(
        self, ldr: Float[Tensor, "b 3 h w"], statistics: Statistics = None
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 3 h w"]]:
        """Return what the head looks at, and the linearised pictures; arguments as for ``forward``."""
        linear = self._linearize(ldr, statistics)
        return self._headed_backbone().features(ldr, linear), linear

    def averaged_with(
        self, beside: AbstractResponse[Any, Any, Any], *, statistics: Statistics, shares: Float[Tensor, " 2"]
    ) -> "Reconstructor":
        """Return the network whose answer is averaged with that of a closed form; see `AveragedBackbone`.

        Args:
            beside: The closed form.
            statistics: Of the camera, for the closed form.
            shares: What each of the two counts.
        """
        with full_precision(shares):
            weights = beside.weights(statistics)
        backbone = self._headed_backbone()
        return Reconstructor(self.response, AveragedBackbone(backbone, beside, weights=weights, shares=shares))

    def _headed_backbone(self) -> AbstractHeadedBackbone:
        if not isinstance(self.backbone, AbstractHeadedBackbone):
            raise AttributeError(f"{type(self.backbone).__name__} does not give its features")
        return self.backbone

    def _linearize(self, ldr: Float[Tensor, "b 3 h w"], statistics: Statistics) -> Float[Tensor, "b 3 h w"]:
        with full_precision(ldr):
            linear: Tensor = self.response(ldr, statistics)
        return linear


class Prepared(NamedTuple):
    """Whole pictures, as far as their parts depend on them.

    Attributes:
        response: Global statistics of the response stage.
        backbone: What the backbone made of the whole.
    """

    response: Any
    backbone: Any


class BoundReconstructor(nn.Module):
    """Network of one camera: nothing is left to solve.

    A picture may be given whole to ``forward``, or in parts: all of it to ``prepare`` once, then each part to
    ``reconstruct``.

    Args:
        response: Linearises the picture.
        backbone: Corrects it.
        weights: Of the response stage, for this camera.
    """

    def __init__(
        self,
        response: AbstractResponse[Any, Any, Any],
        backbone: AbstractBackbone[Any],
        weights: Any,  # noqa: ANN401 (each response stage has weights of its own)
    ) -> None:
        super().__init__()
        self.response = response
        self.backbone = backbone
        self.weights = map_tensors(weights, Tensor.detach)

    @cached_property
    def locality(self) -> Locality | None:
        """Return where pictures may be cut, and how far to look around a part; None if they may not."""
        return self.backbone.locality()

    @property
    def device(self) -> torch.device:
        """Device that the network computes on."""
        return next(self.parameters(), torch.empty(0)).device

    def forward(self, ldr: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct whole pictures in [0, 1]; the result is as that of `Reconstructor`."""
        with full_precision(ldr):
            linear = self.response.linearize(ldr, self.weights)
        exposure: Tensor = self.backbone(ldr, linear)
        return exposure

    def prepare(self, whole: Iterable[Float[Tensor, "b 3 _ w"]], size: tuple[int, int]) -> Prepared:
        """Look through whole pictures, as often as response stage and backbone need to: not at all, once or twice.

        Args:
            whole: Strips of the pictures in [0, 1], from top to bottom; each iteration begins anew.
            size: Height and width of the whole.
        """
        of_response = self.response.global_statistics(whole, size)
        return Prepared(of_response, self.backbone.prepare(self._linearize_strips(whole, of_response), size))

    def reconstruct(
        self, part: Float[Tensor, "b 3 h w"], *, prepared: Prepared, window: Window
    ) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct a part of pictures; within the halo of its sides it may be wrong.

        Args:
            part: The part, in [0, 1].
            prepared: What ``prepare`` made of the whole pictures.
            window: Rows and columns of the part in the whole.
        """
        linear = self._linearize(part, prepared.response, window)
        return self.backbone.reconstruct(part, linear, prepared=prepared.backbone, window=window)

    @property
    def has_distribution(self) -> bool:
        """Whether the network knows a distribution of what was clipped, and so ``reporting`` and ``spread``."""
        return isinstance(self.backbone, AbstractHighlightBackbone)

    def reporting(self, statistic: Statistic) -> "BoundReconstructor":
        """Return the network that shows another number of its distribution of what was clipped.

        Raises:
            ValueError: If there is no such number, or the network knows no distribution.
        """
        backbone = self._highlight_backbone().reporting(statistic)
        return BoundReconstructor(self.response, backbone, self.weights)

    def taken_at(self, ev: float | None) -> "BoundReconstructor":
        """Return the network for a photograph of this absolute exposure, if that says something to its backbone.

        Args:
            ev: As of `Shot.absolute_ev`; None if it is unknown.
        """
        if ev is None or not self.has_distribution:
            return self
        return BoundReconstructor(self.response, self._highlight_backbone().taken_at(ev), self.weights)

    def spread(self, part: Float[Tensor, "b 3 h w"], *, prepared: Prepared, window: Window) -> Float[Tensor, "b 3 h w"]:
        """Return the standard deviation to expect of what was added in a part of pictures, in stops.

        Arguments as for ``reconstruct``.

        Raises:
            ValueError: If the network knows no distribution.
        """
        return self._highlight_backbone().spread(part, prepared=prepared.backbone, window=window)

    def _highlight_backbone(self) -> AbstractHighlightBackbone[Any]:
        if not isinstance(self.backbone, AbstractHighlightBackbone):
            raise ValueError(
                f"the backbone {type(self.backbone).__name__} knows no distribution of what was clipped, and has one "
                "answer alone; backbone=highlights has"
            )
        return self.backbone

    def _linearize_strips(self, whole: Iterable[Tensor], of_response: Any) -> Iterator[Strip]:  # noqa: ANN401
        top = 0
        for strip in (thin for wide in whole for thin in _thin(wide)):
            window = (slice(top, top + strip.shape[2]), slice(0, strip.shape[3]))
            yield Strip(strip, self._linearize(strip, of_response, window))
            top = window[0].stop

    def _linearize(
        self,
        part: Float[Tensor, "b 3 h w"],
        of_response: Any,  # noqa: ANN401 (each response stage has global statistics of its own)
        window: Window,
    ) -> Float[Tensor, "b 3 h w"]:
        with full_precision(part):
            return self.response.linearize(part, self.weights, global_statistics=of_response, window=window)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "BoundReconstructor":
        """Move the weights with the parameters, to a device or a type."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.weights = map_tensors(self.weights, fn)
        return self


def _thin(strip: Float[Tensor, "b 3 h w"]) -> Sequence[Float[Tensor, "b 3 _ w"]]:
    """Cut a strip so that what linearises it needs little memory; not while it is exported, for any height."""
    if torch.compiler.is_exporting():
        return [strip]
    return [strip[:, :, top : top + _STRIP_ROWS] for top in range(0, strip.shape[2], _STRIP_ROWS)]
