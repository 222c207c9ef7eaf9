"""Residual encoder-decoder in the log domain."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.backbones.base import AbstractHeadedBackbone
from ldr2hdr.backbones.blocks import LogHead, norm_layer, pad_to_multiple, stem_features


class ResidualBlock(nn.Module):
    """Pre-activation residual block, two 3x3 convolutions (He et al., ECCV 2016, fig. 4e)."""

    def __init__(self, width: int, *, norm: str) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            norm_layer(norm, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            norm_layer(norm, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Add the block's correction to its input."""
        return features + self.residual(features)


class ResNet(AbstractHeadedBackbone):
    """Encode to a quarter of the size, refine by residual blocks, decode with skip connections.

    Args:
        width: Features at full size; twice and four times as many at half and quarter size.
        num_blocks: Residual blocks at quarter size.
        norm: ``pixel``, ``group`` or ``none``; see ``blocks.norm_layer``.

    Raises:
        ValueError: If the width or the number of blocks is not positive.

    References:
        Johnson, Alahi, Fei-Fei, "Perceptual Losses", ECCV 2016, for the encoder, residual blocks, decoder layout.
    """

    multiple: int = 4  # two halvings

    def __init__(self, width: int = 16, num_blocks: int = 6, norm: str = "pixel") -> None:
        super().__init__()
        if width < 1 or num_blocks < 1:
            raise ValueError(f"backbone.width and backbone.num_blocks must be positive, got {width} and {num_blocks}")
        self.stem = nn.Conv2d(6, width, 3, padding=1)
        self.to_half = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.to_quarter = nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(4 * width, norm=norm) for _ in range(num_blocks)))
        self.from_quarter = nn.Conv2d(4 * width, 2 * width, 3, padding=1)
        self.from_half = nn.Conv2d(2 * width, width, 3, padding=1)
        self.activation = nn.SiLU()
        self.head = LogHead(width)

    def features(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """Compute the features that the head looks at; arguments as for ``forward``."""
        height, width = ldr.shape[-2:]
        full = self.activation(self.stem(pad_to_multiple(stem_features(ldr, linear), self.multiple)))
        half = self.activation(self.to_half(full))
        features = self.body(self.activation(self.to_quarter(half)))
        features = self.activation(self.from_quarter(F.interpolate(features, scale_factor=2.0, mode="nearest"))) + half
        features = self.activation(self.from_half(F.interpolate(features, scale_factor=2.0, mode="nearest"))) + full
        return features[..., :height, :width]
