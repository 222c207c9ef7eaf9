"""The project's headline metrics on a batch of pictures: each metric on each region."""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.metrics.functional import Display, log2_rmse, pu21_psnr
from ldr2hdr.metrics.regions import find_regions
from ldr2hdr.tasks import Shots

METRICS: Final = ("pu_psnr", "log2_rmse")
REGIONS: Final = ("all", "well_exposed", "clipped")


def evaluate_pictures(
    pred: Float[Tensor, "n 3 h w"], query: Shots, *, display: Display | None = None
) -> dict[tuple[str, str], Float[Tensor, " n"]]:
    """Judge reconstructions of the query, without any alignment to the reference.

    Args:
        pred: Reconstructed sensor exposure.
        query: The pictures with their true sensor exposure.
        display: Display for PU21-PSNR; the default one if None.

    Returns:
        By ``(metric, region)``, one value per picture: ``pu_psnr`` in dB on the display, ``log2_rmse`` in stops.
        NaN where the picture has no pixel of the region.
    """
    shown = (display or Display()).present(pred, query.exposure)
    regions = find_regions(query.ldr, query.exposure)._asdict()
    scores = {}
    for region in REGIONS:
        scores["pu_psnr", region] = pu21_psnr(shown.pred, shown.target, regions[region])
        scores["log2_rmse", region] = log2_rmse(pred, query.exposure, regions[region])
    return scores


def blacken_diverged(pred: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Make a picture with any value that is not finite black as a whole.

    An adaptation that diverges then costs its score, instead of the run or the picture's place in the mean.
    """
    is_finite = pred.isfinite().flatten(1).all(dim=1)[:, None, None, None]
    return torch.where(is_finite, pred, 0)
