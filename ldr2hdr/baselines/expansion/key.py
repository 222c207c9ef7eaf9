"""Key of a picture: how light or dark it is, in one number."""

import torch
from jaxtyping import Float
from torch import Tensor


def log_mean(luminance: Float[Tensor, "b h w"]) -> Float[Tensor, " b"]:
    """Geometric mean of the pixels with light; 0 for a black picture.

    Example:
        >>> log_mean(torch.tensor([[[0.0, 1.0, 4.0]]]))
        tensor([2.])
    """
    is_lit = luminance > 0
    total = torch.where(is_lit, luminance, 1).log().sum(dim=(1, 2))
    count = is_lit.sum(dim=(1, 2))
    return torch.where(count > 0, (total / count.clamp_min(1)).exp(), 0)


def measure_key(luminance: Float[Tensor, "b h w"], *, tail: float = 0.01) -> Float[Tensor, " b"]:
    """Return the position of the geometric mean between the darkest and the brightest light, in logarithms.

    Args:
        luminance: Of the pictures; pixels without light do not count.
        tail: Share of the pixels left out at either end.

    Returns:
        About 0 for a picture that is dark but for a few lights, about 1 for one that is bright but for a few shadows;
        0 where darkest and brightest are the same.

    References:
        Akyuz and Reinhard, Color appearance in high-dynamic-range imaging, JEI 15(3), 2006.

    Example:
        >>> measure_key(torch.tensor([[[0.01, 0.1, 0.1, 1.0, 1.0]]]))
        tensor([0.6000])
    """
    low, high = (_lit_percentile(luminance, share).log() for share in (tail, 1 - tail))
    span = high - low
    key = (log_mean(luminance).log() - low) / torch.where(span > 0, span, 1)
    return torch.where(span > 0, key, 0)


def _lit_percentile(luminance: Float[Tensor, "b h w"], share: float) -> Float[Tensor, " b"]:
    """Of the pixels with light, the value that this share does not exceed; 0 for a black picture.

    Not `torch.quantile`, which refuses pictures above 16 megapixels.
    """
    ordered = luminance.flatten(1).sort(dim=1).values
    count = (ordered > 0).sum(dim=1)
    rank = (share * (count - 1)).round().long().clamp_min(0) + (ordered.shape[1] - count)
    return ordered.gather(1, rank.clamp_max(ordered.shape[1] - 1)[:, None])[:, 0]
