"""Full-reference metrics as pure functions of one picture ``(3, H, W)`` or of many ``(N, 3, H, W)``."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ldr2hdr.radiometry import PU21_MIN_CD_M2, Pu21Curve, encode_pu21, luminance

# Pictures equal to the last bit have an infinite PSNR, and one of them would make every mean infinite. 100 dB
# is an error of 0.0026 PU21 units, some thirty times the rounding of float32 and far below what is visible.
PSNR_CAP_DB = 100.0


class Presented(NamedTuple):
    """A reconstruction and its reference as light leaving a display, in cd/m2."""

    pred: Float[Tensor, "*b 3 h w"]
    target: Float[Tensor, "*b 3 h w"]


@dataclass(frozen=True)
class Display:
    """The display on which relative pictures become light.

    One scale per picture, taken from the reference alone: scaling each picture by its own statistics would
    hide errors of exposure, and let one hot pixel decide.

    Attributes:
        anchor_cd_m2: Luminance at which the reference's median luminance is shown.
        peak_cd_m2: Brightest the display shows; brighter light is clipped, in both pictures.
        median_floor: Smallest median luminance that is scaled up to the anchor, in units of sensor white; it
            keeps a reference that is black in most pixels from being scaled by infinity.

    Raises:
        ValueError: If the luminances are not ``0.005 < anchor <= peak <= 10000``, or the floor is not
            positive.

    References:
        Hanji et al., SIGGRAPH 2022 (SI-HDR); the anchor and the peak are those of ExpandDiff, 2026.
    """

    anchor_cd_m2: float = 20.0
    peak_cd_m2: float = 1000.0
    median_floor: float = 2.0**-10

    def __post_init__(self) -> None:
        if not PU21_MIN_CD_M2 < self.anchor_cd_m2 <= self.peak_cd_m2 <= 10_000:
            raise ValueError(
                "a display needs 0.005 < anchor_cd_m2 <= peak_cd_m2 <= 10000, "
                f"got anchor_cd_m2={self.anchor_cd_m2} and peak_cd_m2={self.peak_cd_m2}"
            )
        if not self.median_floor > 0:
            raise ValueError(f"median_floor must be positive, got {self.median_floor}")

    def scale(self, reference: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b"]:
        """Light per unit of sensor exposure, in cd/m2, that shows this reference at the anchor."""
        median = luminance(reference).flatten(-2).median(dim=-1).values
        return self.anchor_cd_m2 / median.clamp_min(self.median_floor)

    def present(self, pred: Float[Tensor, "*b 3 h w"], target: Float[Tensor, "*b 3 h w"]) -> Presented:
        """Show a reconstruction and its reference at the reference's scale.

        Args:
            pred: Reconstructed sensor exposure.
            target: True sensor exposure.

        Returns:
            Both in cd/m2, clipped to [0.005, ``peak_cd_m2``].

        Raises:
            ValueError: If the shapes differ, or a picture holds a negative, infinite or undefined value.
        """
        require_comparable(pred, target)
        scale = self.scale(target)[..., None, None, None]
        shown = [(picture * scale).clamp(PU21_MIN_CD_M2, self.peak_cd_m2) for picture in (pred, target)]
        return Presented(*shown)


def require_comparable(pred: Tensor, target: Tensor) -> None:
    """Refuse pictures on which a metric would be silently wrong.

    Raises:
        ValueError: If the shapes differ, or a picture holds a negative, infinite or undefined value.
    """
    if pred.shape != target.shape:
        raise ValueError(f"pred and target must agree, got {tuple(pred.shape)} and {tuple(target.shape)}")
    for name, picture in (("pred", pred), ("target", target)):
        bad = ~torch.isfinite(picture) | (picture < 0)
        if bool(bad.any()):
            raise ValueError(
                f"{name} must be finite and non-negative, got {int(bad.sum())} of {picture.numel()} values that are not"
            )


def pu21_psnr(
    pred: Float[Tensor, "*b 3 h w"],
    target: Float[Tensor, "*b 3 h w"],
    mask: Bool[Tensor, "*b h w"] | None = None,
    *,
    curve: Pu21Curve = "banding_glare",
    peak: float = 256.0,
) -> Float[Tensor, "*b"]:
    """PSNR of the PU21-encoded colour channels.

    Args:
        pred: Reconstruction in cd/m2, see :meth:`Display.present`.
        target: Reference in cd/m2.
        mask: Pixels to count; all of them without it.
        curve: PU21 parameter set.
        peak: Signal of the ratio, in PU21 units; 256 is its authors' choice, whatever the display's peak.

    Returns:
        Decibels per picture, at most 100; NaN where the mask is empty.

    References:
        Mantiuk and Azimi, PCS 2021; ``pu21_metric.m`` of its authors.
    """
    error = encode_pu21(pred, curve) - encode_pu21(target, curve)
    return psnr_of_error(error, mask, peak=peak)


def pu21_psnr_y(
    pred: Float[Tensor, "*b 3 h w"],
    target: Float[Tensor, "*b 3 h w"],
    mask: Bool[Tensor, "*b h w"] | None = None,
    *,
    curve: Pu21Curve = "banding_glare",
    peak: float = 256.0,
) -> Float[Tensor, "*b"]:
    """PSNR of the PU21-encoded luminance; arguments and result as for :func:`pu21_psnr`."""
    error = encode_pu21(luminance(pred), curve) - encode_pu21(luminance(target), curve)
    return psnr_of_error(error.unsqueeze(-3), mask, peak=peak)


def log2_rmse(
    pred: Float[Tensor, "*b 3 h w"],
    target: Float[Tensor, "*b 3 h w"],
    mask: Bool[Tensor, "*b h w"] | None = None,
    *,
    floor: float = 2.0**-10,
) -> Float[Tensor, "*b"]:
    """Root mean square error in stops: 1 is wrong by a factor of two.

    Args:
        pred: Reconstructed sensor exposure.
        target: True sensor exposure.
        mask: Pixels to count; all of them without it.
        floor: Values below count as this, in units of sensor white. Ten stops below white, where an 8-bit
            picture has no tones left, a ratio means nothing, and one black pixel would decide the mean.

    Returns:
        Stops per picture; NaN where the mask is empty.
    """
    error = torch.log2(pred.clamp_min(floor)) - torch.log2(target.clamp_min(floor))
    return masked_mean(error.square(), mask).sqrt()


def region_share(
    pred: Float[Tensor, "*b 3 h w"],
    target: Float[Tensor, "*b 3 h w"],
    mask: Bool[Tensor, "*b h w"] | None = None,
) -> Float[Tensor, "*b"]:
    """Share of the pixels that the mask has, 0..1; it says on how much the other metrics of a region rest."""
    del target
    everything = torch.ones_like(pred[..., 0, :, :])
    return (everything if mask is None else everything * mask).mean(dim=(-2, -1))


def psnr_of_error(
    error: Float[Tensor, "*b c h w"], mask: Bool[Tensor, "*b h w"] | None, *, peak: float
) -> Float[Tensor, "*b"]:
    """Peak signal-to-noise ratio of a difference of pictures, in dB, at most 100; NaN where the mask is empty."""
    return (10 * torch.log10(peak**2 / masked_mean(error.square(), mask))).clamp_max(PSNR_CAP_DB)


def masked_mean(values: Float[Tensor, "*b c h w"], mask: Bool[Tensor, "*b h w"] | None) -> Float[Tensor, "*b"]:
    """Return the mean over channels and the mask's pixels; 0/0 of an empty mask is the promised NaN."""
    if mask is None:
        return values.mean(dim=(-3, -2, -1))
    # where, not a product: an undefined value outside the mask must not reach the sum
    total = torch.where(mask.unsqueeze(-3), values, 0).sum(dim=(-3, -2, -1))
    return total / (mask.sum(dim=(-2, -1)) * values.shape[-3])
