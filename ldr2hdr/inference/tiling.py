"""Pictures of any size in bounded memory: a network sees tiles, each with all around it that its values depend on."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ldr2hdr.tasks import Statistics

Window = tuple[slice, slice]
"""Rows and columns of a picture."""
Read = Callable[[slice, slice], Float[Tensor, "3 h w"]]
"""Gives a window of a picture, in [0, 1], on the CPU."""

TILE_PX: Final = 512
"""Fastest for a small network on a CPU: what a larger tile needs, the allocator gets fresh from the system each time,
and in a smaller one the halo outweighs what it surrounds."""
# What a backbone that does not tell is taken to down-sample by: a multiple of every power of two that is in use.
_ANY_MULTIPLE: Final = 64
# Longest strip a backbone is tried on; one that looks farther than its half counts as looking at the whole picture.
_LONGEST_PX: Final = 4096


@runtime_checkable
class TileableModel(Protocol):
    """What is asked of a model; a `Reconstructor` has it."""

    backbone: nn.Module

    def global_statistics(self, strips: Iterable[Tensor], size: tuple[int, int]) -> object:
        """What the model needs of a whole picture before it sees parts."""

    def reconstruct(self, part: Tensor, statistics: Statistics, *, global_statistics: object, window: Window) -> Tensor:
        """Reconstruct a part; it may be wrong near its sides."""


class Locality(NamedTuple):
    """Where a network may be cut, and how far it looks.

    Attributes:
        multiple: Tiles begin at multiples of this many pixels, as the grids of down-sampled features do.
        halo: Pixels around a tile beyond which nothing changes its values; a multiple of ``multiple``.
    """

    multiple: int
    halo: int


class Span(NamedTuple):
    """A tile along one side: the pixels that it gives, and those that it sees for that."""

    given: slice
    seen: slice

    def crop(self) -> slice:
        """Where what is given lies in what is seen."""
        return slice(self.given.start - self.seen.start, self.given.stop - self.seen.start)


def measure_locality(backbone: nn.Module) -> Locality:
    """Find out how far a backbone looks, by what NaN in one half of a picture spoils of the other half.

    NaN goes through every sum and product, also where a weight is zero. So what stays finite depends neither on the
    values there, nor on whether there are pixels at all: it is the same where a tile ends.

    Args:
        backbone: Maps ``(ldr, linear)`` to a picture of the same size. An attribute ``multiple`` tells what its
            coarsest features are down-sampled by, so that tiles can be tight, or by None that it needs the whole
            picture.

    Raises:
        ValueError: If the backbone looks at the whole picture.
    """
    multiple: int | None = getattr(backbone, "multiple", _ANY_MULTIPLE)
    length = _LONGEST_PX if multiple is None else 8 * multiple
    while multiple is not None and length <= _LONGEST_PX:
        reach = max(_reach(backbone, length, multiple, is_along_rows=flag) for flag in (False, True))
        if reach < length // 2:
            return Locality(multiple, math.ceil(reach / multiple) * multiple)
        length *= 2
    raise ValueError(
        f"the backbone {type(backbone).__name__} cannot work on tiles, as each of its pixels depends on the whole "
        "picture; backbone.norm=group makes it so, if it has that option, and pixel does not"
    )


def cut(length: int, locality: Locality, *, tile_px: int) -> list[Span]:
    """Cut one side of a picture into spans of about the same size.

    Args:
        length: Of the side, in pixels.
        locality: Of the network.
        tile_px: Most pixels that a span gives, rounded up to a multiple.

    Example:
        >>> cut(20, Locality(multiple=4, halo=8), tile_px=12)[1]
        Span(given=slice(12, 20, None), seen=slice(4, 20, None))
    """
    multiple, halo = locality
    step = math.ceil(length / math.ceil(length / tile_px) / multiple) * multiple
    givens = (slice(start, min(start + step, length)) for start in range(0, length, step))
    # a picture ends where its network pads it, so there a tile sees no farther either
    return [Span(given, slice(max(given.start - halo, 0), min(given.stop + halo, length))) for given in givens]


def reconstruct_bands(
    model: TileableModel,
    read: Read,
    *,
    size: tuple[int, int],
    statistics: Statistics = None,
    locality: Locality | None = None,
    tile_px: int = TILE_PX,
) -> Iterator[Float[Tensor, "3 _ w"]]:
    """Reconstruct a picture band by band, as the model would reconstruct it whole.

    The picture is read in tiles, and before that once in bands if the model has to know all of it. On a GPU, tiles are
    sent from page-locked memory and come back as a band, so that it need not wait in between.

    Args:
        model: Maps the picture; it computes on the device of its backbone.
        read: Gives windows of the picture.
        size: Height and width of the picture.
        statistics: What the model's ``sufficient_statistics`` made of the camera's support; None for a single shot.
        locality: Of the model's backbone; measured if None.
        tile_px: Side of a tile without its halo; a multiple of the backbone's down-sampling leaves nothing over.

    Yields:
        Sensor exposure of some rows, all columns, from top to bottom, on the CPU.

    Raises:
        ValueError: If ``tile_px`` is not positive, or the backbone looks at the whole picture.
    """
    if tile_px < 1:
        raise ValueError(f"tile_px must be positive, got {tile_px}")
    locality, device = locality or measure_locality(model.backbone), _like(model.backbone).device
    rows, columns = (cut(length, locality, tile_px=tile_px) for length in size)

    def load(*window: slice) -> Tensor:
        part = read(*window)[None]
        return part if device.type == "cpu" else part.pin_memory().to(device, non_blocking=True)

    with torch.inference_mode():
        global_statistics = model.global_statistics((load(row.given, slice(0, size[1])) for row in rows), size)
    for row in rows:
        with torch.inference_mode():
            tiles = []
            for column in columns:
                window = (row.seen, column.seen)
                tile = model.reconstruct(load(*window), statistics, global_statistics=global_statistics, window=window)
                tiles.append(tile[0, :, row.crop(), column.crop()])
            band = torch.cat(tiles, dim=2).cpu()
        yield band  # outside, for the mode is the thread's and not the function's


def _reach(backbone: nn.Module, length: int, breadth: int, *, is_along_rows: bool) -> int:
    """How many pixels beyond the middle of a strip are spoilt, at most, when half of it is."""
    half = length // 2
    strips = torch.full((2, 3, length, breadth), 0.5, dtype=_like(backbone).dtype)
    strips[0, :, :half] = strips[1, :, half:] = math.nan
    # on the CPU, where no fast algorithm spoils neighbours that a sum would keep apart
    tensors = {name: tensor.cpu() for name, tensor in (*backbone.named_parameters(), *backbone.named_buffers())}
    with torch.inference_mode():
        inputs = (strips.mT if is_along_rows else strips,) * 2
        exposure = torch.func.functional_call(backbone, tensors, inputs)
    spoilt = (exposure.mT if is_along_rows else exposure).isnan().any(dim=3).any(dim=1)
    return max(_extent(spoilt[0, half:]), _extent(spoilt[1, :half].flip(0)))


def _extent(flags: Bool[Tensor, " n"]) -> int:
    """Number of flags up to the last one that is set."""
    return int(flags.nonzero().max()) + 1 if bool(flags.any()) else 0


def _like(backbone: nn.Module) -> Tensor:
    """A tensor on the device and of the type that the backbone computes with."""
    return next(backbone.parameters(), torch.empty(0))
