"""Named tensors of a file, handed out once each after a look at them."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

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


class Layer(NamedTuple):
    """Convolution of a network: its name in the file, ours, channels in and out, side of its kernel."""

    theirs: str
    ours: str
    before: int
    after: int
    side: int


def read_layers(
    path: Path, tensors: Mapping[str, Tensor], *, first: str, layers: Callable[[int], Iterable[Layer]]
) -> tuple[int, dict[str, Tensor]]:
    """Read a network that is made of convolutions alone.

    Args:
        path: Where it comes from, for messages.
        tensors: What the file holds.
        first: Name of the first convolution in the file, whose outputs are the network's width.
        layers: Makes all convolutions of a network from its width.

    Returns:
        The width, and ``NAME.weight`` and ``NAME.bias`` by our names.

    Raises:
        ValueError: If an entry is missing, unknown, of another shape, or not finite.
    """
    entries = Entries(path, tensors)
    width = entries.shape(f"{first}.weight", num_dims=4)[0]
    taken: dict[str, Tensor] = {}
    for layer in layers(width):
        shape = (layer.after, layer.before, layer.side, layer.side)
        taken[f"{layer.ours}.weight"] = entries.take(f"{layer.theirs}.weight", shape)
        taken[f"{layer.ours}.bias"] = entries.take(f"{layer.theirs}.bias", shape[:1])
    entries.require_none_left()
    return width, taken
