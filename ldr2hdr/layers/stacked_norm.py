r"""Pixel norm and SiLU of a stack of tasks, with first and second derivative written out: one launch each.

The formulas and names are those of ``pixel_norm``. Of the double backward pass, with
:math:`q = \bar y\,y''(a)\,w`, :math:`m = \mathrm{mean}(n\,p_x)`, :math:`k = \mathrm{mean}(n h)` and
:math:`e = \mathrm{mean}(h\,p_x) - m k`, the results are

.. math:: \tilde y = y'(a)\,w, \quad \tilde b = \sum q, \quad \tilde g = \sum (q n + u t), \quad
          z = q g + u p_g - r (m h + k p_x), \quad \tilde x = r (z - n\,(\mathrm{mean}(z n) + r e)).
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function

import ldr2hdr.layers.device_kernels  # noqa: F401 (defines torch.ops.ldr2hdr)
from ldr2hdr.layers.pixel_norm import PixelNorm, TwiceAtMost


class StackedNormSiLU(nn.Module):
    """A `PixelNorm` and the SiLU behind it, for ``torch.func.vmap``; shares the norm's parameters.

    In mixed precision both compute in that of the parameters: a meta-gradient is sensitive to the rounding of a norm.
    """

    def __init__(self, norm: PixelNorm) -> None:
        super().__init__()
        self.gain, self.bias = norm.gain, norm.bias

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise and activate ``(B, C, H, W)`` features."""
        activated: Tensor = _NormSiLU.apply(features.to(self.gain.dtype), self.gain, self.bias)
        return activated


class _NormSiLU(Function):
    """Of ``(B, C, H, W)`` features and ``(C, 1, 1)`` parameters, or ``(B, T, C, H, W)`` and ``(T, C, 1, 1)``."""

    @staticmethod
    def forward(features: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        return torch.ops.ldr2hdr.norm_silu(features, gain, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return _Backward.apply(gradient.contiguous(), *ctx.saved_tensors)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], features: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, int]:
        """Put the tasks beside the channels, where a convolution of the stack leaves them."""
        dim, *dims = in_dims
        features = (
            features[:, None].expand(-1, info.batch_size, -1, -1, -1) if dim is None else features.movedim(dim, 1)
        )
        gain, bias = (
            tensor if dim is None else tensor.movedim(dim, 0) for tensor, dim in zip((gain, bias), dims, strict=True)
        )
        if gain.shape != bias.shape:
            gain, bias = torch.broadcast_tensors(gain, bias)
        return _NormSiLU.apply(*(tensor.contiguous() for tensor in (features, gain, bias))), 1


class _Backward(Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*inputs)
        along_features, parts = torch.ops.ldr2hdr.norm_silu_backward(*inputs)
        return along_features, *_sum(parts, inputs[2])

    @staticmethod
    def backward(ctx: Any, *along: Tensor) -> tuple[Tensor | None, ...]:
        return _DoubleBackward.apply(*(tensor.contiguous() for tensor in along), *ctx.saved_tensors)


class _DoubleBackward(TwiceAtMost):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, ...]:
        of_gradient, of_features, parts = torch.ops.ldr2hdr.norm_silu_double_backward(*inputs)
        return of_gradient, of_features, *_sum(parts, inputs[5])


def _sum(parts: Tensor, gain: Tensor) -> tuple[Tensor, ...]:
    """Sum what gain and bias get over all pixels, and over the tasks if they share them."""
    ones = [1] * (parts.ndim - 2 - gain.ndim)
    return parts.sum_to_size(2, *ones, *gain.shape).view(2, *gain.shape).unbind()
