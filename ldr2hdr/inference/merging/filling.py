"""Filling of what is white in the darkest exposure too, by the network that converts single photographs."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ldr2hdr.inference.merging.frames import Frame
from ldr2hdr.inference.tiling import OnShare, reconstruct_bands
from ldr2hdr.inference.uncertainty import clip_shares
from ldr2hdr.radiometry import encode_srgb
from ldr2hdr.reconstructor import BoundReconstructor


def fill_highlights(
    exposure: Float[np.ndarray, "h w 3"],
    darkest: Frame,
    network: BoundReconstructor,
    *,
    white: float,
    usable: Bool[np.ndarray, "h w"],
    sigma: Float[np.ndarray, "h w"],
    on_share: OnShare | None = None,
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Replace the bound by what the network makes of the darkest exposure, in place; only where that is white.

    Args:
        exposure: Of the merge, changed in place, for it is large.
        darkest: The darkest exposure.
        network: Maps photographs to sensor exposure.
        white: What 1 of the network's is in the merge.
        usable: Where the darkest exposure shows what the merge shows.
        sigma: Uncertainty of the merge, in stops.
        on_share: As of `reconstruct_bands`.

    Returns:
        Share of each pixel's light that is the network's, and the uncertainty in stops with that.
    """
    height, width = darkest.size

    def read(rows: slice, columns: slice) -> Float[Tensor, "3 _ _"]:
        levels = torch.from_numpy(darkest.levels(rows, columns)).movedim(-1, 0) / 255
        return encode_srgb(levels) if darkest.is_linear else levels

    def is_wanted(rows: slice, columns: slice) -> bool:
        return bool((clip_shares(read(rows, columns)) > 0).any())

    invented, sigma = np.zeros((height, width), np.float16), sigma.copy()
    top = 0
    for band in reconstruct_bands(network, read, size=(height, width), on_share=on_share, is_wanted=is_wanted):
        rows = slice(top, top + band.shape[1])
        top = rows.stop
        shares = clip_shares(read(rows, slice(0, width))).movedim(0, -1).numpy() * usable[rows, :, None]
        # a white channel is at least as bright as white
        raised = np.maximum(band.movedim(0, -1).numpy(), 1) * np.float32(white)
        before = exposure[rows]
        after = before + shares * np.maximum(raised - before, 0)
        invented[rows] = (after - before).sum(axis=2) / np.maximum(after.sum(axis=2), 1e-9)
        stops = np.log2(np.maximum(after, 1e-9) / np.maximum(before, 1e-9))
        sigma[rows] = np.sqrt(sigma[rows].astype(np.float32) ** 2 + (stops**2).mean(axis=2))
        exposure[rows] = after
    return invented, sigma
