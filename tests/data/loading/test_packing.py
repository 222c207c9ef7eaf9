"""A packed batch is unpacked to the very numbers of its pictures."""

import numpy as np
import pytest
import torch
from test_sampling import make

from ldr2hdr.data.loading.memory import ReusedMemory
from ldr2hdr.data.loading.packing import PackedBatch, as_batch
from ldr2hdr.tasks import TaskBatch, collate

NUM_TASKS, NUM_SHOTS, NUM_QUERIES = 2, 2, 1


def pack(*, dtype=torch.uint8, light_dtype=torch.float16, size=(16, 24), **changes):
    height, width = size
    num_pictures = NUM_SHOTS + NUM_QUERIES
    shape = (NUM_TASKS, num_pictures, 3, height, width)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, np.iinfo(str(dtype).removeprefix("torch.")).max + 1, shape)
    settings = {
        "codes": torch.from_numpy(codes).to(dtype),
        "light": torch.from_numpy(rng.uniform(0, 9, (NUM_TASKS, 3, height, width))).to(light_dtype),
        "units": torch.tensor([0.3, 7.1]),
        "gains": torch.exp2(torch.tensor([[-2.0, 0.0, 2.0], [1 / 3, -1.5, 0.1]])),
        "num_shots": NUM_SHOTS,
        "query_places": (("hall",), ("park",)),
        "cameras": ("a", "b"),
    }
    return PackedBatch(**settings | changes)


def joined(batch):
    """Pictures and exposures ``(T, N, 3, H, W)``."""
    pairs = ((batch.support.ldr, batch.query.ldr), (batch.support.exposure, batch.query.exposure))
    return tuple(torch.cat(pair, dim=1) for pair in pairs)


@pytest.mark.parametrize("memory", [None, ReusedMemory()])
@pytest.mark.parametrize("light_dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize(("dtype", "largest"), [(torch.uint8, 255), (torch.uint16, 65535)])
def test_numbers_are_those_of_the_definition_correctly_rounded(dtype, largest, light_dtype, memory):
    """By numpy: a division in double precision, rounded once; light by one factor after the other."""
    packed = pack(dtype=dtype, light_dtype=light_dtype)
    batch = packed.to("cpu", memory=memory)
    ldr, exposure = joined(batch)
    assert ldr.dtype == exposure.dtype == torch.float32
    np.testing.assert_array_equal(ldr, (packed.codes.numpy().astype(np.float64) / largest).astype(np.float32))
    light = packed.light.numpy().astype(np.float32) * packed.units.numpy()[:, None, None, None]
    np.testing.assert_array_equal(exposure, light[:, None] * packed.gains.numpy()[:, :, None, None, None])
    assert (batch.query_places, batch.cameras) == (packed.query_places, packed.cameras)
    assert len(batch) == len(packed) == NUM_TASKS


@pytest.mark.parametrize(("dtype", "num"), [(torch.uint8, 256), (torch.uint16, 65536)])
def test_every_code_is_unpacked_to_the_picture_that_it_is_of(dtype, num):
    codes = torch.arange(num).to(dtype).view(1, 1, 1, 16, -1).expand(NUM_TASKS, 3, 3, -1, -1).contiguous()
    packed = pack(codes=codes, light=torch.ones(NUM_TASKS, 3, *codes.shape[-2:]))
    expected = (np.arange(num) / np.float64(num - 1)).astype(np.float32)
    for picture in joined(packed.to("cpu"))[0].flatten(0, 2):
        np.testing.assert_array_equal(picture.flatten(), expected)


def test_a_batch_that_is_kept_does_not_change():
    memory = ReusedMemory()
    packed = pack()
    kept = packed.to("cpu", memory=memory).shots(1)
    copies = [(shots.ldr.clone(), shots.exposure.clone()) for shots in kept]
    darker = pack(codes=torch.zeros_like(packed.codes), light=torch.zeros_like(packed.light))
    for _ in range(3):
        batch = darker.to("cpu", memory=memory)
        assert not batch.query.exposure.any()
    for shots, (ldr, exposure) in zip(kept, copies, strict=True):
        assert torch.equal(shots.ldr, ldr)
        assert torch.equal(shots.exposure, exposure)


def test_tasks_of_a_batch_are_contiguous():
    support, query = pack().to("cpu").shots(1)
    assert all(tensor.is_contiguous() for shots in (support, query) for tensor in (shots.ldr, shots.exposure))


def test_unpacking_follows_the_device():
    batch = pack().to("meta", memory=ReusedMemory())
    tensors = (batch.support.ldr, batch.support.exposure, batch.query.ldr, batch.query.exposure)
    assert all(tensor.device.type == "meta" for tensor in tensors)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_a_gpu_unpacks_what_the_cpu_does(dtype):
    packed = pack(dtype=dtype)
    pinned = packed.pin_memory()
    assert pinned.codes.is_pinned()
    assert pinned.light.is_pinned()
    on_gpu = pinned.to("cuda")
    for expected, got in zip(joined(packed.to("cpu")), joined(on_gpu), strict=True):
        assert torch.equal(got.cpu(), expected)


def test_a_loader_hands_over_what_is_packed_and_stacks_the_rest():
    packed = pack()
    assert as_batch(packed) is packed
    tasks = [make()[0], make()[1]]
    stacked = as_batch(tasks)
    assert isinstance(stacked, TaskBatch)
    assert torch.equal(stacked.query.exposure, collate(tasks).query.exposure)


@pytest.mark.parametrize(
    "changes",
    [
        {"light": torch.zeros(NUM_TASKS, 3, 16, 25)},
        {"light": torch.zeros(NUM_TASKS + 1, 3, 16, 24)},
        {"units": torch.ones(3)},
        {"gains": torch.ones(2, 2)},
        {"query_places": (("hall",),)},
        {"cameras": ("a",)},
        {"num_shots": 0},
        {"num_shots": 3},
    ],
)
def test_parts_that_disagree_are_refused(changes):
    # jaxtyping's own check, when on, comes first where it sees shapes, and is of another type
    with pytest.raises(Exception, match=r"a packed batch needs codes|Type-check error"):
        pack(**changes)
