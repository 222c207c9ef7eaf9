"""Batches travel to a device by one copy, and are the same there."""

import pytest
import torch
from accelerator.emulated import NAME, counting
from test_packing import joined, pack

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
