"""HDRCNN of Eilertsen et al. 2017: a VGG16 encoder, a log-domain decoder, and a prediction for highlights only."""

from itertools import pairwise
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.backbones.base import AbstractConvolutionalBackbone
from ldr2hdr.backbones.blocks import norm_layer, pad_to_multiple
from ldr2hdr.radiometry import LOG_OFFSET, decode_log, encode_log

# Convolutions before each pooling of VGG16, and their features in units of the first stage's
_STAGES: Final = ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8))
_FIRST_STAGE: Final = 64
# Mean colour of the pictures that VGG16 was trained on, red green blue, in units of white
_VGG_MEAN: Final = (123.68 / 255, 116.779 / 255, 103.939 / 255)
_THRESHOLD: Final = 0.95
_FRESH_NATS: Final = 0.5


class HDRCNN(AbstractConvolutionalBackbone):
    """Predict what the camera clipped; where it clipped nothing, linearise.

    The blend of the two follows the brightest channel of the picture, from 0.95 to 1. As published: the sizes, the skip
    connections through ``ln(h**2 + 1/255)``, their fusion with the decoder that starts as a sum, transposed
    convolutions that start as bilinear interpolation, and a picture that is linearised by ``ldr**2``.

    Not as published:
        Features of the encoder are in units of white, 1/255 of the paper's. Up to the last pooling the network is
        homogeneous, so that the same weights with biases divided by 255 give the same picture; gradients are of the
        size that the inner rates of the other networks suit.
        The paper's batch norm keeps statistics of pictures seen, which would leak from task to task. In its place is
        ``norm``, in the encoder's last layer and the decoder, and none before the output. ``none`` is batch norm that
        was folded into the convolutions, as imported weights are.
        The encoder starts from random numbers, not from a network that was trained on scenes; the correction starts at
        half a nat everywhere, for what is clipped is brighter than white. Without batch norm, random numbers would make
        it tens of nats.

    Args:
        width: Features in units of the paper's, whose first stage has 64.
        norm: ``pixel``, ``group`` or ``none``; see ``blocks.norm_layer``.
        linearisation: ``published`` squares the picture and ignores the response stage; ``response`` takes the
            response stage's linearisation for the square, in the blend and in the last skip connection.

    Raises:
        ValueError: If the width leaves no feature, or an option is unknown.

    References:
        Eilertsen et al., "HDR image reconstruction from a single exposure using deep CNNs", SIGGRAPH Asia 2017, sec. 3.
    """

    multiple: int = 2 ** len(_STAGES)

    def __init__(
        self,
        width: float = 1.0,
        norm: str = "none",
        linearisation: str = "published",
    ) -> None:
        super().__init__()
        first = round(_FIRST_STAGE * width)
        if first < 1:
            raise ValueError(f"backbone.width must leave at least one of {_FIRST_STAGE} features, got {width}")
        if linearisation not in ("published", "response"):
            raise ValueError(f"backbone.linearisation must be published or response, got {linearisation!r}")
        self.linearisation = linearisation
        sizes = [first * multiple for _, multiple in _STAGES]
        self.encoder = nn.ModuleList(
            _encoder_stage(before, after, num_convs=num_convs)
            for before, after, (num_convs, _) in zip([3, *sizes], sizes, _STAGES, strict=False)
        )
        deepest = _relu_conv(sizes[-1], sizes[-1])
        self.bottleneck = nn.Sequential(deepest, norm_layer(norm, sizes[-1]), nn.ReLU())
        coarse_to_fine = sizes[::-1]
        self.up = nn.ModuleList(
            nn.Sequential(_bilinear_upsampling(before, after), norm_layer(norm, after), nn.ReLU())
            for before, after in zip([sizes[-1], *coarse_to_fine], coarse_to_fine, strict=False)
        )
        self.fuse = nn.ModuleList(_summing_fusion(channels) for channels in coarse_to_fine)
        self.out = nn.Conv2d(first, 3, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.constant_(torch.as_tensor(self.out.bias), _FRESH_NATS)
        self.fuse_input = _summing_fusion(3)

    def forward(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct sensor exposure.

        Args:
            ldr: Display-referred pictures in [0, 1], any size; padded to a multiple of 32 and cropped back.
            linear: The same pictures linearised by the response stage; see ``linearisation``.

        Returns:
            Sensor exposure, non-negative, unbounded above where the picture is brighter than 0.95.
        """
        valid = ldr.square() if self.linearisation == "published" else linear
        correction = F.relu(self.out(self._decode(pad_to_multiple(ldr, self.multiple))))
        correction = correction[..., : ldr.shape[-2], : ldr.shape[-1]]
        log_exposure = self.fuse_input(torch.cat([correction, encode_log(valid, eps=LOG_OFFSET)], dim=1))
        predicted = F.relu(decode_log(log_exposure, eps=LOG_OFFSET))
        return torch.lerp(valid, predicted, highlight_mask(ldr))

    def _decode(self, ldr: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """Compute the features of the decoder at full size."""
        channels = zip(ldr.unbind(dim=1), _VGG_MEAN, strict=True)
        features = torch.stack([channel - mean for channel, mean in channels], dim=1)
        skips = []
        for stage in self.encoder:
            features = stage(features)
            skips.append(features)
            features = F.max_pool2d(features, 2)
        features = self.bottleneck(features)
        for up, fuse in zip(self.up, self.fuse, strict=True):
            skip = encode_log(skips.pop().square(), eps=LOG_OFFSET)
            features = fuse(torch.cat([up(features), skip], dim=1))
        return features


def highlight_mask(ldr: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Measure how far each pixel's brightest channel is on the way from 0.95 to white.

    References:
        Eilertsen et al., SIGGRAPH Asia 2017, eq. 2.

    Example:
        >>> round(highlight_mask(torch.tensor([0.2, 0.975, 0.3]).view(1, 3, 1, 1)).item(), 4)
        0.5
    """
    return ((ldr.amax(dim=1, keepdim=True) - _THRESHOLD) / (1 - _THRESHOLD)).clamp(0, 1)


def _encoder_stage(channels_in: int, channels_out: int, *, num_convs: int) -> nn.Sequential:
    sizes = [channels_in] + [channels_out] * num_convs
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [_relu_conv(before, after), nn.ReLU()]
    return nn.Sequential(*layers)


def _relu_conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    """Build a convolution that keeps the variance of what passes a ReLU (He et al., ICCV 2015, eq. 10)."""
    conv = nn.Conv2d(channels_in, channels_out, 3, padding=1)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    nn.init.zeros_(torch.as_tensor(conv.bias))
    return conv


def _bilinear_upsampling(channels_in: int, channels_out: int) -> nn.ConvTranspose2d:
    """Build a transposed convolution that starts as bilinear doubling of its first ``channels_out`` inputs."""
    up = nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1)
    triangle = torch.tensor([0.25, 0.75, 0.75, 0.25])
    same = torch.eye(channels_in, channels_out)
    with torch.no_grad():
        up.weight.copy_(same[..., None, None] * triangle[:, None] * triangle)
        torch.as_tensor(up.bias).zero_()
    return up


def _summing_fusion(channels: int) -> nn.Conv2d:
    """Build a 1x1 convolution from two stacked feature maps to one that starts as their sum."""
    fusion = nn.Conv2d(2 * channels, channels, 1)
    with torch.no_grad():
        fusion.weight.copy_(torch.eye(channels).repeat(1, 2)[..., None, None])
        torch.as_tensor(fusion.bias).zero_()
    return fusion
