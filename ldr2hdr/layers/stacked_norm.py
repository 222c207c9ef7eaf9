r"""Pixel norm and SiLU of a stack of tasks, with first and second derivative written out in torch's operations.

The formulas and names are those of ``pixel_norm``; autograd would make three times as many operations of them. Of the
double backward pass, with :math:`q = \bar y\,y''(a)\,w`, :math:`m = \mathrm{mean}(n\,p_x)`,
:math:`k = \mathrm{mean}(n h)` and :math:`e = \mathrm{mean}(h\,p_x) - m k`, the results are

.. math:: \tilde y = y'(a)\,w, \quad \tilde b = \sum q, \quad \tilde g = \sum (q n + u t), \quad
          z = q g + u p_g - r (m h + k p_x), \quad \tilde x = r (z - n\,(\mathrm{mean}(z n) + r e)).
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

from ldr2hdr.layers.pixel_norm import EPS, PixelNorm, TwiceAtMost


class StackedNormSiLU(nn.Module):
    """A `PixelNorm` and the SiLU behind it, for ``torch.func.vmap``; shares the norm's parameters.

    In mixed precision both compute in that of the parameters: a meta-gradient is sensitive to the rounding of a norm.
    """

    def __init__(self, norm: PixelNorm) -> None:
        super().__init__()
        self.gain, self.bias = norm.gain, norm.bias

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise and activate ``(B, C, H, W)`` features."""
        activated: Tensor = _NormSiLU.apply(features.to(self.gain.dtype), self.gain, self.bias)[0]
        return activated


class _NormSiLU(Function):
    """Beside the activated features it returns what its derivatives need: normalised, scale, and before activation."""

    @staticmethod
    def forward(features: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
        scale = torch.rsqrt(_mean(features.square()) + EPS)
        normalised = features * scale
        before = torch.addcmul(bias, normalised, gain)
        return F.silu(before), normalised, scale, before

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*inputs, *output[1:])
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        return (None, None, None) if gradient is None else _Backward.apply(gradient, *ctx.saved_tensors)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], features: Tensor, gain: Tensor, bias: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        features = (
            features.expand(info.batch_size, *features.shape) if in_dims[0] is None else _first(features, in_dims[0])
        )
        gain, bias = (
            tensor if dim is None else _first(tensor, dim)[:, None]
            for tensor, dim in zip((gain, bias), in_dims[1:], strict=True)
        )
        return _NormSiLU.apply(features, gain, bias), (0, 0, 0, 0)


class _Backward(Function):
    @staticmethod
    def forward(
        ctx: Any,
        gradient: Tensor,
        features: Tensor,
        gain: Tensor,
        bias: Tensor,
        normalised: Tensor,
        scale: Tensor,
        before: Tensor,
    ) -> tuple[Tensor, ...]:
        u = torch.ops.aten.silu_backward(gradient, before)
        h = u * gain
        k = _mean(h * normalised)
        ctx.save_for_backward(gradient, gain, normalised, scale, before, u, h, k)
        along_features = scale * torch.addcmul(h, normalised, k, value=-1)
        return along_features, _sum_to(u * normalised, gain), _sum_to(u, bias)

    @staticmethod
    def backward(ctx: Any, *along: Tensor) -> tuple[Tensor | None, ...]:
        # the features and the bias are not needed, but have derivatives
        return *_DoubleBackward.apply(*along, *ctx.saved_tensors), None, None, None


class _DoubleBackward(TwiceAtMost):
    @staticmethod
    def forward(
        ctx: Any,
        p_x: Tensor,
        p_g: Tensor,
        p_b: Tensor,
        gradient: Tensor,
        gain: Tensor,
        n: Tensor,
        r: Tensor,
        a: Tensor,
        u: Tensor,
        h: Tensor,
        k: Tensor,
    ) -> tuple[Tensor, ...]:
        m = _mean(n * p_x)
        t = r * torch.addcmul(p_x, n, m, value=-1)
        w = torch.addcmul(torch.addcmul(p_b, n, p_g), t, gain)
        q = gradient * w * _second_derivative(a)
        z = torch.addcmul(q * gain, u, p_g)
        z = torch.addcmul(z, r, torch.addcmul(m * h, k, p_x), value=-1)
        e = torch.addcmul(_mean(h * p_x), m, k, value=-1)
        of_features = r * torch.addcmul(z, n, torch.addcmul(_mean(z * n), r, e), value=-1)
        of_gain = _sum_to(torch.addcmul(q * n, u, t), gain)
        return torch.ops.aten.silu_backward(w, a), of_features, of_gain, _sum_to(q, gain)


def _second_derivative(a: Tensor) -> Tensor:
    """SiLU's: ``s (1 - s) (2 + a (1 - 2 s))`` with the sigmoid ``s`` of ``a``."""
    s = torch.sigmoid(a)
    return torch.addcmul(s, s, s, value=-1) * (torch.addcmul(a, a, s, value=-2) + 2)


def _mean(features: Tensor) -> Tensor:
    return features.mean(dim=-3, keepdim=True)


def _sum_to(features: Tensor, parameter: Tensor) -> Tensor:
    """Sum over all but the features, and the tasks if the parameter has them."""
    return features.sum_to_size(parameter.shape)


def _first(tensor: Tensor, dim: int) -> Tensor:
    return tensor.movedim(dim, 0)
