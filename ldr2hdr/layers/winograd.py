"""3x3 convolutions by the compiled kernels of ``winograd.c``, and their gradients: 16 products in place of 36."""

import threading
from typing import Final

import torch
from torch import Tensor

from ldr2hdr.layers.kernels import Kernels, dense, empty_picture, usable_kernels

# Channels are padded to multiples of this, as in winograd.c
_PANEL: Final = 16
# Numbers per place of a tile that are worked on at once: with all 16 places, about half of a core's own cache
_NUMBERS: Final = 8192
# Bytes of scratch that a thread keeps for the next call: to ask the system for them each time costs 6 % of a step
_MOST_KEPT: Final = 1 << 24
_LOCAL: Final = threading.local()


def winograd_kernels(
    features: Tensor, weight: Tensor, *others: Tensor | None, stride: tuple[int, int], padding: tuple[int, int]
) -> Kernels | None:
    """Return the compiled kernels if they can take a convolution over, and are faster than torch.

    They work on one thread, so that torch, which shares a picture among several, may have no more of them here.
    """
    fits = (
        tuple(weight.shape[2:]) == (3, 3)
        and stride == padding == (1, 1)
        and features.shape[2] % 2 == features.shape[3] % 2 == 0
        and features.shape[1] == weight.shape[1]
        and features.numel() > 0
        and torch.get_num_threads() == 1
        and not torch.is_autocast_enabled("cpu")
        and all(part is None or part.dtype == features.dtype for part in (weight, *others))
    )
    return usable_kernels(features) if fits else None


def convolve(kernels: Kernels, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``(B, D, H, W)``, the convolution of ``(B, C, H, W)`` by ``(D, C, 3, 3)``."""
    return _convolve(kernels, features, weight, bias, num_out=len(weight), is_adjoint=False)


def data_gradient(kernels: Kernels, gradient: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient ``(B, C, H, W)`` of what was convolved by ``(D, C, 3, 3)``, from that of the result."""
    return _convolve(kernels, gradient, weight, None, num_out=weight.shape[1], is_adjoint=True)


def weight_gradient(kernels: Kernels, gradient: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of kernels ``(D, C, 3, 3)`` and biases."""
    num_in, num_out = features.shape[1], gradient.shape[1]
    of_weight = empty_picture((num_out, num_in, 3, 3), like=features)
    of_bias = features.new_empty(num_out)
    scratch, most = _scratch(features, num_in, num_out)
    tensors = [dense(features), dense(gradient), of_weight, of_bias, scratch]
    kernels("convolve_backward", tensors, [*_sizes(features), num_in, num_out, most])
    return of_weight, of_bias


def _convolve(
    kernels: Kernels, pictures: Tensor, weight: Tensor, bias: Tensor | None, *, num_out: int, is_adjoint: bool
) -> Tensor:
    num_in = pictures.shape[1]
    convolved = empty_picture((len(pictures), num_out, *pictures.shape[2:]), like=pictures)
    scratch, most = _scratch(pictures, num_in, num_out)
    tensors = [dense(pictures), dense(weight), bias, convolved, scratch]
    kernels("convolve", tensors, [*_sizes(pictures), num_in, num_out, most, int(is_adjoint)])
    return convolved


def _sizes(pictures: Tensor) -> list[int]:
    return [len(pictures), *pictures.shape[2:]]


def _scratch(pictures: Tensor, num_in: int, num_out: int) -> tuple[Tensor, int]:
    """Return what the kernels need beside their results, and how many tiles they may work on at once."""
    padded = [-(-channels // _PANEL) * _PANEL for channels in (num_in, num_out)]
    pixels = pictures.numel() // pictures.shape[1]
    most = min(pixels // 4, max(_PANEL, _NUMBERS // sum(padded) // _PANEL * _PANEL))
    transformed = padded[0] * padded[1] + most * sum(padded) + 3 * _PANEL
    copies = sum(wide for wide, channels in zip(padded, (num_in, num_out), strict=True) if wide != channels)
    size = (sum(padded) + 16 * transformed + pixels * copies) * pictures.element_size()
    scratch: Tensor | None = getattr(_LOCAL, "scratch", None)
    if scratch is None or len(scratch) < size:
        scratch = torch.empty(size, dtype=torch.uint8, device=pictures.device)
        if size <= _MOST_KEPT:
            _LOCAL.scratch = scratch
    return scratch[:size].view(pictures.dtype), most
