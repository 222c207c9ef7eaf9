"""Memory is used again when nobody can see it any more, and not before."""

import gc
import pickle

import pytest
import torch

from ldr2hdr.data.loading.memory import ReusedMemory


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.uint8, torch.uint16])
def test_what_nobody_holds_is_lent_again(dtype):
    memory = ReusedMemory()
    first = memory.empty((5, 3), dtype=dtype)
    assert first.dtype == dtype
    assert first.shape == (5, 3)
    assert first.is_contiguous()
    address = first.data_ptr()
    del first
    assert memory.empty((3, 5), dtype=dtype).data_ptr() == address


@pytest.mark.parametrize(
    "keep",
    [
        lambda tensor: tensor,
        lambda tensor: tensor[1:, :, 2],
        lambda tensor: tensor.view(-1).unbind()[-1],
        lambda tensor: tensor.numpy(),
        lambda tensor: memoryview(tensor.numpy())[1:],
    ],
)
def test_what_is_kept_is_not_overwritten(keep):
    memory = ReusedMemory()
    lent = memory.empty((4, 2, 3)).fill_(1.0)
    address, kept = lent.data_ptr(), keep(lent)
    del lent
    gc.collect()
    others = [memory.empty((4, 2, 3)).fill_(2.0) for _ in range(3)]
    assert all(other.data_ptr() != address for other in others)
    del kept
    assert memory.empty((24,)).data_ptr() == address


def test_what_a_gradient_needs_is_not_overwritten():
    memory, factor = ReusedMemory(), torch.ones(1, requires_grad=True)
    total = (memory.empty((24,)).fill_(1.0) * factor).sum()
    memory.empty((24,)).fill_(2.0)
    total.backward()
    assert factor.grad.item() == 24


def test_little_waits():
    """Where a hundred batches were alive at once, the memory of four tensors is kept."""
    memory = ReusedMemory()
    addresses = {tensor.data_ptr() for tensor in [memory.empty((64,)) for _ in range(100)]}
    assert len(addresses) == 100
    assert [len(waiting) for waiting in memory._waiting.values()] == [4]


def test_a_copy_in_another_process_begins_with_nothing():
    memory = ReusedMemory()
    memory.empty((1000,))
    assert len(pickle.dumps(memory)) < 200
    assert pickle.loads(pickle.dumps(memory)).empty((2,)).shape == (2,)
