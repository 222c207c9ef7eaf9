"""ExpandNet of Marnerides et al. 2018: a local, a dilated and a global branch, fused at every pixel."""

from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.backbones.base import AbstractConvolutionalBackbone
from ldr2hdr.backbones.blocks import LogHead

# Side of the picture that the global branch sees
_GLOBAL_PX: Final = 256
# A mean, in units of sensor white, that says nothing about the scale of a picture
_NO_LIGHT: Final = 1e-6


class ExpandNet(AbstractConvolutionalBackbone):
    """Look at each pixel's neighbourhood, at a wider one, and at the whole picture.

    As published: the three branches, their sizes, SELU, no norm. The local and the dilated branch keep the size of the
    picture, whatever it is; the global one sees the picture resized to 256x256 bilinearly and gives one vector for all
    pixels, so that any size goes in. What a pixel becomes depends on the whole picture: it is not to be cut into tiles.

    The published network ends in a sigmoid and knows neither the camera's white nor anything above the brightest pixel
    of the scene, and its training and its use stretch every picture to [0, 1]:

    * ``output=exposure`` does away with both: the three values per pixel are the logarithm of a factor on the
      linearised picture, as in the other networks here. A fresh network returns ``linear``.
    * ``output=relative`` keeps both, for weights trained elsewhere. The relative result is brought to sensor exposure
      by one factor per picture: the one with which well-exposed pixels have the light that ``linear`` says.

    Args:
        width: Features; the published number is 64.
        output: ``exposure`` or ``relative``.

    Raises:
        ValueError: If the width is not positive or the output unknown.

    References:
        Marnerides et al., "ExpandNet: A Deep Convolutional Neural Network for High Dynamic Range Expansion from Low
        Dynamic Range Content", Eurographics 2018.
    """

    multiple: int | None = None  # the global branch looks at the whole picture

    def __init__(self, width: int = 64, output: str = "exposure") -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"backbone.width must be positive, got {width}")
        if output not in ("exposure", "relative"):
            raise ValueError(f"backbone.output must be exposure or relative, got {output!r}")
        self.output = output
        self.local = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.SELU(), nn.Conv2d(width, 2 * width, 3, padding=1), nn.SELU()
        )
        self.dilated = _without_last_activation(
            [nn.Conv2d(channels, width, 3, padding=2, dilation=2) for channels in (3, *[width] * 3)]
        )
        halving = [nn.Conv2d(channels, width, 3, stride=2, padding=1) for channels in (3, *[width] * 5)]
        self.whole = _without_last_activation([*halving, nn.Conv2d(width, width, _GLOBAL_PX // 2 ** len(halving))])
        self.fuse = nn.Sequential(nn.Conv2d(4 * width, width, 1), nn.SELU())
        self.head = LogHead(width)

    def forward(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct sensor exposure.

        Args:
            ldr: Display-referred pictures in [0, 1], any size.
            linear: The same pictures linearised by the response stage, 1 at the sensor's white.

        Returns:
            Sensor exposure, non-negative. With ``output=relative`` a picture without one pixel between black and white
            stays relative.
        """
        if self.output == "exposure":
            return self.head(self._features(ldr), linear)
        relative = torch.sigmoid(self.head.conv(self._features(stretch(ldr))))
        return relative * light_ratio(linear, relative, ldr)

    def _features(self, ldr: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        small = F.interpolate(ldr, (_GLOBAL_PX, _GLOBAL_PX), mode="bilinear", align_corners=False)
        whole = self.whole(small).expand(-1, -1, *ldr.shape[-2:])
        return self.fuse(torch.cat([self.local(ldr), self.dilated(ldr), whole], dim=1))


def stretch(ldr: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Map each picture's darkest and brightest value to 0 and 1; a picture of one value becomes black.

    Example:
        >>> stretch(torch.tensor([0.25, 0.5, 0.75]).view(1, 3, 1, 1)).flatten().tolist()
        [0.0, 0.5, 1.0]
    """
    darkest, brightest = (limit(ldr, dim=(1, 2, 3), keepdim=True) for limit in (torch.amin, torch.amax))
    return (ldr - darkest) / (brightest - darkest).clamp_min(1e-6)


def light_ratio(
    linear: Float[Tensor, "b 3 h w"], relative: Float[Tensor, "b 3 h w"], ldr: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, "b 1 1 1"]:
    """Measure how much more light the well-exposed pixels have in ``linear`` than in ``relative``; 1 if there are none.

    Pixels count by their distance from black and white, as in a merge of exposures (Debevec and Malik 1997, eq. 4).
    """
    weight = torch.minimum(ldr, 1 - ldr)
    have, want = ((weight * light).mean(dim=(1, 2, 3), keepdim=True) for light in (relative, linear))
    return (want + _NO_LIGHT) / (have + _NO_LIGHT)


def _without_last_activation(convs: list[nn.Conv2d]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for conv in convs:
        layers += [conv, nn.SELU()]
    return nn.Sequential(*layers[:-1])
