"""Batches of tasks: the same for any number of workers and processes, new ones every epoch."""

import hashlib
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from test_sampling import make, tensors

from ldr2hdr.data.loading.datamodule import EpochIndices, TaskDataModule


def make_tasks(*, split, ranges):
    return make(split=split, ranges=ranges, shots=3)


def datamodule(*, world=None, num_seen_batches=0, **changes):
    module = TaskDataModule(
        make_tasks, **{"tasks_per_batch": 4, "num_train_tasks": 8, "num_val_tasks": 4, "num_workers": 0} | changes
    )
    if world is not None:
        rank, world_size = world
        progress = SimpleNamespace(total=SimpleNamespace(completed=num_seen_batches))
        loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
        module.trainer = SimpleNamespace(global_rank=rank, world_size=world_size, fit_loop=loop)
    return module


def digest(task):
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in tensors(task))).hexdigest()


def test_batches_stack_tasks():
    batch = next(iter(datamodule().train_dataloader()))
    assert batch.support.ldr.shape == batch.support.exposure.shape == (4, 3, 3, 8, 8)
    assert batch.query.ldr.shape == (4, 2, 3, 8, 8)
    expected = make_tasks(split="train", ranges="seen")[1]
    assert torch.equal(batch.query.exposure[1], expected.query.exposure)
    assert (batch.cameras[1], batch.query_places[1]) == (expected.camera, expected.query_places)


def test_validation_is_seen_then_unseen_and_never_changes():
    module = datamodule()
    seen, unseen = ([batch.cameras for batch in loader] for loader in module.val_dataloader())
    assert all("-seen-" in name for batch in seen for name in batch)
    assert all("-unseen-" in name for batch in unseen for name in batch)
    assert [[b.cameras for b in loader] for loader in module.val_dataloader()] == [seen, unseen]


def test_every_epoch_brings_new_tasks():
    batches = [next(iter(datamodule(world=(0, 1), num_seen_batches=n).train_dataloader())) for n in (0, 2)]
    tasks = make_tasks(split="train", ranges="seen")
    assert [batch.cameras for batch in batches] == [tuple(tasks[i + j].camera for j in range(4)) for i in (0, 8)]


@pytest.mark.slow
def test_workers_change_nothing():
    alone, helped = (list(datamodule(num_workers=n).train_dataloader()) for n in (0, 2))
    assert len(alone) == len(helped) == 2
    for ours, theirs in zip(alone, helped, strict=True):
        assert torch.equal(ours.support.ldr, theirs.support.ldr)
        assert torch.equal(ours.query.exposure, theirs.query.exposure)
        assert ours.cameras == theirs.cameras


@pytest.mark.slow
def test_another_process_makes_the_same_task():
    code = "from test_sampling import make; from test_datamodule import digest; print(digest(make()[7]))"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(make()[7])


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_processes_share_out_the_batches_of_one(world_size):
    for epoch in (0, 3):
        samplers = [
            EpochIndices(16, first=lambda epoch=epoch: 16 * epoch, rank=rank, world_size=world_size)
            for rank in range(world_size)
        ]
        assert {len(sampler) for sampler in samplers} == {16 // world_size}
        parts = [torch.tensor(list(sampler)).view(4, -1) for sampler in samplers]
        batches = torch.cat(parts, dim=1).sort(dim=1).values
        assert torch.equal(batches, 16 * epoch + torch.arange(16).view(4, 4))


@pytest.mark.slow
def test_two_processes_see_what_one_sees():
    whole = list(datamodule().train_dataloader())
    parts = [list(datamodule(world=(rank, 2)).train_dataloader()) for rank in range(2)]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert [len(share) for share in shares] == [2, 2]
        assert sorted(batch.cameras) == sorted(name for share in shares for name in share.cameras)
    validation = [[b.cameras for b in datamodule(world=(rank, 2)).val_dataloader()[0]] for rank in range(2)]
    (every,) = [b.cameras for b in datamodule().val_dataloader()[0]]
    assert sorted(every) == sorted(name for share in validation for batch in share for name in batch)


@pytest.mark.parametrize(
    "changes",
    [{"tasks_per_batch": 0}, {"num_val_tasks": 0}, {"num_train_tasks": 0}, {"tasks_per_batch": 3}],
)
def test_an_epoch_is_whole_batches(changes):
    with pytest.raises(ValueError, match=r"data\.tasks_per_batch must be positive and divide data.num_train_tasks"):
        datamodule(**changes)


@pytest.mark.parametrize("changes", [{"tasks_per_batch": 1}, {"num_val_tasks": 3}])
def test_processes_get_equal_shares(changes):
    module = datamodule(world=(0, 2), **changes)
    with pytest.raises(ValueError, match=r"data\.tasks_per_batch and data.num_val_tasks must be multiples of the 2"):
        module.val_dataloader()
