"""Memory that is used again: fresh pages cost several times what filling them does."""

import math
import weakref
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

# What waits for its next use, of one size: the batch at hand and the one that is being made, two tensors each
_MAX_WAITING: Final = 4


class ReusedMemory:
    """Lends memory for large CPU tensors, and takes it back when the last tensor that shows it is gone.

    A tensor that anybody keeps, or keeps a view of, is never overwritten. A copy of this in another process begins
    with nothing.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, list[np.ndarray]] = {}

    def empty(self, shape: Sequence[int], *, dtype: torch.dtype = torch.float32) -> Tensor:
        """A tensor of a shape, not filled, with a size of one byte or more."""
        num_bytes = math.prod(shape) * dtype.itemsize
        waiting = self._waiting.setdefault(num_bytes, [])
        buffer = waiting.pop() if waiting else np.empty(num_bytes, dtype=np.uint8)
        # of this view torch alone holds a reference, and gives it up with the tensor's storage
        lent = buffer.view()
        weakref.finalize(lent, _take_back, buffer, waiting).atexit = False
        return torch.from_numpy(lent).view(dtype).view(*shape)

    def __reduce__(self) -> tuple[type["ReusedMemory"], tuple[()]]:
        return ReusedMemory, ()


def _take_back(buffer: np.ndarray, waiting: list[np.ndarray]) -> None:
    if len(waiting) < _MAX_WAITING:
        waiting.append(buffer)
