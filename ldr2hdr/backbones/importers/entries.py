"""Named tensors of a file, handed out once each after a look at them."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor


class Entries:
    """Take every tensor of a file by name and shape; none may be missing or left over.

    Args:
        path: Where they come from, for messages.
        tensors: What the file holds.
    """

    def __init__(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        self._path = path
        self._left = dict(tensors)

    def shape(self, name: str, *, num_dims: int) -> tuple[int, ...]:
        """Shape of an entry that stays; from it, the size of the network is known.

        Raises:
            ValueError: If it is missing or has another number of dimensions.
        """
        shape = tuple(self._find(name).shape)
        if len(shape) != num_dims or min(shape) < 1:
            raise ValueError(f"{self._path}: expected {num_dims} dimensions of {name}, got shape {shape}")
        return shape

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Take an entry, in single precision.

        Raises:
            ValueError: If it is missing, has another shape, or is not finite numbers in floating point.
        """
        tensor = self._find(name)
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{self._path}: expected shape {shape} of {name}, got {tuple(tensor.shape)}")
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{self._path}: expected finite numbers in floating point in {name}, got {tensor.dtype}")
        del self._left[name]
        return tensor.detach().float().contiguous()

    def require_none_left(self) -> None:
        """Make sure that all was taken.

        Raises:
            ValueError: If something was not: the file holds another network.
        """
        if self._left:
            raise ValueError(
                f"{self._path}: {len(self._left)} entries are of no known use, the first is {next(iter(self._left))}; "
                "the file holds another network than its kind has"
            )

    def _find(self, name: str) -> Tensor:
        if name not in self._left:
            raise ValueError(
                f"{self._path}: there is no entry {name}; the file holds another network than its kind has"
            )
        return self._left[name]


def take_layers(
    entries: Entries, layers: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    """Take the weight and the bias of convolutions, under new names.

    Args:
        entries: What is taken from.
        layers: Our name of each convolution by the name in the file.
        shapes: Shape of each convolution's weight, by the name in the file; the bias has its first side.

    Returns:
        ``NAME.weight`` and ``NAME.bias`` by our names.

    Raises:
        ValueError: As for `Entries.take`.
    """
    taken: dict[str, Tensor] = {}
    for theirs, ours in layers.items():
        shape = shapes[theirs]
        taken[f"{ours}.weight"] = entries.take(f"{theirs}.weight", shape)
        taken[f"{ours}.bias"] = entries.take(f"{theirs}.bias", shape[:1])
    return taken
