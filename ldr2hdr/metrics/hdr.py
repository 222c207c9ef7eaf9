"""The metrics of an evaluation on a batch of pictures."""

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.metrics.suite import FAST, MetricSuite
from ldr2hdr.tasks import Shots


def evaluate_pictures(
    pred: Float[Tensor, "n 3 h w"], query: Shots, *, suite: MetricSuite = FAST
) -> dict[tuple[str, str], Float[Tensor, " n"]]:
    """Judge reconstructions of the query.

    Args:
        pred: Reconstructed sensor exposure.
        query: The pictures with their true sensor exposure.
        suite: What to compute.

    Returns:
        By ``(metric, region)``, one value per picture; by default ``pu_psnr`` in dB on the display and ``log2_rmse``
        in stops, without any alignment to the reference. NaN where the picture has no pixel of the region.

    Raises:
        ValueError: If the shapes differ, or a picture holds a negative, infinite or undefined value.
    """
    return suite.evaluate(pred, query)


def blacken_diverged(pred: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Make a picture with any value that is not finite black as a whole.

    An adaptation that diverges then costs its score, instead of the run or the picture's place in the mean.
    """
    is_finite = pred.isfinite().flatten(1).all(dim=1)[:, None, None, None]
    return torch.where(is_finite, pred, 0)
