"""A network as other runtimes can have it: plain operations on one picture of any size, nothing left to solve."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ldr2hdr.response.reconstructor import Reconstructor
from ldr2hdr.tasks import Statistics


class WholePicture(nn.Module):
    """A network together with all that it knows of a camera.

    The response stage's fit to the support is solved here, once. What the stage takes from the whole picture is
    computed as for a picture in parts: by sums and products that hold for any size, where pooling to a grid would be
    written out for one size.

    Args:
        network: At theta, or adapted; it is copied to the CPU.
        statistics: What its ``sufficient_statistics`` made of the support; None for a single shot.
    """

    def __init__(self, network: Reconstructor, statistics: Statistics = None) -> None:
        super().__init__()
        response: Any = network.response
        # a stage without weights of its own has nothing to solve
        weights = _detached(response.weights(statistics)) if hasattr(response, "weights") else None
        response = copy.deepcopy(response).cpu()
        if weights is not None:
            response.weights = lambda statistics: weights
        self.response, self.backbone = response, copy.deepcopy(network.backbone).cpu()
        self.eval().requires_grad_(False)

    def forward(self, ldr: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 h w"]:
        """Sensor exposure of a display-referred picture in [0, 1], at least 16 pixels a side."""
        size = (ldr.shape[2], ldr.shape[3])
        window = (slice(0, size[0]), slice(0, size[1]))
        with _AnyLength():
            global_statistics = self.response.global_statistics([ldr], size)
            linear = self.response.linearize(ldr, None, global_statistics=global_statistics, window=window)
        exposure: Tensor = self.backbone(ldr, linear)
        return exposure


class _AnyLength(TorchFunctionMode):
    """Equally spaced numbers as multiples of a step: `torch.linspace` itself is traced for one length only."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 (whatever the function gives)
        """Replace the one function, and leave the others as they are."""
        if func is not torch.linspace:
            return func(*args, **(kwargs or {}))
        start, end, steps = args
        return start + (end - start) * torch.arange(steps, **(kwargs or {})) / (steps - 1)


def _detached(weights: object) -> object:
    if isinstance(weights, Tensor):
        return weights.detach().cpu()
    if isinstance(weights, tuple) and hasattr(weights, "_make"):
        return weights._make(_detached(part) for part in weights)
    raise TypeError(f"expected tensors as the weights of a response stage, got {type(weights).__name__}")


def probe_picture(height: int, width: int, *, seed: int) -> Float[Tensor, "1 3 {height} {width}"]:
    """A picture that reaches every branch: 8-bit noise about a ramp, with black, white, and one white channel."""
    generator = torch.Generator().manual_seed(seed)
    ramp = torch.linspace(0, 1, width).expand(1, 3, height, width)
    noise = 0.2 * torch.rand(1, 3, height, width, generator=generator)
    picture = (255 * (ramp + noise - 0.1).clamp(0, 1)).round() / 255
    picture[..., : height // 3, : width // 4] = 1.0
    picture[..., -height // 3 :, -width // 4 :] = 0.0
    picture[:, 0, : height // 2, width // 2 :] = 1.0
    return picture
