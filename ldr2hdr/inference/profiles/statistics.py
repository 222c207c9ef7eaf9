"""Statistics of a support from named tensors, which are stored without code, in the model's own shape alone."""

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

from ldr2hdr.tasks import Shots, Statistics, named_tensors, with_tensors

# Two supports that differ in all that the shape of statistics may depend on.
_TRIALS: Final = ((2, 16, 24), (3, 32, 16))


def rebuild(
    sufficient_statistics: Callable[[Shots], Statistics], tensors: Mapping[str, Tensor], *, device: torch.device
) -> Statistics:
    """Return the statistics that these tensors are of, in the shape that the model gives them.

    Args:
        sufficient_statistics: Makes statistics of supports; it is tried on two made-up ones.
        tensors: From `named_tensors`, on the CPU.
        device: Where the model computes, and the statistics will be.

    Raises:
        ValueError: If names, types or sizes are not those of this model's statistics, or a value is not finite.
    """
    templates = [sufficient_statistics(_made_up(*trial, device=device)) for trial in _TRIALS]
    expected, other = (named_tensors(template) for template in templates)
    if set(tensors) != set(expected):
        raise ValueError(f"expected the tensors {sorted(expected) or 'none'}, got {sorted(tensors) or 'none'}")
    for name, tensor in tensors.items():
        one, two = expected[name], other[name]
        # what is the same for two supports that have nothing in common is the model's, and fixed
        fits = tensor.ndim == one.ndim and all(
            size == first or (first != second and size > 0)
            for size, first, second in zip(tensor.shape, one.shape, two.shape, strict=True)
        )
        if not fits or tensor.dtype != one.dtype or not bool(tensor.isfinite().all()):
            raise ValueError(
                f"expected finite {one.dtype} like {tuple(one.shape)} for {name}, "
                f"got {tensor.dtype} {tuple(tensor.shape)}"
            )
    return with_tensors(templates[0], {name: tensor.to(device) for name, tensor in tensors.items()})


def _made_up(count: int, height: int, width: int, *, device: torch.device) -> Shots:
    pictures = torch.linspace(0, 1, count * 3 * height * width, device=device).view(count, 3, height, width)
    return Shots(pictures, pictures)
