"""U-Net in the log domain."""

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.backbones.base import AbstractHeadedBackbone
from ldr2hdr.backbones.blocks import LogHead, conv_block, pad_to_multiple, stem_features
from ldr2hdr.layers.resampling import UpsampleConcat


class UNet(AbstractHeadedBackbone):
    """Contract and expand with skip connections; one resolution per width, halved each time.

    Args:
        widths: Features at each resolution, from the full one down.
        norm: ``pixel``, ``group`` or ``none``; see ``blocks.norm_layer``.

    Raises:
        ValueError: If there are fewer than two widths or one is not positive.

    References:
        Ronneberger, Fischer, Brox, "U-Net", MICCAI 2015; four resolutions as in Pan and Vento, "MetaHDR", 2021.
    """

    multiple: int

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 128), norm: str = "pixel") -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(f"backbone.widths needs at least two positive numbers, got {list(widths)}")
        self.stem = conv_block(6, widths[0], norm=norm)
        self.down = nn.ModuleList(conv_block(fine, coarse, norm=norm) for fine, coarse in pairwise(widths))
        self.up = nn.ModuleList(conv_block(fine + coarse, fine, norm=norm) for fine, coarse in pairwise(widths))
        self.join = UpsampleConcat()
        self.head = LogHead(widths[0])
        self.multiple = 2 ** len(self.down)

    def features(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """Compute the features that the head looks at; arguments as for ``forward``."""
        height, width = ldr.shape[-2:]
        features = self.stem(pad_to_multiple(stem_features(ldr, linear), self.multiple))
        skips = []
        for block in self.down:
            skips.append(features)
            features = block(F.avg_pool2d(features, 2))
        for block in reversed(self.up):
            features = block(self.join(skips.pop(), features))
        return features[..., :height, :width]
