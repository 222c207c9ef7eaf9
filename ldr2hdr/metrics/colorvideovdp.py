"""The one place where ColorVideoVDP is loaded.

Its package imports torchvision, of which a still picture needs one Gaussian blur. Beside a CPU build of torch
torchvision does not load, and once installed it keeps Lightning from loading too. So a blur stands in for it while
ColorVideoVDP is imported, and its root package, which would also import its video readers and trained heads, is not
run.
"""

import functools
import importlib
import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

_INSTALL: Final = "pip install 'ldr2hdr[perceptual]' && pip install --no-deps cvvdp==0.5.7"


class GaussianBlur(torch.nn.Module):
    """Gaussian blur with mirrored borders, under the name and with the arguments of torchvision.

    Args:
        kernel_size: Side of the window in pixels, odd.
        sigma: Standard deviation in pixels.
    """

    kernel: Tensor

    def __init__(self, kernel_size: int, sigma: int | float) -> None:
        super().__init__()
        offsets = torch.arange(kernel_size) - (kernel_size - 1) / 2
        kernel = torch.exp(-(offsets / sigma).square() / 2)
        self.register_buffer("kernel", kernel / kernel.sum())

    def forward(self, image: Float[Tensor, "*b h w"]) -> Float[Tensor, "*b h w"]:
        """Blur; both sides must be longer than half the window."""
        kernel = self.kernel.to(image)
        half = len(kernel) // 2
        flat = functional.pad(image.reshape(-1, 1, *image.shape[-2:]), (half,) * 4, mode="reflect")
        flat = functional.conv2d(functional.conv2d(flat, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
        return flat.reshape(image.shape)


@functools.lru_cache(maxsize=4)
def load(display_name: str, device: torch.device) -> Any:  # noqa: ANN401 - a class of an optional package
    """Load the metric on one of its displays.

    Raises:
        ModuleNotFoundError: If ColorVideoVDP is not installed, with how to install it.
        ValueError: If it knows no such display.
    """
    metric = _import_metric()
    try:
        return metric.cvvdp(display_name=display_name, device=device, heatmap=None)
    except metric.vq_exception as error:
        raise ValueError(f"ColorVideoVDP has no display {display_name!r}: {error}") from error


@functools.cache
def _import_metric() -> ModuleType:
    root = importlib.util.find_spec("pycvvdp")
    if root is None or root.origin is None:
        raise ModuleNotFoundError(f"the metric cvvdp needs ColorVideoVDP, which is not installed: {_INSTALL}")
    package = ModuleType("pycvvdp")
    package.__path__, package.__file__, package.__spec__ = [str(Path(root.origin).parent)], root.origin, root
    sys.modules.setdefault("pycvvdp", package)
    transforms = ModuleType("torchvision.transforms")
    transforms.GaussianBlur = GaussianBlur  # type: ignore[attr-defined]
    stand_ins = {"torchvision": ModuleType("torchvision"), transforms.__name__: transforms}
    hidden = {name: sys.modules.pop(name) for name in stand_ins if name in sys.modules}
    sys.modules.update(stand_ins)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the syntax of its files
            return importlib.import_module("pycvvdp.cvvdp_metric")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"ColorVideoVDP is installed without {error.name}: {_INSTALL}") from error
    finally:
        for name in stand_ins:
            del sys.modules[name]
        sys.modules.update(hidden)
