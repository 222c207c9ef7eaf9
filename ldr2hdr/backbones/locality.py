"""Cuts of a network into tiles, measured by what NaN spoils."""

import math
from typing import Final, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor, nn

# Longest strip a backbone is tried on; one that looks farther than its half counts as looking at the whole picture.
_LONGEST_PX: Final = 4096


class Locality(NamedTuple):
    """Cuts that a network allows, and how far it looks.

    Attributes:
        multiple: Tiles begin at multiples of this many pixels, as the grids of down-sampled features do.
        halo: Pixels around a tile beyond which nothing changes its values; a multiple of ``multiple``.
    """

    multiple: int
    halo: int


def measure_locality(backbone: nn.Module, multiple: int) -> Locality | None:
    """Measure how far a backbone looks, by what NaN in one half of a picture spoils of the other half.

    NaN goes through every sum and product, also where a weight is zero. So what stays finite depends neither on the
    values there, nor on whether there are pixels at all: it is the same where a tile ends.

    Args:
        backbone: Maps ``(ldr, linear)`` to a picture of the same size.
        multiple: Its coarsest features are down-sampled by this, or by a divisor of it.

    Returns:
        None if the backbone looks at the whole picture.
    """
    length = 8 * multiple
    while length <= _LONGEST_PX:
        reach = max(_reach(backbone, length, multiple, is_along_rows=flag) for flag in (False, True))
        if reach < length // 2:
            return Locality(multiple, math.ceil(reach / multiple) * multiple)
        length *= 2
    return None


def _reach(backbone: nn.Module, length: int, breadth: int, *, is_along_rows: bool) -> int:
    """Return how many pixels beyond the middle of a strip are spoilt, at most, when half of it is."""
    half = length // 2
    dtype = next(backbone.parameters(), torch.empty(0)).dtype
    strips = torch.full((2, 3, length, breadth), 0.5, dtype=dtype)
    strips[0, :, :half] = strips[1, :, half:] = math.nan
    # on the CPU, where no fast algorithm spoils neighbours that a sum would keep apart
    tensors = {name: tensor.cpu() for name, tensor in (*backbone.named_parameters(), *backbone.named_buffers())}
    with torch.inference_mode():
        inputs = (strips.mT if is_along_rows else strips,) * 2
        exposure = torch.func.functional_call(backbone, tensors, inputs)
    spoilt = (exposure.mT if is_along_rows else exposure).isnan().any(dim=3).any(dim=1)
    return max(_extent(spoilt[0, half:]), _extent(spoilt[1, :half].flip(0)))


def _extent(flags: Bool[Tensor, " n"]) -> int:
    """Return the number of flags up to the last one that is set."""
    return int(flags.nonzero().max()) + 1 if bool(flags.any()) else 0
