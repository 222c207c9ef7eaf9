"""Alignment before judging: nothing, the gain, or the response of a reconstruction is forgiven."""

from typing import Final, Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ldr2hdr.metrics.crf_correction import correct_crf
from ldr2hdr.metrics.functional import Display, Presented, require_comparable
from ldr2hdr.radiometry import PU21_MIN_CD_M2

Alignment: TypeAlias = Literal["none", "gain", "crf"]

ALIGNMENTS: Final[dict[Alignment, str]] = {
    "none": "as reconstructed",
    "gain": "one factor per picture, least squares of linear exposure on pixels with no clipped and no dark channel",
    "crf": "gain, then shown and clipped, then the cubic corrections of luminance and chroma of Hanji et al. 2022, "
    "fitted on all pixels, and clipped again; sensor exposure is then what the display shows, divided by its scale",
}


class Aligned(NamedTuple):
    """A reconstruction and its reference, in both units in which metrics are defined.

    Attributes:
        exposure: As sensor exposure, 1 at the camera's white.
        shown: As light leaving the display, in cd/m2.
        is_monotone: Of the response correction, whether it keeps the order of luminances; None without one.
    """

    exposure: tuple[Float[Tensor, "*b 3 h w"], Float[Tensor, "*b 3 h w"]]
    shown: Presented
    is_monotone: Bool[Tensor, "*b"] | None


def align(
    pred: Float[Tensor, "*b 3 h w"],
    target: Float[Tensor, "*b 3 h w"],
    *,
    recorded: Bool[Tensor, "*b h w"],
    alignment: Alignment,
    display: Display,
) -> Aligned:
    """Align a reconstruction to its reference, and show both.

    Args:
        pred: Reconstructed sensor exposure.
        target: True sensor exposure.
        recorded: Pixels that the camera recorded, from which the gain is taken.
        alignment: What is forgiven.
        display: Where both are shown, scaled by the reference alone.

    Returns:
        Both, aligned.

    Raises:
        ValueError: If the shapes differ, or a picture holds a negative, infinite or undefined value.
    """
    # before the gain, which would turn a negative picture into a good one
    require_comparable(pred, target)
    if alignment != "none":
        pred = pred * find_gain(pred, target, recorded)[..., None, None, None]
    shown = display.present(pred, target)
    if alignment != "crf":
        return Aligned((pred, target), shown, None)
    correction = correct_crf(*shown)
    shown = Presented(correction.picture.clamp(PU21_MIN_CD_M2, display.peak_cd_m2), shown.target)
    scale = display.scale(target)[..., None, None, None]
    return Aligned((shown.pred / scale, shown.target / scale), shown, correction.is_monotone)


def find_gain(
    pred: Float[Tensor, "*b 3 h w"], target: Float[Tensor, "*b 3 h w"], mask: Bool[Tensor, "*b h w"]
) -> Float[Tensor, "*b"]:
    """Factor that takes a reconstruction nearest to its reference, in least squares of linear values.

    Returns:
        One factor per picture; 1 where the mask is empty or the reconstruction black, which say nothing of it.
    """
    # in double precision: the square of a large float32 is infinite
    counted = mask.unsqueeze(-3)
    test, reference = (torch.where(counted, picture, 0).double() for picture in (pred, target))
    energy = test.square().sum(dim=(-3, -2, -1))
    gain = (test * reference).sum(dim=(-3, -2, -1)) / energy
    return torch.where(energy > 0, gain, 1).to(pred.dtype)
