"""Batches of tasks for Lightning."""

import os
from collections.abc import Callable, Iterator
from typing import Final

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

from ldr2hdr.data.cameras.ranges import Ranges
from ldr2hdr.data.loading.memory import ReusedMemory
from ldr2hdr.data.loading.packing import PackedBatch, as_batch
from ldr2hdr.tasks import Task, TaskBatch

_VAL_RANGES: Final[tuple[Ranges, ...]] = ("seen", "unseen")
VAL_NAMES: Final = ("val", "val_unseen")
"""Names under which the tasks of these ranges are logged."""


class EpochIndices(Sampler[int]):
    """Indices of one epoch after the other, dealt out to the processes like cards.

    Batch ``b`` of T tasks holds the same tasks on one process as its parts do on several.

    Args:
        num_tasks: Tasks of an epoch.
        first: Tells the first index of the epoch that begins, which is the number of tasks seen before. Lightning's
            own ``set_epoch`` is not heard: after resuming, it counts the epoch that the checkpoint ended twice.
        rank: Of this process.
        world_size: Number of processes.
    """

    def __init__(self, num_tasks: int, *, first: Callable[[], int], rank: int, world_size: int) -> None:
        self.num_tasks = num_tasks
        self.first = first
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[int]:
        start = self.first()
        return iter(range(start + self.rank, start + self.num_tasks, self.world_size))

    def __len__(self) -> int:
        return self.num_tasks // self.world_size


class TaskDataModule(L.LightningDataModule):
    """Batches of T tasks: support ``(T, K, 3, H, W)`` and query ``(T, Q, 3, H, W)``, once on the training device.

    Validation comes in two loaders, cameras of the seen and of the unseen ranges, in this order. The data sets of
    tasks are made at once, so that what is wrong with them is reported before a trainer starts.

    Args:
        make_tasks: Makes the tasks of a split, called with the keywords ``split`` and ``ranges``.
        tasks_per_batch: T, over all processes together.
        num_train_tasks: Tasks of one epoch; every epoch brings new ones.
        num_val_tasks: Validation tasks of each range, the same after every epoch.
        num_workers: Loader processes; the tasks are the same for any number.

    Raises:
        ValueError: If a count is not positive, or an epoch is not a whole number of batches; once there is a trainer,
            if the tasks of a batch or of validation do not go evenly to its processes.
    """

    def __init__(
        self,
        make_tasks: Callable[..., Dataset[Task]],
        *,
        tasks_per_batch: int = 4,
        num_train_tasks: int = 400,
        num_val_tasks: int = 8,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        if min(tasks_per_batch, num_train_tasks, num_val_tasks) < 1 or num_train_tasks % tasks_per_batch:
            raise ValueError(
                "data.tasks_per_batch must be positive and divide data.num_train_tasks, and data.num_val_tasks be "
                f"positive, got {tasks_per_batch}, {num_train_tasks} and {num_val_tasks}"
            )
        self.train_tasks = make_tasks(split="train", ranges="seen")
        self.val_tasks = [make_tasks(split="val", ranges=ranges) for ranges in _VAL_RANGES]
        self.tasks_per_batch = tasks_per_batch
        self.num_train_tasks = num_train_tasks
        self.num_val_tasks = num_val_tasks
        self.num_workers = num_workers
        self._memory = ReusedMemory()

    def train_dataloader(self) -> DataLoader[Task]:
        """Tasks of the train places by cameras of the seen ranges."""
        rank, world_size = self._process()
        sampler = EpochIndices(self.num_train_tasks, first=self._num_seen_tasks, rank=rank, world_size=world_size)
        return self._loader(self.train_tasks, sampler, world_size)

    def val_dataloader(self) -> list[DataLoader[Task]]:
        """Tasks of the validation places, by cameras of the seen and of the unseen ranges."""
        rank, world_size = self._process()
        indices = range(rank, self.num_val_tasks, world_size)
        return [self._loader(Subset(tasks, indices), None, world_size) for tasks in self.val_tasks]

    def transfer_batch_to_device(
        self, batch: PackedBatch | TaskBatch, device: torch.device, dataloader_idx: int
    ) -> TaskBatch:
        """Bring a batch to the training device; a packed one is unpacked there."""
        if isinstance(batch, PackedBatch):
            return batch.to(device, memory=self._memory)
        return batch.to(device)

    def _num_seen_tasks(self) -> int:
        if self.trainer is None:
            return 0
        return self.tasks_per_batch * self.trainer.fit_loop.epoch_loop.batch_progress.total.completed

    def _process(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        world_size = self.trainer.world_size
        # an uneven share of the validation would be averaged as if it were even, and an empty one never ends
        if self.tasks_per_batch % world_size or self.num_val_tasks % world_size:
            raise ValueError(
                f"data.tasks_per_batch and data.num_val_tasks must be multiples of the {world_size} processes, "
                f"got {self.tasks_per_batch} and {self.num_val_tasks}"
            )
        return self.trainer.global_rank, world_size

    def _is_for_cuda(self) -> bool:
        strategy = getattr(self.trainer, "strategy", None)
        return strategy is not None and bool(strategy.root_device.type == "cuda")

    def _loader(self, tasks: Dataset[Task], sampler: Sampler[int] | None, world_size: int) -> DataLoader[Task]:
        return DataLoader(
            tasks,
            batch_size=self.tasks_per_batch // world_size,
            sampler=sampler,
            collate_fn=as_batch,
            num_workers=self.num_workers,
            pin_memory=self._is_for_cuda(),
            persistent_workers=self.num_workers > 0,
            worker_init_fn=_leave_group,
        )


def _leave_group(worker: int) -> None:
    """Let a signal to the process group reach the run alone, which needs its loaders until the last step is done."""
    os.setpgid(0, 0)
