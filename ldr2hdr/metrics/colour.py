"""Colour difference on an HDR display."""

from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ldr2hdr.metrics.functional import masked_mean
from ldr2hdr.radiometry import encode_pq

# ITU-R BT.2087-0, from Rec. 709 to Rec. 2020 primaries
_REC709_TO_REC2020: Final = (
    (0.6274, 0.3293, 0.0433),
    (0.0691, 0.9195, 0.0114),
    (0.0164, 0.0880, 0.8956),
)
# ITU-R BT.2100-2, table 7, in 4096ths
_REC2020_TO_LMS: Final = ((1688, 2146, 262), (683, 2951, 462), (99, 309, 3688))
_LMS_TO_ICTCP: Final = ((2048, 2048, 0), (6610, -13613, 7003), (17933, -17390, -543))


def delta_e_itp(
    pred: Float[Tensor, "*b 3 h w"],
    target: Float[Tensor, "*b 3 h w"],
    mask: Bool[Tensor, "*b h w"] | None = None,
) -> Float[Tensor, "*b"]:
    """Return the mean colour difference; 1 is just noticeable to a viewer adapted to that colour.

    It counts lightness, which most of it is, hue and saturation alike, and unlike the differences of CIE it is
    defined up to 10000 cd/m2.

    Args:
        pred: Reconstruction in cd/m2.
        target: Reference in cd/m2.
        mask: Pixels to count; all of them without it.

    Returns:
        Mean over pixels per picture; NaN where the mask is empty.

    References:
        ITU-R BT.2124-0, 2019.
    """
    intensity, tritan, protan = (_to_ictcp(pred) - _to_ictcp(target)).unbind(dim=-3)
    difference = 720 * (intensity.square() + (tritan / 2).square() + protan.square()).sqrt()
    return masked_mean(difference.unsqueeze(-3), mask)


def _to_ictcp(absolute: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """ITU-R BT.2100-2 with the PQ curve."""
    to_lms = absolute.new_tensor(_REC2020_TO_LMS) / 4096 @ absolute.new_tensor(_REC709_TO_REC2020)
    lms = torch.einsum("ij,...jhw->...ihw", to_lms, absolute)
    return torch.einsum("ij,...jhw->...ihw", absolute.new_tensor(_LMS_TO_ICTCP) / 4096, encode_pq(lms))
