"""Copies of several tensors to a device at once: a GPU takes one large copy sooner than many small ones."""

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

# A tensor may begin at a multiple of the size of its numbers
_ALIGNMENT: Final = 16


def transfer(tensors: Sequence[Tensor], device: torch.device | str) -> list[Tensor]:
    """Copy tensors of any types to a device by one copy, without waiting for it if they come from ``pin``."""
    if torch.device(device).type == "cpu" or tensors[0].device.type != "cpu":
        return [tensor.to(device) for tensor in tensors]
    start = tensors[0].untyped_storage()
    if all(t.is_contiguous() and t.untyped_storage().data_ptr() == start.data_ptr() for t in tensors):
        packed = torch.empty(0, dtype=torch.uint8).set_(start)
        offsets = [int(tensor.storage_offset()) * tensor.itemsize for tensor in tensors]
    else:
        packed, offsets = _pack(tensors)
    return _views(packed.to(device, non_blocking=packed.is_pinned()), offsets, tensors)


def pin(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Copy tensors side by side to page-locked memory, from which a GPU reads without the CPU; those of a GPU stay."""
    if tensors[0].device.type != "cpu":
        return list(tensors)
    packed, offsets = _pack(tensors)
    return _views(packed.pin_memory(), offsets, tensors)


def _pack(tensors: Sequence[Tensor]) -> tuple[Tensor, list[int]]:
    """Lay the bytes of tensors side by side, and return where each begins."""
    starts = [0]
    for tensor in tensors:
        starts.append(starts[-1] + math.ceil(tensor.nbytes / _ALIGNMENT) * _ALIGNMENT)
    packed = torch.empty(starts[-1], dtype=torch.uint8)
    for view, tensor in zip(_views(packed, starts[:-1], tensors), tensors, strict=True):
        view.copy_(tensor)
    return packed, starts[:-1]


def _views(packed: Tensor, offsets: Sequence[int], like: Sequence[Tensor]) -> list[Tensor]:
    return [
        packed[offset : offset + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        for offset, tensor in zip(offsets, like, strict=True)
    ]
