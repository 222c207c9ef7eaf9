"""The transfer curve of sRGB."""

import torch
from jaxtyping import Float
from torch import Tensor


def encode_srgb(linear: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Linear light to sRGB codes, 0 to 0 and 1 to 1.

    Args:
        linear: In [0, 1].

    References:
        IEC 61966-2-1:1999.

    Example:
        >>> encode_srgb(torch.tensor([0.0, 0.18, 1.0])).mul(255).round().tolist()
        [0.0, 118.0, 255.0]
    """
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(0) ** (1 / 2.4) - 0.055)
