"""Batches of tasks in few bytes, as they travel from the loader to the training device."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from jaxtyping import Float, UInt
from torch import Tensor

from ldr2hdr.data.loading.memory import ReusedMemory
from ldr2hdr.tasks import Shots, Task, TaskBatch, collate
from ldr2hdr.transfer import pin, transfer

_LARGEST_CODE: Final = {torch.uint8: 255.0, torch.uint16: 65535.0}


@dataclass(frozen=True)
class PackedBatch:
    """T tasks, each of one scene at N exposures: codes as they are stored, and the light once for all of them.

    `to` unpacks: pictures are ``codes / largest code``, their sensor exposure is ``light * units * gains``.

    Attributes:
        codes: Pictures, K of the support and then those of the query; 8 or 16 bits.
        light: Linear, in half or single precision.
        units: What brings the light to sensor exposure at ``ev=0``.
        gains: ``2**ev`` of each picture.
        num_shots: K.
        query_places: Of each task, the place that each query shows.
        cameras: Of each task.

    Raises:
        ValueError: If shapes or counts do not match, or there is no support or no query.
    """

    codes: UInt[Tensor, "t n 3 h w"]
    light: Float[Tensor, "t 3 h w"]
    units: Float[Tensor, " t"]
    gains: Float[Tensor, "t n"]
    num_shots: int
    query_places: tuple[tuple[str, ...], ...]
    cameras: tuple[str, ...]

    def __post_init__(self) -> None:
        num_tasks, num_pictures, *picture = self.codes.shape
        matches = (
            (self.light.shape, (num_tasks, *picture)),
            (self.units.shape, (num_tasks,)),
            (self.gains.shape, (num_tasks, num_pictures)),
            ((len(self.query_places), len(self.cameras)), (num_tasks, num_tasks)),
        )
        if any(got != wanted for got, wanted in matches) or not 0 < self.num_shots < num_pictures:
            raise ValueError(
                "a packed batch needs codes (T, N, 3, H, W), light (T, 3, H, W), T units, (T, N) gains, one name per "
                f"task and 0 < K < N, got {tuple(self.codes.shape)}, {tuple(self.light.shape)}, "
                f"{tuple(self.units.shape)}, {tuple(self.gains.shape)}, {len(self.query_places)} lists of places, "
                f"{len(self.cameras)} cameras and K={self.num_shots}"
            )

    def __len__(self) -> int:
        return len(self.cameras)

    def to(self, device: torch.device | str, *, memory: ReusedMemory | None = None) -> TaskBatch:
        """Copy to a device, by one copy, and unpack there.

        Args:
            device: Where the batch is used.
            memory: Where the batch is put if the device is the CPU.
        """
        tensors = transfer((self.codes, self.light, self.units, self.gains), device)
        if torch.device(device).type == "cpu":
            ldr, exposure = _unpack_in_portions(*tensors, memory=memory)
        else:
            ldr, exposure = _unpack(*tensors)
        support, query = (
            Shots(ldr[:, part], exposure[:, part]) for part in (slice(self.num_shots), slice(self.num_shots, None))
        )
        return TaskBatch(support, query, self.query_places, self.cameras)

    def pin_memory(self) -> "PackedBatch":
        """Copy to page-locked memory, from which a GPU reads faster; the DataLoader calls this."""
        codes, light, units, gains = pin((self.codes, self.light, self.units, self.gains))
        return replace(self, codes=codes, light=light, units=units, gains=gains)


def as_batch(fetched: PackedBatch | Sequence[Task]) -> PackedBatch | TaskBatch:
    """Return a loader's batch: as packed by its data set, or single tasks stacked."""
    return fetched if isinstance(fetched, PackedBatch) else collate(fetched)


def _unpack(codes: Tensor, light: Tensor, units: Tensor, gains: Tensor) -> tuple[Tensor, Tensor]:
    """Make pictures and their sensor exposure, by few operations."""
    # by a number torch divides in another way on a GPU, which rounds otherwise
    largest = torch.full((), _LARGEST_CODE[codes.dtype], device=codes.device)
    at_0_ev = light.float() * units[:, None, None, None]
    return codes.float() / largest, at_0_ev[:, None] * gains[:, :, None, None, None]


def _unpack_in_portions(
    codes: Tensor, light: Tensor, units: Tensor, gains: Tensor, *, memory: ReusedMemory | None
) -> tuple[Tensor, Tensor]:
    """Make the same numbers in portions that the caches of a CPU hold from one pass to the next."""
    make = torch.empty if memory is None else memory.empty
    ldr, exposure, at_0_ev = make(codes.shape), make(codes.shape), make(light.shape[1:])
    for picture, of_picture in zip(ldr.flatten(0, 1), codes.flatten(0, 1), strict=True):
        picture.copy_(of_picture).div_(torch.tensor(_LARGEST_CODE[codes.dtype]))
    for pictures, of_task, unit, gain in zip(exposure, light, units, gains, strict=True):
        torch.mul(at_0_ev.copy_(of_task).mul_(unit), gain[:, None, None, None], out=pictures)
    return ldr, exposure
