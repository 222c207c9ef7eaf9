"""PSNRs of other papers: after the mu-law, and of linear light. Each normalises otherwise, so each has its name."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ldr2hdr.metrics.functional import psnr_of_error
from ldr2hdr.radiometry import encode_mu_law


def psnr_mu(
    pred: Float[Tensor, "*b 3 h w"],
    target: Float[Tensor, "*b 3 h w"],
    mask: Bool[Tensor, "*b h w"] | None = None,
    *,
    mu: float = 5000.0,
) -> Float[Tensor, "*b"]:
    """PSNR after the mu-law, both pictures in units of the reference's maximum and clipped to [0, 1].

    Other papers normalise otherwise, and their figures cannot be set beside these.

    Args:
        pred: Reconstruction, linear, in the reference's unit.
        target: Reference, linear.
        mask: Pixels to count; the maximum is that of the whole reference.
        mu: Strength of the compression.

    Returns:
        Decibels per picture, at most 100; NaN where the mask is empty or the reference is black.

    References:
        Kalantari and Ramamoorthi, SIGGRAPH 2017.
    """
    white = target.amax(dim=(-3, -2, -1), keepdim=True)
    encoded = [encode_mu_law((picture / white).clamp(0, 1), mu) for picture in (pred, target)]
    return psnr_of_error(encoded[0] - encoded[1], mask, peak=1.0)


def psnr_mu_ntire2021(
    pred: Float[Tensor, "*b 3 h w"],
    target: Float[Tensor, "*b 3 h w"],
    mask: Bool[Tensor, "*b h w"] | None = None,
    *,
    mu: float = 5000.0,
) -> Float[Tensor, "*b"]:
    """PSNR after ``tanh`` and the mu-law, both pictures in units of the reference's 99th percentile.

    Arguments and result are those of :func:`psnr_mu`. The challenge's pictures are stored with a gamma of 2.24;
    these are linear already.

    References:
        Pérez-Pellitero et al., NTIRE 2021 challenge on HDR imaging, CVPR workshops 2021.
    """
    white = _percentile(target, 0.99)[..., None, None, None]
    encoded = [encode_mu_law(torch.tanh(picture / white), mu) for picture in (pred, target)]
    return psnr_of_error(encoded[0] - encoded[1], mask, peak=1.0)


def psnr_linear(
    pred: Float[Tensor, "*b 3 h w"],
    target: Float[Tensor, "*b 3 h w"],
    mask: Bool[Tensor, "*b h w"] | None = None,
) -> Float[Tensor, "*b"]:
    """PSNR of linear light in units of the reference's maximum, not clipped: PSNR-L.

    The brightest pixels decide it almost alone. Arguments and result are those of :func:`psnr_mu`.

    References:
        Pérez-Pellitero et al., NTIRE 2021 challenge on HDR imaging, CVPR workshops 2021.
    """
    white = target.amax(dim=(-3, -2, -1), keepdim=True)
    return psnr_of_error((pred - target) / white, mask, peak=1.0)


def psnr_clipped(
    pred: Float[Tensor, "*b 3 h w"],
    target: Float[Tensor, "*b 3 h w"],
    mask: Bool[Tensor, "*b h w"] | None = None,
) -> Float[Tensor, "*b"]:
    """PSNR of linear sensor exposure, both pictures clipped at the sensor's white: no lost highlight counts.

    Args:
        pred: Reconstructed sensor exposure.
        target: True sensor exposure.
        mask: Pixels to count; all of them without it.

    Returns:
        Decibels per picture, at most 100; NaN where the mask is empty.

    References:
        Pan and Vento, MetaHDR, 2021.
    """
    return psnr_of_error(pred.clamp(0, 1) - target.clamp(0, 1), mask, peak=1.0)


def _percentile(picture: Float[Tensor, "*b 3 h w"], fraction: float) -> Float[Tensor, "*b"]:
    """Percentile over all values of a picture, between neighbours by a straight line.

    ``torch.quantile`` sorts them all, and refuses the 16 million values of a picture of five megapixels.
    """
    values = picture.flatten(-3)
    rank = fraction * (values.shape[-1] - 1)
    brightest = values.topk(values.shape[-1] - int(rank), dim=-1).values
    # of a single value, both neighbours are that value
    return torch.lerp(brightest[..., -1], brightest[..., -2:][..., 0], rank - int(rank))
