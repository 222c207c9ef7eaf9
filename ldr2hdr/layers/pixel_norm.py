r"""Pixel norm and SiLU as one operation, with first and second derivative written out.

With :math:`x` the features of one pixel, the forward pass is

.. math:: r = (\mathrm{mean}(x^2) + \epsilon)^{-1/2}, \quad n = r x, \quad a = n\,g + b, \quad y = a\,\sigma(a).

:math:`J = r (I - n n^T / C)` is the (symmetric) derivative of :math:`n`. With :math:`u = \bar y\,y'(a)` and
:math:`h = u g`, the backward pass is :math:`\bar x = J h`, :math:`\bar g = \sum u n`, :math:`\bar b = \sum u`.

The double backward pass differentiates :math:`\Phi = p_x\cdot\bar x + p_g\cdot\bar g + p_b\cdot\bar b`, which is
:math:`\sum \bar y\,y'(a)\,w` with :math:`t = J p_x` and :math:`w = t g + p_g n + p_b`, the change of :math:`a` along
:math:`p`.
"""

from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

from ldr2hdr.layers.kernels import SUFFIX, Kernels, dense, usable_kernels

EPS: Final = 1e-5


class PixelNorm(nn.Module):
    """Scale every pixel's feature vector to unit mean square, then by a learned gain and bias.

    Unlike group or batch norm it has no statistics over the picture or the batch: a task cannot leak into another
    one, and a picture cut into tiles gives the same numbers as the whole.

    References:
        Zhang and Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019, eq. 4.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise ``(B, C, H, W)`` features over their channels."""
        scale = torch.rsqrt(features.square().mean(dim=1, keepdim=True) + EPS)
        return features * scale * self.gain + self.bias


class PixelNormSiLU(nn.Module):
    """A `PixelNorm` and the SiLU behind it; shares the norm's parameters."""

    def __init__(self, norm: PixelNorm) -> None:
        super().__init__()
        self.gain, self.bias = norm.gain, norm.bias

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise and activate ``(B, C, H, W)`` features."""
        return pixel_norm_silu(features, self.gain, self.bias)


class KernelSiLU(nn.Module):
    """SiLU whose first and second derivative take one pass each."""

    def forward(self, features: Float[Tensor, "b c *size"]) -> Float[Tensor, "b c *size"]:
        """Activate features: those of pictures by the kernels, and vectors by torch."""
        if features.ndim != 4 or usable_kernels(features) is None:
            return F.silu(features)
        activated: Tensor = _SiLU.apply(dense(features))
        return activated


def pixel_norm_silu(
    features: Float[Tensor, "b c h w"], gain: Float[Tensor, "c 1 1"], bias: Float[Tensor, "c 1 1"]
) -> Float[Tensor, "b c h w"]:
    """Return ``silu(normalised * gain + bias)``, channels last, by compiled kernels or by torch."""
    if features.dtype not in SUFFIX:
        scale = torch.rsqrt(features.square().mean(dim=1, keepdim=True) + EPS)
        return F.silu(features * scale * gain + bias)
    activated: Tensor = _PixelNormSiLU.apply(dense(features), gain.contiguous(), bias.contiguous())
    return activated


# What these functions get is dense already. A copy made inside of one would be a constant to its derivatives.


class _PixelNormSiLU(Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(features, gain, bias)
        kernels = usable_kernels(features)
        if kernels is None:
            return F.silu(steps(features, gain, bias)[2])
        activated = torch.empty_like(features)
        kernels("norm_silu", [features, gain, bias, activated], _sizes(features), eps=EPS)
        return activated

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        inputs = dense(gradient), *ctx.saved_tensors
        return _PixelNormSiLUBackward.apply(*inputs) if torch.is_grad_enabled() else _norm_backward(*inputs)


class _PixelNormSiLUBackward(Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, features: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
        inputs = gradient, features, gain, bias
        ctx.save_for_backward(*inputs)
        return _norm_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, along_features: Tensor, along_gain: Tensor, along_bias: Tensor) -> tuple[Tensor, ...]:
        along = dense(along_features), along_gain.contiguous(), along_bias.contiguous()
        if usable_kernels(along_features) is None:
            of_gradient, of_features, *parts = second_derivative(*along, *ctx.saved_tensors)
            return of_gradient, of_features, *(part.sum_to_size(along_gain.shape) for part in parts)
        return _PixelNormSiLUDoubleBackward.apply(*along, *ctx.saved_tensors)


class TwiceAtMost(Function):
    """A second derivative; its own is an error. ``once_differentiable`` would leave it out silently in places."""

    @staticmethod
    def backward(ctx: Any, *along: Tensor) -> None:
        """Refuse."""
        raise RuntimeError("these layers are differentiated twice at most; more often on a CPU with LDR2HDR_KERNELS=0")


class _PixelNormSiLUDoubleBackward(TwiceAtMost):
    @staticmethod
    def forward(
        ctx: Any,
        along_features: Tensor,
        along_gain: Tensor,
        along_bias: Tensor,
        gradient: Tensor,
        features: Tensor,
        gain: Tensor,
        bias: Tensor,
    ) -> tuple[Tensor, ...]:
        outputs = torch.empty_like(features), torch.empty_like(features), torch.empty_like(gain), torch.empty_like(bias)
        tensors = [along_features, along_gain, along_bias, gradient, features, gain, bias, *outputs]
        _kernels(features)("norm_silu_double_backward", tensors, _sizes(features), eps=EPS)
        return outputs


class _SiLU(Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        return F.silu(features)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        through: Tensor = _SiLUBackward.apply(dense(gradient), *ctx.saved_tensors)
        return through


class _SiLUBackward(Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, features: Tensor) -> Tensor:
        ctx.save_for_backward(gradient, features)
        through = torch.empty_like(features)
        _kernels(features)("silu_backward", [gradient, features, through], [features.numel()])
        return through

    @staticmethod
    def backward(ctx: Any, along: Tensor) -> tuple[Tensor, ...]:
        return _SiLUDoubleBackward.apply(dense(along), *ctx.saved_tensors)


class _SiLUDoubleBackward(TwiceAtMost):
    @staticmethod
    def forward(ctx: Any, along: Tensor, gradient: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        outputs = torch.empty_like(features), torch.empty_like(features)
        tensors = [along, gradient, features, *outputs]
        _kernels(features)("silu_double_backward", tensors, [features.numel()])
        return outputs


def _norm_backward(gradient: Tensor, features: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    kernels = usable_kernels(features)
    if kernels is None:
        of_features, *parts = first_derivative(gradient, features, gain, bias)
        return of_features, *(part.sum_to_size(gain.shape) for part in parts)
    outputs = torch.empty_like(features), torch.empty_like(gain), torch.empty_like(bias)
    kernels("norm_silu_backward", [gradient, features, gain, bias, *outputs], _sizes(features), eps=EPS)
    return outputs


def steps(features: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``r``, ``n`` and ``a`` of features ``(..., C, H, W)``, by torch."""
    scale = torch.rsqrt(_mean(features.square()) + EPS)
    normalised = features * scale
    return scale, normalised, torch.addcmul(bias, normalised, gain)


def first_derivative(gradient: Tensor, features: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradient of the features, and what gain and bias get of each pixel, by torch."""
    r, n, a = steps(features, gain, bias)
    u = _through_silu(gradient, a)
    h = u * gain
    return r * torch.addcmul(h, n, _mean(h * n), value=-1), u * n, u


def second_derivative(
    p_x: Tensor, p_g: Tensor, p_b: Tensor, gradient: Tensor, features: Tensor, gain: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what gradient and features get, and gain and bias of each pixel, by torch; see ``stacked_norm``."""
    r, n, a = steps(features, gain, bias)
    u = _through_silu(gradient, a)
    h, m = u * gain, _mean(n * p_x)
    k = _mean(h * n)
    t = r * torch.addcmul(p_x, n, m, value=-1)
    w = torch.addcmul(torch.addcmul(p_b, n, p_g), t, gain)
    q = gradient * w * _silu_curvature(a)
    z = torch.addcmul(q * gain, u, p_g)
    z = torch.addcmul(z, r, torch.addcmul(m * h, k, p_x), value=-1)
    e = torch.addcmul(_mean(h * p_x), m, k, value=-1)
    of_features = r * torch.addcmul(z, n, torch.addcmul(_mean(z * n), r, e), value=-1)
    return _through_silu(w, a), of_features, torch.addcmul(q * n, u, t), q


def _through_silu(gradient: Tensor, a: Tensor) -> Tensor:
    """SiLU's gradient; torch's one operation has no derivative, so that none stands where a third one may be wanted."""
    if not torch.is_grad_enabled():
        return torch.ops.aten.silu_backward(gradient, a)
    s = torch.sigmoid(a)
    return gradient * torch.addcmul(s, a, torch.addcmul(s, s, s, value=-1))


def _silu_curvature(a: Tensor) -> Tensor:
    """SiLU's second derivative, ``s (1 - s) (2 + a (1 - 2 s))`` with the sigmoid ``s`` of ``a``."""
    s = torch.sigmoid(a)
    return torch.addcmul(s, s, s, value=-1) * (torch.addcmul(a, a, s, value=-2) + 2)


def _mean(features: Tensor) -> Tensor:
    return features.mean(dim=-3, keepdim=True)


def _sizes(features: Tensor) -> list[int]:
    """Pixels and channels."""
    channels = features.shape[1]
    return [features.numel() // channels, channels]


def _kernels(features: Tensor) -> Kernels:
    kernels = usable_kernels(features)
    if kernels is None:
        raise RuntimeError("the compiled kernels disappeared between the forward and the backward pass")
    return kernels
