"""Every metric by name, with what it is taken of and how it reads."""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from torch import Tensor

from ldr2hdr.metrics.alignment import Alignment
from ldr2hdr.metrics.colour import delta_e_itp
from ldr2hdr.metrics.functional import log2_rmse, pu21_psnr, pu21_psnr_y, region_share
from ldr2hdr.metrics.irradiance import FIELD_OF_VIEW_DEGREES, irradiance_error
from ldr2hdr.metrics.mu_law import psnr_clipped, psnr_linear, psnr_mu, psnr_mu_ntire2021
from ldr2hdr.metrics.perceptual import cvvdp, cvvdp_version, flip, flip_version
from ldr2hdr.metrics.saliency import pu21_vsi
from ldr2hdr.metrics.structure import pu21_ssim


class Metric(NamedTuple):
    """A metric and what is to be known of it.

    Attributes:
        function: Of reconstruction, reference and, where it has regions, their mask: one value per picture.
        light: Whether it is taken of sensor exposure or of the light that a display shows.
        definition: What it is, in one line of a protocol.
        better: Which values are.
        unit: Of its values; empty for a pure number.
        has_regions: Whether it can be taken on part of a picture. What looks at a pixel's surroundings cannot.
        alignments: Those that it makes sense after.
        least_difference: Difference of means below which people may not agree with it.
        package: Of an optional metric, what to quote of its package; raises if it is not installed.
    """

    function: Callable[..., Tensor]
    light: Literal["exposure", "shown"]
    definition: str
    better: Literal["higher", "lower", "neither"]
    unit: str = ""
    has_regions: bool = True
    alignments: tuple[Alignment, ...] = ("none", "gain", "crf")
    least_difference: float = 0.0
    package: Callable[[], str] | None = None


METRICS: Final[dict[str, Metric]] = {
    "pu_psnr": Metric(
        pu21_psnr,
        "shown",
        "PU21 banding_glare, RGB, peak 256, in dB",
        "higher",
        "dB",
        least_difference=3.5,  # Hanji et al., SIGGRAPH 2022: smaller ones do not predict viewers' choice
    ),
    "pu_psnr_y": Metric(pu21_psnr_y, "shown", "PU21 banding_glare, luminance, peak 256, in dB", "higher", "dB"),
    "pu_ssim": Metric(
        pu21_ssim,
        "shown",
        "PU21 banding_glare, luminance, SSIM with a Gaussian of 11 pixels, range 256, border repeated",
        "higher",
        has_regions=False,
    ),
    "pu_vsi": Metric(
        pu21_vsi,
        "shown",
        "PU21 banding_glare, RGB, visual saliency-induced index with its constants for 8 bits, not rescaled",
        "higher",
        has_regions=False,
    ),
    "psnr_mu": Metric(
        psnr_mu,
        "shown",
        "mu-law of 5000, in units of the reference's maximum, clipped to [0, 1], in dB",
        "higher",
        "dB",
    ),
    "psnr_mu_ntire2021": Metric(
        psnr_mu_ntire2021,
        "shown",
        "mu-law of 5000 after tanh, in units of the reference's 99th percentile, in dB",
        "higher",
        "dB",
    ),
    "psnr_linear": Metric(
        psnr_linear, "shown", "linear light in units of the reference's maximum, in dB", "higher", "dB"
    ),
    "psnr_clipped": Metric(psnr_clipped, "exposure", "linear sensor exposure clipped to [0, 1], in dB", "higher", "dB"),
    "log2_rmse": Metric(
        log2_rmse,
        "exposure",
        "root mean square of log2(pred / target), floored at 2**-10 of sensor white, in stops",
        "lower",
        "stops",
    ),
    "delta_e_itp": Metric(delta_e_itp, "shown", "mean colour difference of ITU-R BT.2124", "lower"),
    "irradiance_error": Metric(
        irradiance_error,
        "exposure",
        "root mean square over channels and five surfaces of log2 of the irradiance by the view, which spans "
        f"{FIELD_OF_VIEW_DEGREES:g} degrees along its longer side, in stops",
        "lower",
        "stops",
        has_regions=False,
    ),
    "region_share": Metric(
        region_share, "exposure", "share of a picture's pixels that are in the region", "neither", alignments=("none",)
    ),
    "flip": Metric(
        flip,
        "exposure",
        "HDR-FLIP, mean, exposures from the reference, 67 pixels per degree, ACES",
        "lower",
        has_regions=False,
        alignments=("none", "gain"),  # a response correction makes lost highlights worse to it, not better
        package=flip_version,
    ),
    "cvvdp": Metric(
        cvvdp,
        "shown",
        "ColorVideoVDP, still picture, in JOD",
        "higher",
        "JOD",
        has_regions=False,
        package=cvvdp_version,
    ),
}
