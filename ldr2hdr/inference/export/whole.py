"""Networks for other runtimes: plain operations on one picture of any size."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ldr2hdr.reconstructor import BoundReconstructor


class WholePicture(nn.Module):
    """Network of one camera, for one picture at a time.

    What the network takes from the whole picture is computed as for a picture in parts: by sums and products that hold
    for any size, where pooling to a grid would be written out for one size.

    Args:
        network: Of a camera, or of any; it is copied to the CPU.
    """

    def __init__(self, network: BoundReconstructor) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu()
        self.eval().requires_grad_(False)

    def forward(self, ldr: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 h w"]:
        """Reconstruct a display-referred picture in [0, 1], at least 16 pixels a side."""
        size = (ldr.shape[2], ldr.shape[3])
        with _AnyLength():
            prepared = self.network.prepare([ldr], size)
            return self.network.reconstruct(ldr, prepared=prepared, window=(slice(0, size[0]), slice(0, size[1])))


class _AnyLength(TorchFunctionMode):
    """Compute equally spaced numbers as multiples of a step: `torch.linspace` is traced for one length only."""

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


def probe_picture(height: int, width: int, *, seed: int) -> Float[Tensor, "1 3 {height} {width}"]:
    """Make a picture that reaches every branch: 8-bit noise about a ramp, with black, white, and one white channel."""
    generator = torch.Generator().manual_seed(seed)
    ramp = torch.linspace(0, 1, width).expand(1, 3, height, width)
    noise = 0.2 * torch.rand(1, 3, height, width, generator=generator)
    picture = (255 * (ramp + noise - 0.1).clamp(0, 1)).round() / 255
    picture[..., : height // 3, : width // 4] = 1.0
    picture[..., -height // 3 :, -width // 4 :] = 0.0
    picture[:, 0, : height // 2, width // 2 :] = 1.0
    return picture
