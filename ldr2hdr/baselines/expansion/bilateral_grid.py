"""Edge-preserving smoothing in time that does not depend on its width, batched, on any device."""

import itertools
import math
from collections.abc import Iterator
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

_CELLS_PER_SIGMA: Final = 2.0


class _Corner(NamedTuple):
    """One of the eight cells around each pixel, and the pixel's share of it."""

    cell: Int[Tensor, " n"]
    weight: Float[Tensor, " n"]


class _Grid(NamedTuple):
    """Places of the pixels among the cells.

    Attributes:
        positions: Of each pixel along range, rows and columns, in cells.
        shape: Cells along batch, range, rows and columns.
        sigmas: Width of the Gaussian along range, rows and columns, in cells.
    """

    positions: tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w"], Float[Tensor, "b h w"]]
    shape: tuple[int, int, int, int]
    sigmas: tuple[float, float, float]


def bilateral_filter(
    values: Float[Tensor, "b h w"], guide: Float[Tensor, "b h w"], *, sigma_px: float, sigma_range: float
) -> Float[Tensor, "b h w"]:
    """Average each pixel with those that are near to it in the picture and alike in the guide.

    Pixels are entered, by linear interpolation, into a coarse grid over place and guide value; the grid is blurred by a
    Gaussian and read out where the pixels are. The result is that of the direct filter up to the grid's interpolation,
    a few percent of a step in the guide.

    Args:
        values: What is averaged.
        guide: Picture by which pixels count as alike; ``values`` themselves for the plain bilateral filter.
        sigma_px: Standard deviation of the Gaussian over the picture, in pixels.
        sigma_range: Standard deviation of the Gaussian over guide values.

    Raises:
        ValueError: If a sigma is not positive.

    References:
        Paris and Durand, ECCV 2006; Chen, Paris and Durand, SIGGRAPH 2007, for another guide.

    Example:
        >>> picture = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])
        >>> bilateral_filter(picture, picture, sigma_px=2.0, sigma_range=0.1).round(decimals=3)
        tensor([[[0., 0., 1., 1.]]])
    """
    if not (sigma_px > 0 and sigma_range > 0):
        raise ValueError(f"a bilateral filter needs positive sigmas, got {sigma_px} px and {sigma_range}")
    grid = _lay_grid(guide, sigma_px, sigma_range)
    content = values.new_zeros(2, math.prod(grid.shape))
    for cell, weight in _corners(grid):
        content[0].index_add_(0, cell, values.flatten() * weight)
        content[1].index_add_(0, cell, weight)
    content = _blur(content.view(2, *grid.shape), grid.sigmas).flatten(1)
    total, count = torch.zeros_like(values).flatten(), torch.zeros_like(values).flatten()
    for cell, weight in _corners(grid):
        total += content[0, cell] * weight
        count += content[1, cell] * weight
    return (total / count).view_as(values)


def _lay_grid(guide: Float[Tensor, "b h w"], sigma_px: float, sigma_range: float) -> _Grid:
    batch, height, width = guide.shape
    # finer than pixels there is nothing to see
    cell_px, cell_range = max(sigma_px / _CELLS_PER_SIGMA, 1.0), sigma_range / _CELLS_PER_SIGMA
    rows = torch.arange(height, device=guide.device).to(guide) / cell_px
    columns = torch.arange(width, device=guide.device).to(guide) / cell_px
    alike = (guide - guide.amin(dim=(1, 2), keepdim=True)) / cell_range
    positions = (alike, rows[:, None].expand_as(guide), columns.expand_as(guide))
    shape = (batch, *(int(position.max().item()) + 2 for position in positions))
    # reading in and out by linear interpolation blurs too, by a sixth of a cell squared each
    spread = [sigma_range / cell_range, sigma_px / cell_px, sigma_px / cell_px]
    sigmas = [math.sqrt(max(sigma**2 - 1 / 3, 1e-6)) for sigma in spread]
    return _Grid(positions, (shape[0], shape[1], shape[2], shape[3]), (sigmas[0], sigmas[1], sigmas[2]))


def _corners(grid: _Grid) -> Iterator[_Corner]:
    batch, num_range, num_rows, num_columns = grid.shape
    picture = torch.arange(batch, device=grid.positions[0].device)[:, None, None]
    for corner in itertools.product((0, 1), repeat=3):
        cells = [position.long() + offset for position, offset in zip(grid.positions, corner, strict=True)]
        weight = torch.ones_like(grid.positions[0])
        for position, cell in zip(grid.positions, cells, strict=True):
            weight = weight * (1 - (position - cell).abs())
        index = ((picture * num_range + cells[0]) * num_rows + cells[1]) * num_columns + cells[2]
        yield _Corner(index.flatten(), weight.flatten())


def _blur(content: Float[Tensor, "2 b r y x"], sigmas: tuple[float, float, float]) -> Float[Tensor, "2 b r y x"]:
    for axis, sigma in zip((2, 3, 4), sigmas, strict=True):
        radius = math.ceil(4 * sigma)
        offset = torch.arange(-radius, radius + 1, device=content.device).to(content)
        kernel = torch.exp(-0.5 * (offset / sigma) ** 2)
        lines = content.movedim(axis, -1)
        blurred = F.conv1d(lines.reshape(-1, 1, lines.shape[-1]), (kernel / kernel.sum())[None, None], padding=radius)
        content = blurred.view_as(lines).movedim(-1, axis)
    return content
