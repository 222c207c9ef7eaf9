"""Structural similarity in perceptually uniform units."""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ldr2hdr.radiometry import encode_pu21, luminance

_WINDOW_PX: Final = 11
_SIGMA_PX: Final = 1.5
# of the dynamic range, which is PU21's 256
_STABILISERS: Final = ((0.01 * 256) ** 2, (0.03 * 256) ** 2)


def pu21_ssim(pred: Float[Tensor, "*b 3 h w"], target: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b"]:
    """SSIM of the PU21-encoded luminance, mean over the whole picture.

    For tables that have it already: it agrees poorly with people on reconstructions (Hanji et al., SIGGRAPH 2022).

    Args:
        pred: Reconstruction in cd/m2.
        target: Reference in cd/m2.

    Returns:
        Similarity per picture; 1 for equal ones.

    References:
        Wang et al., IEEE TIP 2004, with the borders of MATLAB's ``ssim``; ``pu21_metric.m`` of Mantiuk and Azimi.
    """
    return ssim_map(encode_pu21(luminance(pred)), encode_pu21(luminance(target))).mean(dim=(-2, -1))


def ssim_map(first: Float[Tensor, "*b h w"], second: Float[Tensor, "*b h w"]) -> Float[Tensor, "*b h w"]:
    """Structural similarity around each pixel, for a dynamic range of 256.

    The window is a Gaussian of 11 pixels and deviation 1.5; the border is repeated outwards.
    """
    moments = torch.stack([first, second, first.square(), second.square(), first * second])
    mean1, mean2, square1, square2, product = _blur(moments)
    c1, c2 = _STABILISERS
    # of a window without contrast, rounding may make the variance negative
    variances = (square1 - mean1.square()).clamp_min(0) + (square2 - mean2.square()).clamp_min(0)
    lightness = (2 * mean1 * mean2 + c1) / (mean1.square() + mean2.square() + c1)
    return lightness * (2 * (product - mean1 * mean2) + c2) / (variances + c2)


def _blur(images: Float[Tensor, "*b h w"]) -> Float[Tensor, "*b h w"]:
    half = _WINDOW_PX // 2
    offsets = torch.arange(-half, half + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-offsets.square() / (2 * _SIGMA_PX**2))
    kernel = kernel / kernel.sum()
    flat = functional.pad(images.reshape(-1, 1, *images.shape[-2:]), (half,) * 4, mode="replicate")
    flat = functional.conv2d(functional.conv2d(flat, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return flat.reshape(images.shape)
