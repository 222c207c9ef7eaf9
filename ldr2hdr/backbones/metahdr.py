"""U-Net of MetaHDR (Pan and Vento 2021), as published or without its limits."""

from itertools import pairwise
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.backbones.base import AbstractConvolutionalBackbone
from ldr2hdr.backbones.blocks import convolve_exactly, norm_layer, pad_to_multiple
from ldr2hdr.radiometry import LOG_OFFSET

_NUM_HALVINGS: Final = 4


class MetaHDRUNet(AbstractConvolutionalBackbone):
    """U-Net of five resolutions that looks at the picture alone.

    As published: four contracting blocks, features doubled at each, max-pooling, transposed convolutions on the way up,
    skip connections by stacking, ReLU. Two things are optional:

    * ``output=clipped`` ends in the published sigmoid: no value above the sensor's white can be produced. With
      ``output=exposure`` the last layer is the logarithm of a factor on the linearised picture, unbounded; a fresh
      network returns ``linear``.
    * ``norm=batch`` normalises by the statistics of the pictures that are shown together, as published in training and
      in evaluation alike: what a picture becomes depends on the others. None are kept here, where the published network
      let each task move them.

    Single precision, where the published network computed in double. Any size goes in: pictures are padded to a
    multiple of 16 and cropped back, where the published code reads pictures of 1024x1024 only.

    Args:
        num_filters: Features at full size; the published number is 8.
        norm: ``batch``, ``pixel``, ``group`` or ``none``; the last three see ``blocks.norm_layer``.
        output: ``exposure`` or ``clipped``.

    Raises:
        ValueError: If the number of filters is not positive, or an option is unknown.

    References:
        Pan and Vento, "MetaHDR: Model-Agnostic Meta-Learning for HDR Image Reconstruction", 2021.
    """

    multiple: int = 2**_NUM_HALVINGS

    def __init__(
        self,
        num_filters: int = 8,
        norm: str = "group",
        output: str = "exposure",
    ) -> None:
        super().__init__()
        if num_filters < 1:
            raise ValueError(f"backbone.num_filters must be positive, got {num_filters}")
        if output not in ("exposure", "clipped"):
            raise ValueError(f"backbone.output must be exposure or clipped, got {output!r}")
        self.output = output
        sizes = [num_filters * 2**level for level in range(_NUM_HALVINGS + 1)]
        self.down = nn.ModuleList(
            _double_conv(before, after, norm=norm) for before, after in zip([3, *sizes], sizes[:-1], strict=False)
        )
        bottom = _double_conv(sizes[-2], sizes[-1], norm=norm)
        self.bottom = nn.Sequential(bottom, _doubling(sizes[-1], sizes[-2], norm=norm))
        self.up = nn.ModuleList(
            # what comes from below is stacked on the skip connection of the same size
            nn.Sequential(_double_conv(2 * coarse, coarse, norm=norm), _doubling(coarse, fine, norm=norm))
            for fine, coarse in pairwise(sizes[:-1])
        )
        self.last = nn.Sequential(nn.Conv2d(2 * num_filters, 3, 3, padding=1), _norm_layer(norm, 3), nn.ReLU())
        self.out = nn.Conv2d(3, 3, 3, padding=1)
        if output == "exposure":
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(torch.as_tensor(self.out.bias))

    def forward(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct sensor exposure.

        Args:
            ldr: Display-referred pictures in [0, 1], any size.
            linear: The same pictures linearised by the response stage; not looked at with ``output=clipped``.

        Returns:
            Sensor exposure, non-negative; below 1 with ``output=clipped``.
        """
        height, width = ldr.shape[-2:]
        features = pad_to_multiple(ldr, self.multiple)
        skips = []
        for block in self.down:
            skips.append(block(features))
            features = F.max_pool2d(skips[-1], 2)
        features = self.bottom(features)
        for block in reversed(self.up):
            features = block(torch.cat([features, skips.pop()], dim=1))
        last = convolve_exactly(self.out, self.last(torch.cat([features, skips.pop()], dim=1)))[..., :height, :width]
        if self.output == "clipped":
            return torch.sigmoid(last)
        return F.relu((linear + LOG_OFFSET) * last.exp() - LOG_OFFSET)


class BatchStatisticsNorm(nn.Module):
    """Normalise each feature over all pixels of all pictures shown together; nothing is kept for later.

    References:
        Ioffe and Szegedy, "Batch Normalization", ICML 2015, alg. 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Bring ``(B, C, H, W)`` features to mean 0 and variance 1, then to a learned gain and bias."""
        variance, mean = torch.var_mean(features, dim=(0, 2, 3), correction=0, keepdim=True)
        return (features - mean) * torch.rsqrt(variance + 1e-5) * self.gain + self.bias


def _norm_layer(norm: str, channels: int) -> nn.Module:
    """Build a norm of this network; errors as for ``blocks.norm_layer``."""
    return BatchStatisticsNorm(channels) if norm == "batch" else norm_layer(norm, channels)


def _double_conv(channels_in: int, channels_out: int, *, norm: str) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(channels_in, channels_out, 3, padding=1), _norm_layer(norm, channels_out), nn.ReLU()),
        *(nn.Conv2d(channels_out, channels_out, 3, padding=1), _norm_layer(norm, channels_out), nn.ReLU()),
    )


def _doubling(channels_in: int, channels_out: int, *, norm: str) -> nn.Sequential:
    """Build a transposed convolution to twice the size."""
    up = nn.ConvTranspose2d(channels_in, channels_out, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(up, _norm_layer(norm, channels_out), nn.ReLU())
