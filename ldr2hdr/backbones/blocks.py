"""Building blocks shared by the backbones: none keeps running statistics, all are twice differentiable."""

import math
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.layers.pixel_norm import PixelNorm
from ldr2hdr.layers.precision import full_precision
from ldr2hdr.radiometry import LOG_OFFSET


def norm_layer(norm: str, channels: int) -> nn.Module:
    """Build a norm without running statistics.

    Args:
        norm: ``pixel`` over channels at each pixel, ``group`` over groups of eight channels of the whole picture,
            or ``none``.
        channels: Number of features.

    Raises:
        ValueError: If the norm is unknown.
    """
    if norm == "pixel":
        return PixelNorm(channels)
    if norm == "group":
        return nn.GroupNorm(max(1, channels // 8), channels)
    if norm == "none":
        return nn.Identity()
    raise ValueError(f"backbone.norm must be one of pixel, group, none, got {norm!r}")


def conv_block(channels_in: int, channels_out: int, *, norm: str) -> nn.Sequential:
    """Build two 3x3 convolutions, each followed by a norm and SiLU (smooth, so that second derivatives exist)."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, padding_mode="zeros"),
        norm_layer(norm, channels_out),
        nn.SiLU(),
        nn.Conv2d(channels_out, channels_out, 3, padding=1, padding_mode="zeros"),
        norm_layer(norm, channels_out),
        nn.SiLU(),
    )


def convolve_exactly(conv: nn.Conv2d, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
    """Convolve in the precision of the parameters, whatever the network runs in.

    For what goes into an exponential: in bfloat16 it has errors of a percent, which the meta-gradient of a network that
    has learned does not stand.
    """
    if torch.is_autocast_enabled(features.device.type):
        with full_precision(features):
            return cast(Tensor, conv(features.to(conv.weight.dtype)))
    return cast(Tensor, conv(features))


class LogHead(nn.Module):
    """Turn features into sensor exposure: the linearised picture times an unbounded, positive factor.

    The convolution starts at zero, so that a fresh network returns what it was given and learns the rest.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 3, 1)
        nn.init.zeros_(self.conv.weight)
        nn.init.zeros_(torch.as_tensor(self.conv.bias))

    def forward(self, features: Float[Tensor, "b c h w"], linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Multiply ``linear + LOG_OFFSET`` by the exponential of a 1x1 convolution of the features."""
        return self.render(convolve_exactly(self.conv, features), linear)

    def render(
        self, log_factor: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Compute sensor exposure from what the convolution gives."""
        return F.relu((linear + LOG_OFFSET) * torch.exp(log_factor) - LOG_OFFSET)

    def log_factor(
        self, exposure: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Compute what the convolution would have to give for an exposure: the inverse of ``render``."""
        return torch.log(exposure + LOG_OFFSET) - torch.log(linear + LOG_OFFSET)


def stem_features(ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 6 h w"]:
    """Stack the picture, and its linearisation in stops, both about [-1, 1]: the input of every network of ours."""
    stops = torch.log2(linear + LOG_OFFSET) / math.log2(1 / LOG_OFFSET)
    return torch.cat([2 * ldr - 1, 2 * stops + 1], dim=1)


def pad_to_multiple(picture: Float[Tensor, "b c h w"], multiple: int) -> Float[Tensor, "b c H W"]:
    """Replicate the last row and column until both sides are multiples; crop back with ``[..., :h, :w]``.

    Example:
        >>> pad_to_multiple(torch.zeros(1, 6, 5, 8), 4).shape
        torch.Size([1, 6, 8, 8])
    """
    height, width = picture.shape[-2:]
    # exported for any size, it must not depend on this one
    if not torch.compiler.is_exporting() and not (height % multiple or width % multiple):
        return picture
    return F.pad(picture, (0, -width % multiple, 0, -height % multiple), mode="replicate")
