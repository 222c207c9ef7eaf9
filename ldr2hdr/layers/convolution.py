r"""Convolution closed under differentiation.

:math:`C(x, w)`, its data gradient :math:`D(\bar y, w)` and its weight gradient :math:`W(\bar y, x)` are three bilinear
maps, and each one's derivatives are the other two. Torch's own second derivative instead computes one of them as a
convolution whose kernel is as large as the picture, at a third to two thirds of the speed.
"""

from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

from ldr2hdr.layers.winograd import convolve, data_gradient, weight_gradient, winograd_kernels

_Pair = tuple[int, int]
_DENSE: Final = torch.channels_last
# Neither dilated nor transposed: what comes after the padding in torch's convolution, before the number of groups
_PLAIN: Final = ((1, 1), False, (0, 0))


class ClosedConv2d(nn.Conv2d):
    """`nn.Conv2d` whose derivatives of any order are made of the same three operations; zero padding, one group."""

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        """Convolve ``(B, C, H, W)`` features; the result is channels last."""
        features = input.contiguous(memory_format=_DENSE)
        if self.kernel_size == (1, 1) and self.stride == (1, 1) and self.padding == (0, 0):
            pixels = features.permute(0, 2, 3, 1)
            return F.linear(pixels, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)
        convolved: Tensor = _Convolution.apply(features, self.weight, self.bias, self.stride, self.padding, 1)
        return convolved


class StackedConv2d(nn.Conv2d):
    """`ClosedConv2d` for ``torch.func.vmap``: the kernels of T tasks are T groups of one convolution."""

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        """Convolve ``(B, C, H, W)`` features; in mixed precision, in the lower one."""
        kind, parts = input.device.type, [input, self.weight, self.bias]
        if torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
            parts = [None if part is None else part.to(dtype) for part in parts]
        convolved: Tensor = _StackedConvolution.apply(*parts, self.stride, self.padding, 1)
        return convolved


def can_close(layer: nn.Module) -> bool:
    """Whether a layer is a convolution that `ClosedConv2d` computes."""
    return (
        type(layer) is nn.Conv2d
        and layer.groups == 1
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    )


class _Differentiated(Function):
    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        wanted = tuple(ctx.needs_input_grad[:3])
        inputs = gradient, *ctx.saved_tensors, *ctx.geometry, wanted
        # a first-order step is not recorded
        found = _Gradients.apply(*inputs) if torch.is_grad_enabled() else _gradients(*inputs)
        return *found, None, None, None


class _Convolution(_Differentiated):
    # without setup_context, for which torch inspects a function's signature at every call: 5 % of a first-order step
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, stride: _Pair, padding: _Pair, groups: int
    ) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.geometry = stride, padding, groups
        if groups == 1 and (kernels := winograd_kernels(features, weight, bias, stride=stride, padding=padding)):
            return convolve(kernels, features, weight, bias)
        return torch.ops.aten.convolution(features, weight, bias, stride, padding, *_PLAIN, groups)


class _StackedConvolution(_Differentiated):
    @staticmethod
    def forward(
        features: Tensor, weight: Tensor, bias: Tensor | None, stride: _Pair, padding: _Pair, groups: int
    ) -> Tensor:
        return torch.ops.aten.convolution(features, weight, bias, stride, padding, *_PLAIN, groups)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        features, weight, _, *ctx.geometry = inputs
        ctx.save_for_backward(features, weight)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[Any, ...],
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: _Pair,
        padding: _Pair,
        groups: int,
    ) -> tuple[Tensor, int]:
        """Put the tasks beside the channels; beside the pictures, if all have the same kernel."""
        num_tasks = info.batch_size
        stack = _of_all(features, in_dims[0], num_tasks)
        if in_dims[1] is None and in_dims[2] is None:
            convolved = _StackedConvolution.apply(stack.flatten(0, 1), weight, bias, stride, padding, groups)
            return convolved.unflatten(0, (num_tasks, -1)), 0
        kernels = _of_all(weight, in_dims[1], num_tasks).flatten(0, 1)
        offsets = None if bias is None else _of_all(bias, in_dims[2], num_tasks).flatten()
        pictures = stack.movedim(0, 1).flatten(1, 2)
        convolved = _StackedConvolution.apply(pictures, kernels, offsets, stride, padding, groups * num_tasks)
        return convolved.unflatten(1, (num_tasks, -1)), 1


class _Gradients(Function):
    """Data, weight and bias gradient of a convolution; those not wanted are None."""

    @staticmethod
    def forward(
        ctx: Any,
        gradient: Tensor,
        features: Tensor,
        weight: Tensor,
        stride: _Pair,
        padding: _Pair,
        groups: int,
        wanted: tuple[bool, bool, bool],
    ) -> tuple[Tensor | None, ...]:
        ctx.save_for_backward(gradient, features, weight)
        ctx.geometry = stride, padding, groups
        ctx.set_materialize_grads(False)
        return _gradients(gradient, features, weight, stride, padding, groups, wanted)

    @staticmethod
    def backward(
        ctx: Any, along_features: Tensor | None, along_weight: Tensor | None, along_bias: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        gradient, features, weight = ctx.saved_tensors
        wants_gradient, wants_features, wants_weight, *_ = ctx.needs_input_grad
        of_gradient = of_features = of_weight = None
        if wants_gradient:
            parts = []
            if along_features is not None:
                parts.append(_Convolution.apply(along_features, weight, None, *ctx.geometry))
            if along_weight is not None:
                parts.append(_Convolution.apply(features, along_weight, along_bias, *ctx.geometry))
            elif along_bias is not None:
                parts.append(along_bias[:, None, None].expand_as(gradient))
            of_gradient = sum(parts[1:], parts[0]) if parts else None
        # <gradient, C(along_features, along_weight)> has both as its gradients
        wanted = (wants_features and along_weight is not None, wants_weight and along_features is not None, False)
        if any(wanted):
            data = features if along_features is None else along_features
            kernel = weight if along_weight is None else along_weight
            of_features, of_weight, _ = _Gradients.apply(gradient, data, kernel, *ctx.geometry, wanted)
        return of_gradient, of_features, of_weight, None, None, None, None


def _gradients(
    gradient: Tensor,
    features: Tensor,
    weight: Tensor,
    stride: _Pair,
    padding: _Pair,
    groups: int,
    wanted: tuple[bool, bool, bool],
) -> tuple[Tensor | None, ...]:
    if groups == 1 and (kernels := winograd_kernels(features, weight, gradient, stride=stride, padding=padding)):
        of_features = data_gradient(kernels, gradient, weight) if wanted[0] else None
        of_weight, of_bias = weight_gradient(kernels, gradient, features) if any(wanted[1:]) else (None, None)
        return of_features, of_weight if wanted[1] else None, of_bias if wanted[2] else None
    if groups == 1 and gradient.device.type == "cpu":
        features, gradient = (picture.contiguous(memory_format=_DENSE) for picture in (features, gradient))
    return tuple(
        torch.ops.aten.convolution_backward(
            gradient, features, weight, [len(weight)], stride, padding, *_PLAIN, groups, list(wanted)
        )
    )


def _of_all(tensor: Tensor, dim: int | None, num_tasks: int) -> Tensor:
    """Return a tensor with the tasks first, whether or not they differ in it."""
    return tensor.expand(num_tasks, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
