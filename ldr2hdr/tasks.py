"""Examples, tasks and batches of tasks: validated once, then passed around as they are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.transfer import pin, transfer

Statistics: TypeAlias = tuple[Any, ...] | None
"""Support as a model's closed-form part keeps it: a NamedTuple of tensors, and of such; None without support."""
Window: TypeAlias = tuple[slice, slice]
"""Rows and columns of a picture."""
WHOLE: Final[Window] = (slice(None), slice(None))
_Tree = TypeVar("_Tree")


@dataclass(frozen=True)
class Shots:
    """LDR pictures with the sensor exposure they should be mapped to.

    Attributes:
        ldr: Display-referred pictures in [0, 1], ``(..., N, 3, H, W)``.
        exposure: Sensor exposure, 1 at the camera's white, unbounded above, same shape.

    Raises:
        ValueError: If the shapes differ or are not pictures.
    """

    ldr: Float[Tensor, "*b 3 h w"]
    exposure: Float[Tensor, "*b 3 h w"]

    def __post_init__(self) -> None:
        if self.ldr.shape != self.exposure.shape or self.ldr.ndim < 4 or self.ldr.shape[-3] != 3:
            raise ValueError(
                "shots must pair pictures (..., N, 3, H, W) of one shape, "
                f"got ldr {tuple(self.ldr.shape)} and exposure {tuple(self.exposure.shape)}"
            )

    def __len__(self) -> int:
        return self.ldr.shape[-4]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Shots":
        """Copy to a device."""
        return Shots(
            self.ldr.to(device, non_blocking=non_blocking),
            self.exposure.to(device, non_blocking=non_blocking),
        )


@dataclass(frozen=True)
class Task:
    """One mapping to adapt to: what is adapted on, and what is judged on.

    Attributes:
        support: K examples ``(K, 3, H, W)``.
        query: Q examples ``(Q, 3, H, W)`` by the same camera, never seen by the inner loop.
        support_places: The K places the support shows.
        query_places: The Q places the query shows; a place is the unit of splits and of bootstrap intervals.
        camera: Name of the camera, unique within a data set.
    """

    support: Shots
    query: Shots
    support_places: tuple[str, ...]
    query_places: tuple[str, ...]
    camera: str


@dataclass(frozen=True)
class TaskBatch:
    """T tasks of one shape: support ``(T, K, 3, H, W)`` and query ``(T, Q, 3, H, W)``."""

    support: Shots
    query: Shots
    query_places: tuple[tuple[str, ...], ...]
    cameras: tuple[str, ...]

    def __post_init__(self) -> None:
        counts = {
            self.support.ldr.shape[0],
            self.query.ldr.shape[0],
            len(self.query_places),
            len(self.cameras),
        }
        if len(counts) != 1 or self.support.ldr.ndim != 5 or self.query.ldr.ndim != 5:
            raise ValueError(
                "a batch needs (T, K, 3, H, W) support and (T, Q, 3, H, W) query with one name per task, "
                f"got {tuple(self.support.ldr.shape)} and {tuple(self.query.ldr.shape)} "
                f"with {len(self.query_places)} lists of places and {len(self.cameras)} cameras"
            )

    def __len__(self) -> int:
        return len(self.query_places)

    def shots(self, index: int) -> tuple[Shots, Shots]:
        """Support ``(K, 3, H, W)`` and query ``(Q, 3, H, W)`` of one task."""
        return (
            Shots(self.support.ldr[index], self.support.exposure[index]),
            Shots(self.query.ldr[index], self.query.exposure[index]),
        )

    def stack(self, start: int, stop: int) -> tuple[Shots, Shots]:
        """Support ``(T, K, 3, H, W)`` and query ``(T, Q, 3, H, W)`` of successive tasks."""
        return (
            Shots(self.support.ldr[start:stop], self.support.exposure[start:stop]),
            Shots(self.query.ldr[start:stop], self.query.exposure[start:stop]),
        )

    def to(self, device: torch.device | str) -> "TaskBatch":
        """Copy to a device, by one copy; Lightning calls this."""
        return self._with(transfer(self._tensors(), device))

    def pin_memory(self) -> "TaskBatch":
        """Copy to page-locked memory, from which a GPU reads faster; the DataLoader calls this."""
        return self._with(pin(self._tensors()))

    def _tensors(self) -> list[Tensor]:
        return [tensor for shots in (self.support, self.query) for tensor in (shots.ldr, shots.exposure)]

    def _with(self, tensors: Sequence[Tensor]) -> "TaskBatch":
        return TaskBatch(Shots(*tensors[:2]), Shots(*tensors[2:]), self.query_places, self.cameras)


def collate(tasks: Sequence[Task]) -> TaskBatch:
    """Stack tasks of one shape into a batch.

    Raises:
        ValueError: If there is no task.
    """
    if not tasks:
        raise ValueError("a batch needs at least one task, got none")
    return TaskBatch(
        support=_stack([task.support for task in tasks]),
        query=_stack([task.query for task in tasks]),
        query_places=tuple(task.query_places for task in tasks),
        cameras=tuple(task.camera for task in tasks),
    )


def _stack(shots: Sequence[Shots]) -> Shots:
    return Shots(torch.stack([s.ldr for s in shots]), torch.stack([s.exposure for s in shots]))


def named_tensors(tree: object) -> dict[str, Tensor]:
    """Return the tensors of statistics, or the like, by name: of None, a tensor, and NamedTuples and shots of such.

    A field ``value`` adds nothing to the name, so that what was a tensor in a stored file may become a NamedTuple.

    Raises:
        TypeError: If there is anything else in it.
    """
    return {_name(path): tensor for path, tensor in _leaves(tree, ())}


def with_tensors(tree: _Tree, tensors: Mapping[str, Tensor]) -> _Tree:
    """Return statistics, or the like, of the same shape that hold other tensors, by the names of `named_tensors`."""
    filled: _Tree = _fill(tree, tensors, ())
    return filled


def map_tensors(tree: _Tree, fn: Callable[[Tensor], Tensor]) -> _Tree:
    """Return statistics, or the like, of the same shape that hold what a function makes of each tensor."""
    return with_tensors(tree, {name: fn(tensor) for name, tensor in named_tensors(tree).items()})


def _name(path: tuple[str, ...]) -> str:
    return ".".join(part for part in path if part != "value") or "value"


def _leaves(node: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    if isinstance(node, Tensor):
        yield path, node
        return
    for name, child in _children(node).items():
        yield from _leaves(child, (*path, name))


def _children(node: object) -> dict[str, Any]:
    if node is None:
        return {}
    if isinstance(node, Shots):
        return {"ldr": node.ldr, "exposure": node.exposure}
    if isinstance(node, tuple) and hasattr(node, "_asdict"):
        return dict(node._asdict())
    raise TypeError(f"expected tensors and NamedTuples of them, got {type(node).__name__}")


def _fill(node: object, tensors: Mapping[str, Tensor], path: tuple[str, ...]) -> Any:  # noqa: ANN401 (the node's type)
    if isinstance(node, Tensor):
        return tensors[_name(path)]
    if node is None:
        return None
    children = {name: _fill(child, tensors, (*path, name)) for name, child in _children(node).items()}
    return type(node)(**children)
