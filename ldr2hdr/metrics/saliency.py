"""Visual saliency and the similarity index built on it (VSI), in perceptually uniform units."""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ldr2hdr.radiometry import decode_srgb, encode_pu21

# VSI: stabilisers of saliency, gradient and chroma, and the exponents of gradient and chroma
_C_SALIENCY, _C_GRADIENT, _C_CHROMA = 1.27, 386.0, 130.0
_GRADIENT_POWER, _CHROMA_POWER = 0.4, 0.02
_RGB_TO_OPPONENT: Final = ((0.06, 0.63, 0.27), (0.30, 0.04, -0.35), (0.34, -0.60, 0.17))
# SDSP: it looks at pictures of this side, through a band of spatial frequencies in cycles per pixel
_SALIENCY_PX: Final = 256
_BAND_CENTRE, _BAND_WIDTH = 0.021, 1.34
_CENTRE_BIAS_PX: Final = 145.0
_WARMTH_WIDTH: Final = 0.001
# least range of chroma or contrast that counts, in Lab units; rounding in a picture without any stays far below
_LEAST_RANGE: Final = 1e-2
# sRGB primaries to XYZ for D65, and the D50 white that the published code divides by
_SRGB_TO_XYZ: Final = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_LAB_WHITE: Final = (0.9642, 1.0, 0.8251)


def pu21_vsi(pred: Float[Tensor, "*b 3 h w"], target: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b"]:
    """Visual saliency-induced index of the PU21-encoded colours.

    PU21 units enter as they are, though they go beyond the 255 that the constants were chosen for.

    Args:
        pred: Reconstruction in cd/m2.
        target: Reference in cd/m2.

    Returns:
        Similarity per picture; 1 for equal ones.

    References:
        Zhang, Shen and Li, IEEE TIP 2014; ``pu21_metric.m`` of Mantiuk and Azimi.
    """
    return vsi(encode_pu21(pred), encode_pu21(target))


def vsi(first: Float[Tensor, "*b 3 h w"], second: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b"]:
    """Visual saliency-induced index of two pictures in units of an 8-bit code.

    Saliency, gradient and chroma are compared pixel by pixel, and the more salient of the two pictures says how
    much a pixel counts. Where no pixel is salient in either, all count the same.

    References:
        Zhang, Shen and Li, IEEE TIP 2014.
    """
    pair = torch.stack([first, second]).reshape(2, -1, *first.shape[-3:])
    salient = saliency(pair.flatten(0, 1)).reshape(*pair.shape[:2], *pair.shape[-2:])
    opponent = _mix(_RGB_TO_OPPONENT, pair)
    # to a shorter side of about 256 pixels, over which the index was fitted to viewers
    factor = max(1, int(min(first.shape[-2:]) / _SALIENCY_PX + 0.5))
    salient, light, chroma = (
        _shrink(image, factor) for image in (salient, opponent[..., 0, :, :], opponent[..., 1:, :, :])
    )
    gradient = _gradient(light)
    of_chroma = _similarity(chroma, _C_CHROMA).prod(dim=-3)
    # a power of a negative number is complex, and its real part is what counts
    turned = torch.where(of_chroma < 0, torch.cos(of_chroma.new_tensor(_CHROMA_POWER * torch.pi)), 1)
    local = (
        _similarity(salient, _C_SALIENCY)
        * _similarity(gradient, _C_GRADIENT) ** _GRADIENT_POWER
        * (of_chroma.abs() ** _CHROMA_POWER * turned)
    )
    weight = salient.amax(dim=0)
    total = weight.sum(dim=(-2, -1), keepdim=True)
    weight = torch.where(total > 0, weight, 1)
    return ((local * weight).sum(dim=(-2, -1)) / weight.sum(dim=(-2, -1))).reshape(first.shape[:-3])


def saliency(picture: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n h w"]:
    """Map saliency by the simple priors of SDSP: band-passed contrast, the centre, and warm colours.

    Args:
        picture: In units of an 8-bit code of sRGB.

    Returns:
        Saliency from 0 to 1 in each picture; 0 throughout a picture without contrast. A picture without colour
        has no warm ones: there the other two decide, where the published formula would divide by zero.

    References:
        Zhang, Gu and Li, ICIP 2013, with the parameters of Zhang, Shen and Li, IEEE TIP 2014.
    """
    lab = _to_lab(_resize(picture, (_SALIENCY_PX, _SALIENCY_PX)))
    centred = (torch.arange(_SALIENCY_PX, dtype=lab.dtype, device=lab.device) + 1 - _SALIENCY_PX // 2).square()
    central = torch.exp(-(centred[:, None] + centred) / _CENTRE_BIAS_PX**2)
    height, width = picture.shape[-2:]
    salient = _resize((_contrast(lab) * central * _warmth(lab)).unsqueeze(1), (height, width)).squeeze(1)
    low, high = salient.amin(dim=(-2, -1), keepdim=True), salient.amax(dim=(-2, -1), keepdim=True)
    return torch.where(high - low > _LEAST_RANGE, (salient - low) / (high - low), 0)


def _contrast(lab: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n s s"]:
    """Length of the colour vector after a log-Gabor filter."""
    size = lab.shape[-1]
    frequency = torch.fft.fftfreq(size, dtype=lab.dtype, device=lab.device)
    radius = torch.hypot(frequency[:, None], frequency[: size // 2 + 1].abs())
    band = torch.exp(-torch.log(radius / _BAND_CENTRE).square() / (2 * _BAND_WIDTH**2))
    band = torch.where((radius > 0) & (radius <= 0.5), band, 0)
    return torch.fft.irfft2(torch.fft.rfft2(lab) * band, s=(size, size)).square().sum(dim=1).sqrt()


def _warmth(lab: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n s s"]:
    """Distance from the coldest colour of the picture, which soon is far enough."""
    axes = lab[:, 1:]
    low, high = axes.amin(dim=(-2, -1), keepdim=True), axes.amax(dim=(-2, -1), keepdim=True)
    is_colour = high - low > _LEAST_RANGE
    position = torch.where(is_colour, (axes - low) / (high - low), 0)
    warm = 1 - torch.exp(-position.square().sum(dim=1) / _WARMTH_WIDTH**2)
    return torch.where(is_colour.any(dim=1), warm, 1)


def _to_lab(picture: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n 3 s s"]:
    linear = decode_srgb(picture / 255)
    xyz = _mix(_SRGB_TO_XYZ, linear) / linear.new_tensor(_LAB_WHITE).view(3, 1, 1)
    root = torch.where(xyz > 0.008856, xyz.clamp_min(0.008856) ** (1 / 3), (903.3 * xyz + 16) / 116)
    x, y, z = root.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def _similarity(pair: Float[Tensor, "2 *s"], stabiliser: float) -> Float[Tensor, "*s"]:
    first, second = pair
    return (2 * first * second + stabiliser) / (first.square() + second.square() + stabiliser)


def _gradient(light: Float[Tensor, "2 n h w"]) -> Float[Tensor, "2 n h w"]:
    """Length of the Scharr gradient; outside the picture is black."""
    across = light.new_tensor([[3.0, 0.0, -3.0], [10.0, 0.0, -10.0], [3.0, 0.0, -3.0]]) / 16
    kernels = torch.stack([across, across.T]).unsqueeze(1)
    slopes = functional.conv2d(light.flatten(0, 1).unsqueeze(1), kernels, padding=1)
    return slopes.square().sum(dim=1).sqrt().reshape(light.shape)


def _shrink(image: Float[Tensor, "*b h w"], factor: int) -> Float[Tensor, "*b i j"]:
    """Return means of blocks, centred as MATLAB centres them, with black outside the picture."""
    if factor == 1:
        return image
    before = (factor - 1) // 2
    padded = functional.pad(image, (before, factor - 1 - before) * 2)
    flat = functional.avg_pool2d(padded.flatten(0, -3).unsqueeze(1), factor)
    return flat.reshape(*image.shape[:-2], *flat.shape[-2:])


def _resize(picture: Float[Tensor, "n c h w"], size: tuple[int, int]) -> Float[Tensor, "n c i j"]:
    return functional.interpolate(picture, size, mode="bilinear", antialias=True)


def _mix(matrix: tuple[tuple[float, ...], ...], channels: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    return torch.einsum("ij,...jhw->...ihw", channels.new_tensor(matrix), channels)
