"""Doubling of a picture's size and joining to a finer one: a linear map, and its adjoint."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

from ldr2hdr.layers.kernels import dense, empty_picture, usable_kernels


class UpsampleConcat(nn.Module):
    """Repeat every coarse pixel twice in both directions, and append it to the finer features."""

    def forward(self, fine: Float[Tensor, "b c h w"], coarse: Float[Tensor, "b d h2 w2"]) -> Float[Tensor, "b e h w"]:
        """Join ``(B, C, H, W)`` and ``(B, D, H/2, W/2)`` features to ``(B, C + D, H, W)``."""
        return torch.cat([fine, F.interpolate(coarse, scale_factor=2.0, mode="nearest")], dim=1)


class ClosedUpsampleConcat(UpsampleConcat):
    """`UpsampleConcat` in one pass over channels-last features, with derivatives made of itself and its adjoint."""

    def forward(self, fine: Float[Tensor, "b c h w"], coarse: Float[Tensor, "b d h2 w2"]) -> Float[Tensor, "b e h w"]:
        """Join features as `UpsampleConcat` does."""
        joined: Tensor = _UpsampleConcat.apply(fine, coarse)
        return joined


class _UpsampleConcat(Function):
    @staticmethod
    def forward(ctx: Any, fine: Tensor, coarse: Tensor) -> Tensor:
        ctx.num_fine = fine.shape[1]
        batch, channels, height, width = fine.shape
        kernels = usable_kernels(fine)
        fits = (len(coarse), 2 * coarse.shape[2], 2 * coarse.shape[3]) == (batch, height, width)
        if kernels is None or not fits:  # torch says what does not fit
            return torch.cat([fine, F.interpolate(coarse, scale_factor=2.0, mode="nearest")], dim=1)
        joined = empty_picture((batch, channels + coarse.shape[1], height, width), like=fine)
        kernels("join", [dense(fine), dense(coarse), joined], [batch * height, width, channels, coarse.shape[1]])
        return joined

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return _Adjoint.apply(gradient, ctx.num_fine)


class _Adjoint(Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, num_fine: int) -> tuple[Tensor, ...]:
        batch, channels, height, width = gradient.shape
        kernels = usable_kernels(gradient)
        if kernels is None:
            return gradient[:, :num_fine].clone(), 4 * F.avg_pool2d(gradient[:, num_fine:], 2)
        fine = empty_picture((batch, num_fine, height, width), like=gradient)
        coarse = empty_picture((batch, channels - num_fine, height // 2, width // 2), like=gradient)
        kernels("part", [dense(gradient), fine, coarse], [batch * height, width, num_fine, channels - num_fine])
        return fine, coarse

    @staticmethod
    def backward(ctx: Any, along_fine: Tensor, along_coarse: Tensor) -> tuple[Tensor, None]:
        return _UpsampleConcat.apply(along_fine, along_coarse), None
