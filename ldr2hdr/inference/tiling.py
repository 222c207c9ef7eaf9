"""Pictures of any size in bounded memory: a network sees tiles, each with all around it that its values depend on."""

import math
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.backbones.locality import Locality
from ldr2hdr.inference.uncertainty import shifted
from ldr2hdr.reconstructor import BoundReconstructor
from ldr2hdr.tasks import Window

Read = Callable[[slice, slice], Float[Tensor, "3 h w"]]
"""Gives a window of a picture, in [0, 1], on the CPU."""
OnShare = Callable[[float], None]
"""Called with the share that is done, from 0 to 1, before each tile; whatever it raises ends the work."""

TILE_PX: Final = 512
"""Fastest for a small network on a CPU: what a larger tile needs, the allocator gets fresh from the system each time,
and in a smaller one the halo outweighs what it surrounds."""
# What is reconstructed whole, if it cannot be done on tiles: 2.5 GB for the default network, were it one of those.
_WHOLE_PX: Final = 2**22


class Span(NamedTuple):
    """Tile along one side: the pixels that it gives, and those that it sees for that."""

    given: slice
    seen: slice

    def crop(self) -> slice:
        """Return where what is given lies in what is seen."""
        return slice(self.given.start - self.seen.start, self.given.stop - self.seen.start)


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
    network: BoundReconstructor,
    read: Read,
    *,
    size: tuple[int, int],
    tile_px: int = TILE_PX,
    on_share: OnShare | None = None,
    has_spread: bool = False,
    is_wanted: Callable[[slice, slice], bool] | None = None,
) -> Iterator[Float[Tensor, "c _ w"]]:
    """Reconstruct a picture band by band, as the network would reconstruct it whole.

    The picture is read in tiles, and before that in bands, once or twice, if the network has to know all of it. On a
    GPU, tiles are sent from page-locked memory and come back as a band, so that it need not wait in between.

    Args:
        network: Maps the picture; it computes on the device of its parameters.
        read: Gives windows of the picture.
        size: Height and width of the picture.
        tile_px: Side of a tile without its halo; a multiple of the backbone's down-sampling leaves nothing over.
        on_share: Called before each tile.
        has_spread: Whether the spread of each channel, in stops, comes below the three channels of exposure, and below
            that the exposures of `shifted` pictures, for which the whole is not looked at again.
        is_wanted: Says by rows and columns whether a tile is needed; one that is not is 0. All are if None.

    Yields:
        Sensor exposure of some rows, all columns, from top to bottom, on the CPU.

    Raises:
        ValueError: If ``tile_px`` is not positive, the picture is large and the network cannot work on tiles, or there
            is no spread to give.
    """
    if tile_px < 1:
        raise ValueError(f"tile_px must be positive, got {tile_px}")
    rows, columns = _cut_both(network, size, tile_px=tile_px)
    picture = _Picture(read, size, rows, network.device)
    with torch.inference_mode():
        prepared = network.prepare(picture, size)
    for row in rows:
        with torch.inference_mode():
            tiles = []
            for column in columns:
                if on_share is not None:
                    done = row.given.start + (row.given.stop - row.given.start) * column.given.start / size[1]
                    on_share(done / size[0])
                if is_wanted is not None and not is_wanted(row.given, column.given):
                    sides = (part.given.stop - part.given.start for part in (row, column))
                    tiles.append(torch.zeros(12 if has_spread else 3, *sides, device=network.device))
                    continue
                window = (row.seen, column.seen)
                part = picture.load(window)
                tile = network.reconstruct(part, prepared=prepared, window=window)
                if has_spread:
                    spread = network.spread(part, prepared=prepared, window=window)
                    others = [network.reconstruct(other, prepared=prepared, window=window) for other in shifted(part)]
                    tile = torch.cat([tile, spread, *others], dim=1)
                tiles.append(tile[0, :, row.crop(), column.crop()])
            band = torch.cat(tiles, dim=2).cpu()
        yield band  # outside, for the mode is the thread's and not the function's


class _Picture:
    """Picture that is read in windows, and iterated over in strips as often as wanted."""

    def __init__(self, read: Read, size: tuple[int, int], rows: list[Span], device: torch.device) -> None:
        self._read, self._width, self._rows, self._device = read, size[1], rows, device

    def load(self, window: Window) -> Float[Tensor, "1 3 h w"]:
        part = self._read(*window)[None]
        return part if self._device.type == "cpu" else part.pin_memory().to(self._device, non_blocking=True)

    def __iter__(self) -> Iterator[Float[Tensor, "1 3 _ w"]]:
        return (self.load((row.given, slice(0, self._width))) for row in self._rows)


def _cut_both(network: BoundReconstructor, size: tuple[int, int], *, tile_px: int) -> list[list[Span]]:
    """Cut rows and columns, or leave a small picture whole for a network that needs it so."""
    if network.locality is not None:
        return [cut(length, network.locality, tile_px=tile_px) for length in size]
    num_pixels = size[0] * size[1]
    if num_pixels > _WHOLE_PX:
        raise ValueError(
            f"the backbone {network.backbone.label} cannot work on tiles, as each of its pixels depends on the whole "
            "picture, as backbone=context looks at it, and as backbone.norm=group does and norm=pixel does not. Only "
            f"photographs of up to {_WHOLE_PX / 1e6:.1f} megapixels are converted whole, got {num_pixels / 1e6:.1f}; "
            "make it smaller"
        )
    return [[Span(slice(0, length), slice(0, length))] for length in size]
