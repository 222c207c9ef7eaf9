"""HDRUNet of Chen et al. 2021: a U-Net that a condition network modulates at every pixel."""

from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.backbones.base import AbstractConvolutionalBackbone
from ldr2hdr.backbones.blocks import pad_to_multiple
from ldr2hdr.radiometry import LOG_OFFSET

# Exponent from the display values of the challenge it was made for to linear light
_GAMMA: Final = 2.24
_SLOPE: Final = 0.1


class HDRUNet(AbstractConvolutionalBackbone):
    """Display values plus a correction: ``mask(ldr) * ldr + net(ldr)``, then to linear light by the power 2.24.

    As published: the U-Net of three resolutions with residual blocks, whose features are scaled and shifted per pixel
    (SFT) by what a condition network makes of the picture, the mask network, no norm. The published network writes
    display values of the challenge NTIRE 2021, whose light is their power of 2.24; here that power belongs to the
    network, negative display values being black. Any size goes in: pictures are padded to a multiple of 4 and cropped
    back, where the published one fails.

    Not as published is the start: mask 1 and correction 0, so that a fresh network returns the linearised picture. From
    a random start whole channels may be negative, and black has no slope.

    Args:
        width: Features; the published number is 64. The modulation has half as many.
        num_blocks: Residual blocks on the way down, at a quarter of the size, and on the way up.
        linearisation: ``published`` masks the picture and ignores the response stage; ``response`` masks the display
            values of the response stage's linearisation.

    Raises:
        ValueError: If the width is below 2, a number of blocks is not positive, there are not three of them, or the
            linearisation is unknown.

    References:
        Chen et al., "HDRUNet: Single Image HDR Reconstruction with Denoising and Dequantization", CVPR workshops 2021.
        Wang et al., "Recovering Realistic Texture by Deep Spatial Feature Transform", CVPR 2018, for the modulation.
    """

    multiple: int = 4  # two halvings

    def __init__(
        self,
        width: int = 64,
        num_blocks: Sequence[int] = (2, 8, 2),
        linearisation: str = "published",
    ) -> None:
        super().__init__()
        if width < 2:
            raise ValueError(f"backbone.width must be at least 2, got {width}")
        if len(num_blocks) != 3 or min(num_blocks) < 1:
            raise ValueError(f"backbone.num_blocks needs three positive numbers, got {list(num_blocks)}")
        if linearisation not in ("published", "response"):
            raise ValueError(f"backbone.linearisation must be published or response, got {linearisation!r}")
        self.linearisation = linearisation
        self.condition = _Condition(width)
        self.mask = _mask_network(width)
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.modulate_first = Modulation(width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.to_half = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.to_quarter = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.down, self.bottom, self.up = (
            nn.ModuleList(ModulatedResidual(width) for _ in range(number)) for number in num_blocks
        )
        self.from_quarter, self.from_half = (
            nn.Sequential(nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.ReLU()) for _ in range(2)
        )
        self.modulate_last = Modulation(width)
        self.last = nn.Conv2d(width, width, 3, padding=1)
        self.out = nn.Conv2d(width, 3, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(torch.as_tensor(self.out.bias))

    def forward(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct sensor exposure; arguments and result as for `AbstractBackbone`, and see ``linearisation``."""
        padded = pad_to_multiple(ldr, self.multiple)
        size = (..., slice(ldr.shape[-2]), slice(ldr.shape[-1]))
        mask, correction = self.mask(padded)[size], self._correct(padded)[size]
        display = ldr if self.linearisation == "published" else _to_display(linear)
        return F.relu(mask * display + correction) ** _GAMMA

    def _correct(self, ldr: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Compute what is added to the display values."""
        at_full, at_half, at_quarter = self.condition(ldr)
        full = F.relu(self.first(self.modulate_first(F.relu(self.stem(ldr)), at_full)))
        half = _run(self.down, F.relu(self.to_half(full)), at_half)
        quarter = F.relu(self.to_quarter(half))
        quarter = _run(self.bottom, quarter, at_quarter) + quarter
        features = _run(self.up, self.from_quarter(quarter) + half, at_half)
        features = self.modulate_last(self.from_half(features) + full, at_full)
        return self.out(F.relu(self.last(features)))


class Modulation(nn.Module):
    """Scale and shift features by two small functions of the condition at the same pixel (SFT)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.scale, self.shift = (
            nn.Sequential(nn.Conv2d(half, half, 1), nn.LeakyReLU(_SLOPE), nn.Conv2d(half, width, 1)) for _ in range(2)
        )

    def forward(
        self, features: Float[Tensor, "b c h w"], condition: Float[Tensor, "b k h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Return ``features * (1 + scale) + shift``."""
        return features * (1 + self.scale(condition)) + self.shift(condition)


class ModulatedResidual(nn.Module):
    """Residual block of two convolutions, each behind a modulation; it starts at a tenth of the usual strength."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.modulate_first, self.modulate_second = Modulation(width), Modulation(width)
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        for conv in (self.first, self.second):
            nn.init.kaiming_normal_(conv.weight)
            nn.init.zeros_(torch.as_tensor(conv.bias))
            with torch.no_grad():
                conv.weight.mul_(0.1)

    def forward(
        self, features: Float[Tensor, "b c h w"], condition: Float[Tensor, "b k h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Add the block's correction to its input."""
        hidden = F.relu(self.first(self.modulate_first(features, condition)))
        return features + self.second(self.modulate_second(hidden, condition))


class _Condition(nn.Module):
    """Condition of the U-Net at its three resolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.shared = nn.Sequential(
            *(nn.Conv2d(3, width, 3, padding=1), nn.LeakyReLU(_SLOPE)),
            *(nn.Conv2d(width, width, 1), nn.LeakyReLU(_SLOPE)),
            *(nn.Conv2d(width, width, 1), nn.LeakyReLU(_SLOPE)),
        )
        self.at_full = nn.Sequential(nn.Conv2d(width, width, 1), nn.LeakyReLU(_SLOPE), nn.Conv2d(width, half, 1))
        self.at_half = nn.Sequential(_halving(width, width), nn.LeakyReLU(_SLOPE), nn.Conv2d(width, half, 1))
        self.at_quarter = nn.Sequential(_halving(width, width), nn.LeakyReLU(_SLOPE), _halving(width, half))

    def forward(
        self, ldr: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b k h w"], Float[Tensor, "b k h2 w2"], Float[Tensor, "b k h4 w4"]]:
        """Compute the condition at full, half and quarter size."""
        shared = self.shared(ldr)
        return self.at_full(shared), self.at_half(shared), self.at_quarter(shared)


def _to_display(linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    # at black the root's slope is infinite: below a hundredth of the sensor's noise all light is the same
    return linear.clamp_min(LOG_OFFSET / 100) ** (1 / _GAMMA)


def _mask_network(width: int) -> nn.Sequential:
    last = nn.Conv2d(width, 3, 1)
    nn.init.zeros_(last.weight)
    nn.init.ones_(torch.as_tensor(last.bias))
    return nn.Sequential(
        *(nn.Conv2d(3, width, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(width, width, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(width, width, 1), nn.ReLU()),
        last,
    )


def _halving(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1)


def _run(
    blocks: nn.ModuleList, features: Float[Tensor, "b c h w"], condition: Float[Tensor, "b k h w"]
) -> Float[Tensor, "b c h w"]:
    for block in blocks:
        features = block(features, condition)
    return features
