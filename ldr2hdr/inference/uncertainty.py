"""Uncertainty of a reconstruction, pixel by pixel: what was clipped, what was invented, how sure the rest is."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.radiometry import CLIPPED_LEVEL

LAYERS: Final = ("mask.clipped", "mask.invented", "sigma")
"""Names of the channels in a file, LAYER.CHANNEL as programs that read OpenEXR group them; in this order."""
LEVEL: Final = 1 / 255
"""Photographs are taken to be right within one of 256 levels: rounding, noise and JPEG together seldom do less."""
UNKNOWN_CAMERA_STOPS: Final = 0.8
"""Error of tones to expect of a camera that was not adapted to: on well-exposed pixels, virtual ones that were never
trained on have 0.3 to 0.7 (`experiments/camera_profile`). It is taken larger, as real cameras keep to no ranges."""
# A channel counts as clipped from the customary 250 of 255 on, and in part from where JPEG rings around white.
_RAMP: Final = (240 / 255, CLIPPED_LEVEL / 255)
_FLOOR: Final = 2.0**-10


class Uncertainty(NamedTuple):
    """Uncertainty of each pixel.

    Attributes:
        clipped: 1 where the photograph shows white in a channel (250 of 255 or more), 0 where all channels are below
            240, and a ramp between.
        invented: Share of the pixel's light, summed over the channels, that is above what the photograph shows. A
            clipped channel shows that there was as much as white or more: the rest is the network's. 0 to below 1.
        sigma: Uncertainty in stops, see `assess`.
    """

    clipped: Float[Tensor, "h w"]
    invented: Float[Tensor, "h w"]
    sigma: Float[Tensor, "h w"]


def shifted(ldr: Float[Tensor, "*b h w"]) -> tuple[Float[Tensor, "*b h w"], Float[Tensor, "*b h w"]]:
    """Return a photograph a level darker, and a level brighter: both are as good as the one given."""
    return (ldr - LEVEL).clamp_min(0), (ldr + LEVEL).clamp_max(1)


def vary(ldr: Float[Tensor, "3 h w"]) -> tuple[Callable[[slice, slice], Tensor], ...]:
    """Return two photographs as good as the one given, as functions that give windows of them.

    They are those of `shifted`, the brighter one mirrored: what a network says of them should be the same, and how
    far it is not shows how far it depends on chance. What it says of the second is mirrored too.
    """
    width = ldr.shape[2]

    def read_darker(rows: slice, columns: slice) -> Tensor:
        return shifted(ldr[:, rows, columns])[0]

    def read_mirrored(rows: slice, columns: slice) -> Tensor:
        return shifted(ldr[:, rows, width - columns.stop : width - columns.start].flip(2))[1]

    return read_darker, read_mirrored


def assess(
    ldr: Float[Tensor, "3 h w"],
    exposures: Sequence[Float[Tensor, "3 h w"]],
    *,
    tone_error_stops: float,
    spread: Float[Tensor, "3 h w"] | None = None,
) -> Uncertainty:
    """Compute how uncertain each pixel is.

    ``sigma**2`` is the sum of three squares: the error of the camera's tones; the standard deviation of the
    reconstructions, which grows where a level is many stops wide (in the shadows) and, without a distribution,
    where the network guesses by statistics; and the spread of the network's own distribution of what was clipped. A
    network that has none counts instead the stops by which clipped channels were raised above white, times
    `clip_shares`, for nothing in the photograph bounds them. The last two are means over the channels.

    Without a distribution it ranks pixels by the error to expect, one scale for the whole picture left free, and only
    weakly: on photographs
    of test places by virtual cameras never trained on, the rank correlation with the error is 0.33 for a camera of one
    curve per channel and 0.19 for a phone. It was not fitted to errors, and is no calibrated standard deviation: for
    the former the error is 0.9 sigma, for the latter 1.2 (`experiments/camera_profile`). It leaves out what all
    reconstructions get wrong alike: local tone mapping, or a highlight that no variant raises.

    Args:
        ldr: The photograph.
        exposures: Its reconstruction first, then those of photographs as good, all in this one's orientation. A network
            with a distribution makes all of one look at the whole: how far it may be wrong there is in ``spread``.
        tone_error_stops: Error on well-exposed pixels as measured on other photographs of this camera.
        spread: Standard deviation of what was added, in stops, of a network that has a distribution of it.

    Raises:
        ValueError: If there are fewer than two reconstructions.
    """
    if len(exposures) < 2:
        raise ValueError(f"a spread needs two reconstructions or more, got {len(exposures)}")
    shares = clip_shares(ldr)
    made = exposures[0]
    above = shares * (made - 1).clamp_min(0)
    invented = above.sum(dim=0) / made.sum(dim=0).clamp_min(_FLOOR)
    variance = torch.stack([exposure.clamp_min(_FLOOR).log2() for exposure in exposures]).var(dim=0).mean(dim=0)
    raised = (shares * made.clamp_min(1).log2() if spread is None else spread).square().mean(dim=0)
    return Uncertainty(shares.amax(dim=0), invented, (tone_error_stops**2 + variance + raised).sqrt())


def clip_shares(ldr: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
    """Measure how far each channel of a photograph is clipped, 0 to 1.

    Example:
        >>> clip_shares(torch.tensor([0, 245, 255]).view(3, 1, 1) / 255).flatten()
        tensor([0.0000, 0.5000, 1.0000])
    """
    low, high = _RAMP
    return ((ldr - low) / (high - low)).clamp(0, 1)
