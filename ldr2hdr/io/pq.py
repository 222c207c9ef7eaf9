"""Sensor exposure as the signal of an HDR display: PQ code values, Rec. 2020 primaries."""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.radiometry import encode_pq

WHITE_CD_M2: Final = 203.0
"""Luminance at which sensor exposure 1 is shown: HDR reference white (ITU-R BT.2408-7, 2.1)."""
# ITU-R BT.2087-0, table 1
_REC2020_FROM_REC709: Final = ((0.6274, 0.3293, 0.0433), (0.0691, 0.9195, 0.0114), (0.0164, 0.0880, 0.8956))


def encode_display(exposure: Float[Tensor, "3 h w"], *, white_cd_m2: float = WHITE_CD_M2) -> Float[Tensor, "3 h w"]:
    """Encode sensor exposure as PQ signal, in [0, 1]; light above 10000 cd/m2 is clipped to it.

    Args:
        exposure: Linear Rec. 709, 1 at the camera's white.
        white_cd_m2: Where 1 is shown.

    References:
        ITU-R BT.2100-2, table 4.

    Example:
        >>> [round(level.item(), 4) for level in encode_display(torch.ones(3, 1, 1)).flatten()]
        [0.5807, 0.5807, 0.5807]
    """
    return encode_pq(to_rec2020(exposure) * white_cd_m2)


def to_rec2020(exposure: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
    """Convert linear Rec. 709 to linear Rec. 2020."""
    return torch.einsum("ij,jhw->ihw", exposure.new_tensor(_REC2020_FROM_REC709), exposure)
