"""Coarse grids over a whole picture: means over their cells, strip by strip, and smooth values back at its pixels."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.tasks import Window


def larger(first: int, second: int) -> int:
    """Return the larger of two sizes, which may be symbols while a network is exported."""
    return torch.sym_max(first, second)  # type: ignore[no-untyped-call]


def smaller(first: int, second: int) -> int:
    """Return the smaller of two sizes, which may be symbols while a network is exported."""
    return torch.sym_min(first, second)  # type: ignore[no-untyped-call]


def cell_means(
    planes: Float[Tensor, "b c rows columns"], cells: tuple[int, int], *, window: Window, size: tuple[int, int]
) -> tuple[Window, Float[Tensor, "b c _ _"]]:
    """Compute what a part of a picture adds to the means over the cells of a grid; the sum over all parts is exact.

    Args:
        planes: The part.
        cells: Rows and columns of the grid.
        window: Rows and columns of the part in the whole.
        size: Height and width of the whole.

    Returns:
        The cells that the part touches, and their shares of the means.
    """
    (rows, over_rows), (columns, over_columns) = (
        _overlap(number, length, span, like=planes) for number, length, span in zip(cells, size, window, strict=True)
    )
    return (rows, columns), over_rows @ planes @ over_columns.mT


def spread_out(
    grid: Float[Tensor, "b c n m"], *, window: Window, size: tuple[int, int]
) -> Float[Tensor, "b c rows columns"]:
    """Interpolate linearly between the centres of a grid's cells, at the pixels of a part of the picture.

    Args:
        grid: Over the whole picture; beyond the outermost centres its values continue.
        window: Rows and columns of the part in the whole.
        size: Height and width of the whole.
    """
    (rows, by_rows), (columns, by_columns) = (
        _hats(number, length, span, like=grid)
        for number, length, span in zip(grid.shape[2:], size, window, strict=True)
    )
    return by_rows @ grid[:, :, rows, columns] @ by_columns.mT


def blocks(window: Window, block_px: int) -> Iterator[Window]:
    """Cut a part of a picture into blocks of about this side, so that what is made of one stays in the cache."""
    rows, columns = window
    for top in range(rows.start, rows.stop, block_px):
        for left in range(columns.start, columns.stop, block_px):
            yield slice(top, min(top + block_px, rows.stop)), slice(left, min(left + block_px, columns.stop))


def _overlap(cells: int, length: int, span: slice, *, like: Tensor) -> tuple[slice, Float[Tensor, "cells pixels"]]:
    """Return the cells that a span touches, and which share each pixel has in the mean over each of them."""
    first, last = span.start * cells // length, (span.stop * cells - 1) // length
    cell = torch.arange(first, last + 1, device=like.device)[:, None]
    pixel = torch.arange(span.start, span.stop, device=like.device)
    # whole numbers, in units of a pixel's share 1 / cells: the cells of neighbouring parts meet exactly
    shared = torch.minimum((pixel + 1) * cells, (cell + 1) * length) - torch.maximum(pixel * cells, cell * length)
    return slice(first, last + 1), shared.clamp_min(0).to(like.dtype) / length


def _hats(cells: int, length: int, span: slice, *, like: Tensor) -> tuple[slice, Float[Tensor, "pixels cells"]]:
    """Return the cells whose centres are around a span's pixels, and their weights there."""
    first = larger(span.start * cells // length - 1, 0)
    last = smaller((span.stop * cells - 1) // length + 1, cells - 1)
    cell = torch.arange(first, last + 1, device=like.device, dtype=like.dtype)
    pixel = torch.arange(span.start, span.stop, device=like.device, dtype=like.dtype)
    position = ((pixel + 0.5) * cells / length - 0.5).clamp(0, cells - 1)[:, None]
    return slice(first, last + 1), (1 - (position - cell).abs()).clamp_min(0)
