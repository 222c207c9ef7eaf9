"""Pinhole views of an equirectangular panorama."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor


def render_view(
    panorama: Shaped[np.ndarray, "3 h w"],
    *,
    yaw_deg: float,
    pitch_deg: float,
    fov_deg: float,
    size_px: tuple[int, int],
) -> Float[Tensor, "3 view_h view_w"]:
    """Look into a panorama with a pinhole camera.

    The centre column of the panorama is yaw 0, its top row the zenith. Where the view is coarser than the
    panorama, an integer multiple of the pixels is sampled bilinearly and averaged, so small lights do not
    alias. Only the rows in sight are read, so a memory-mapped panorama is read in part.

    Args:
        panorama: Linear values, any float type; the full sphere, so ``w = 2 h``.
        yaw_deg: Heading, positive to the right; any number, 360 is a full turn.
        pitch_deg: Elevation of the optical axis, positive up.
        fov_deg: Horizontal field of view, between 0 and 180.
        size_px: Height and width of the view; pixels are square.

    Returns:
        The view, float32; non-negative if the panorama is.
    """
    height_px, width_px = size_px
    focal_px = 0.5 * width_px / math.tan(math.radians(fov_deg) / 2)
    # the view is coarsest in angle at its centre, where one pixel spans 1 / focal_px
    oversampling = max(1, math.ceil(panorama.shape[2] / (2 * math.pi) / focal_px))
    rays = pinhole_rays(height_px * oversampling, width_px * oversampling, focal_px * oversampling)
    longitude, latitude = _rotate(rays, pitch=math.radians(pitch_deg))
    samples = _sample(panorama, longitude, latitude, turn=yaw_deg / 360.0)
    return F.avg_pool2d(samples, oversampling)


def pinhole_rays(height_px: int, width_px: int, focal_px: float) -> Float[Tensor, "3 h w"]:
    """Directions (right, up, forward) through the pixel centres, forward = 1."""
    right = (torch.arange(width_px, dtype=torch.float32) + 0.5 - width_px / 2) / focal_px
    up = (height_px / 2 - torch.arange(height_px, dtype=torch.float32) - 0.5) / focal_px
    up_grid, right_grid = torch.meshgrid(up, right, indexing="ij")
    return torch.stack([right_grid, up_grid, torch.ones_like(up_grid)])


def _rotate(rays: Float[Tensor, "3 h w"], *, pitch: float) -> tuple[Float[Tensor, "h w"], Float[Tensor, "h w"]]:
    """Longitude and latitude in radians, after the camera's nose went up by ``pitch``."""
    right, up, forward = rays
    raised = up * math.cos(pitch) + forward * math.sin(pitch)
    ahead = forward * math.cos(pitch) - up * math.sin(pitch)
    return torch.atan2(right, ahead), torch.atan2(raised, torch.hypot(right, ahead))


def _sample(
    panorama: Shaped[np.ndarray, "3 h w"],
    longitude: Float[Tensor, "vh vw"],
    latitude: Float[Tensor, "vh vw"],
    *,
    turn: float,
) -> Float[Tensor, "3 vh vw"]:
    height, width = panorama.shape[1:]
    # index coordinates: 0 is the centre of the first column or row
    column = torch.remainder(longitude * (width / (2 * math.pi)) + ((0.5 + turn) % 1.0 * width - 0.5), width)
    row = ((0.5 - latitude / math.pi) * height - 0.5).clamp(0, height - 1)
    first = min(int(row.min()), height - 2)
    last = min(int(row.max()) + 1, height - 1)
    strip = torch.from_numpy(np.asarray(panorama[:, first : last + 1]).astype(np.float32))
    # the column right of the last one is the first: the seam is interpolated like any other place
    strip = torch.cat([strip, strip[..., :1]], dim=-1)
    grid = torch.stack([column * (2 / width) - 1, (row - first) * (2 / (last - first)) - 1], dim=-1)
    return F.grid_sample(strip[None], grid[None], mode="bilinear", padding_mode="border", align_corners=True)[0]
