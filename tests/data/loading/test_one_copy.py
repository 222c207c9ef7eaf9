"""Batches travel to a device by one copy, and are the same there."""

from types import SimpleNamespace

import pytest
import torch
from accelerator.emulated import NAME, counting
from test_packing import joined, pack
from test_sampling import make

from ldr2hdr.data.loading.datamodule import TaskDataModule
from ldr2hdr.data.loading.packing import PackedBatch
from ldr2hdr.tasks import TaskBatch
from ldr2hdr.transfer import transfer


def mixed() -> list[torch.Tensor]:
    whole = torch.arange(24, dtype=torch.uint8)
    return [whole[:5], torch.rand(3, 2).half(), torch.rand(1, 3, dtype=torch.float64), torch.rand(2, 3).T, whole[:0]]


def test_tensors_of_all_types_and_layouts_arrive_by_one_copy() -> None:
    tensors = mixed()
    with counting() as counts:
        arrived = transfer(tensors, NAME)
    assert counts.transfers == 1
    for found, expected in zip(arrived, tensors, strict=True):
        assert found.device.type == NAME
        assert torch.equal(found.cpu(), expected)


def test_parts_of_one_memory_arrive_as_they_are() -> None:
    whole = torch.arange(32, dtype=torch.float32)
    parts = [whole[:8].view(2, 4), whole[16:], whole.view(4, 8)[:, 2:4]]
    for found, expected in zip(transfer(parts, NAME), parts, strict=True):
        assert torch.equal(found.cpu(), expected)


@pytest.mark.parametrize("kind", ["packed", "stacked"])
def test_a_batch_takes_one_copy_and_has_the_bits_of_the_cpu(kind: str) -> None:
    data = TaskDataModule(lambda split, ranges: [])
    packed: PackedBatch | TaskBatch = pack()
    expected = packed.to("cpu")
    sent = packed if kind == "packed" else expected
    with counting() as counts:
        arrived = data.transfer_batch_to_device(sent, torch.device(NAME), 0)
    assert (counts.transfers, counts.reads) == (1, 0)
    for found, wanted in zip(joined(arrived), joined(expected), strict=True):
        assert torch.equal(found.cpu(), wanted)
    assert (arrived.cameras, arrived.query_places) == (expected.cameras, expected.query_places)


def test_what_is_pinned_travels_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with CUDA, which is not here: memory is page-locked once for all tensors, and the copy does not block."""
    locked: list[int] = []
    asked: list[bool] = []
    to = torch.Tensor.to

    def pin_memory(tensor: torch.Tensor) -> torch.Tensor:
        locked.append(tensor.untyped_storage().data_ptr())
        return tensor

    def record(tensor: torch.Tensor, *args: object, **options: bool) -> torch.Tensor:
        asked.append(options.get("non_blocking", False))
        return to(tensor, *args, **options)

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin_memory)
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda tensor: tensor.untyped_storage().data_ptr() in locked)
    for batch in (pack(), pack().to("cpu")):
        locked.clear()
        pinned = batch.pin_memory()
        assert len(locked) == 1
        monkeypatch.setattr(torch.Tensor, "to", record)
        asked.clear()
        pinned.to(NAME)
        monkeypatch.setattr(torch.Tensor, "to", to)
        assert asked[0] is True


@pytest.mark.parametrize(("kind", "is_pinning"), [("cuda", True), ("cpu", False)])
def test_loaders_pin_for_cuda(kind: str, is_pinning: bool) -> None:
    data = TaskDataModule(lambda split, ranges: make(split=split))
    strategy = SimpleNamespace(root_device=torch.device(kind))
    data.trainer = SimpleNamespace(strategy=strategy, world_size=1, global_rank=0)
    loaders = [data.train_dataloader(), *data.val_dataloader()]
    assert [loader.pin_memory for loader in loaders] == [is_pinning] * 3
