"""Pixel norm with SiLU of a stack of tasks as operations of torch, ``torch.ops.ldr2hdr``: one launch per derivative.

On a GPU they are kernels of ``device_kernels.c``, compiled for it at first use; on a CPU the same source compiled as C;
where neither can be, torch's operations in their place.
"""

import functools
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F

from ldr2hdr.layers.kernels import DEVICE_SOURCE, SUFFIX, load_kernels
from ldr2hdr.layers.pixel_norm import EPS, first_derivative, second_derivative, steps

_Launch = Callable[[str, Sequence[Tensor], Sequence[int]], None]
_THREADS: Final = 128  # of a block: a thread keeps some ten numbers

_log = logging.getLogger(__name__)


def norm_silu(features: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Return ``silu(normalised * gain + bias)`` of ``(B, T, C, H, W)`` features and ``(T, C, 1, 1)`` parameters."""
    launch = _launcher(features)
    if launch is None:
        return F.silu(steps(features, gain, bias)[2])
    features, gain, bias = (tensor.contiguous() for tensor in (features, gain, bias))
    activated = torch.empty_like(features)
    launch("stacked_norm_silu", [features, gain, bias, activated], _sizes(features, gain))
    return activated


def norm_silu_backward(gradient: Tensor, features: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient of the features, and what gain and bias get of each pixel, ``(B, 2, T, C, H, W)``."""
    launch = _launcher(features)
    if launch is None:
        of_features, *parts = first_derivative(gradient, features, gain, bias)
        return of_features, torch.stack(parts, dim=1)
    inputs = [tensor.contiguous() for tensor in (gradient, features, gain, bias)]
    outputs = torch.empty_like(inputs[1]), _empty_parts(features)
    launch("stacked_norm_silu_backward", [*inputs, *outputs], _sizes(features, gain))
    return outputs


def norm_silu_double_backward(
    along_features: Tensor,
    along_gain: Tensor,
    along_bias: Tensor,
    gradient: Tensor,
    features: Tensor,
    gain: Tensor,
    bias: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the second derivative's parts for gradient and features, and for gain and bias as in the first."""
    launch = _launcher(features)
    if launch is None:
        along = along_features, along_gain, along_bias
        of_gradient, of_features, *parts = second_derivative(*along, gradient, features, gain, bias)
        return of_gradient, of_features, torch.stack(parts, dim=1)
    along = (along_features, along_gain, along_bias)
    inputs = [tensor.contiguous() for tensor in (*along, gradient, features, gain, bias)]
    outputs = torch.empty_like(inputs[4]), torch.empty_like(inputs[4]), _empty_parts(features)
    launch("stacked_norm_silu_double_backward", [*inputs, *outputs], _sizes(features, gain))
    return outputs


def _empty_parts(features: Tensor) -> Tensor:
    return features.new_empty((len(features), 2, *features.shape[1:]))


def _sizes(features: Tensor, gain: Tensor) -> list[int]:
    """Pictures, tasks, channels, pixels, and sets of gains: one for all tasks, or one each."""
    pictures, *tasks, channels, height, width = features.shape
    return [pictures, tasks[0] if tasks else 1, channels, height * width, gain.numel() // channels]


def _launcher(features: Tensor) -> _Launch | None:
    """Return what runs the kernels on these features; None if torch's operations have to."""
    if features.dtype not in SUFFIX or not features.numel():
        return None
    if features.device.type == "cuda":
        return None if _cuda_kernel(features.device, "stacked_norm_silu_f32") is None else _launch_cuda
    kernels = load_kernels() if features.device.type == "cpu" else None
    return None if kernels is None else functools.partial(kernels, eps=EPS)


def _launch_cuda(name: str, tensors: Sequence[Tensor], sizes: Sequence[int]) -> None:
    first = tensors[0]
    kernel = _cuda_kernel(first.device, f"{name}_{SUFFIX[first.dtype]}")
    if kernel is None:
        raise RuntimeError(f"the kernel {name} cannot be compiled where another one could")
    pictures, tasks, _, pixels, _ = sizes
    blocks = -(-pictures * tasks * pixels // _THREADS)
    with torch.cuda.device(first.device):
        kernel(grid=(blocks, 1, 1), block=(_THREADS, 1, 1), args=[*tensors, *sizes, EPS])


@functools.cache
def _cuda_kernel(device: torch.device, name: str) -> Callable[..., None] | None:
    """Compile a kernel for a device; None, with one warning, if that is not possible."""
    if os.environ.get("LDR2HDR_KERNELS") == "0":
        return None
    try:
        with torch.cuda.device(device):
            return _compile(name)
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        _log.warning("no kernels on %s, layers run by torch's operations (slower, same numbers): %s", device, error)
        return None


def _compile(name: str) -> Callable[..., None]:
    from torch.utils import cpp_extension  # slow, and for a GPU alone

    found = cpp_extension.CUDA_HOME
    try:
        # torch names the folder of the toolkit's headers to its compiler; the source needs none, nor the toolkit
        cpp_extension.CUDA_HOME = found or os.sep
        compiled: Any = torch.cuda._compile_kernel(DEVICE_SOURCE.read_text(), name)
    finally:
        cpp_extension.CUDA_HOME = found
    return compiled


_library = torch.library.Library("ldr2hdr", "DEF")
for _schema, _function in (
    ("norm_silu(Tensor features, Tensor gain, Tensor bias) -> Tensor", norm_silu),
    (
        "norm_silu_backward(Tensor gradient, Tensor features, Tensor gain, Tensor bias) -> (Tensor, Tensor)",
        norm_silu_backward,
    ),
    (
        "norm_silu_double_backward(Tensor along_features, Tensor along_gain, Tensor along_bias, Tensor gradient, "
        "Tensor features, Tensor gain, Tensor bias) -> (Tensor, Tensor, Tensor)",
        norm_silu_double_backward,
    ),
):
    _library.define(_schema)
    _library.impl(_schema.partition("(")[0], _function, "CompositeExplicitAutograd")
