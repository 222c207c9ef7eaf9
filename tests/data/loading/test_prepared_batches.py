"""Batches of a prepared set are its tasks, however they travel."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from test_prepared import EVS, SIZE, pictures, run, write_pair
from torch.utils.data import DataLoader

from ldr2hdr.data.datasets.ldr_hdr_pair import LdrHdrPair
from ldr2hdr.data.loading.datamodule import TaskDataModule
from ldr2hdr.data.loading.memory import ReusedMemory
from ldr2hdr.data.loading.packing import PackedBatch, as_batch
from ldr2hdr.data.loading.prepared import Cut, PreparedPixels
from ldr2hdr.data.loading.prepared_index import read_index
from ldr2hdr.data.scenes.crops import Window
from ldr2hdr.data.tasks.brackets import BracketTasks
from ldr2hdr.data.tasks.labels import MergeLabels
from ldr2hdr.io.radiance import encode_hdr as encode_radiance
from ldr2hdr.tasks import collate


@pytest.fixture
def root(tmp_path):
    for number in range(4):
        write_pair(tmp_path / "set", number)
    write_pair(tmp_path / "set", 4, suffix=".png")
    return tmp_path / "set"


@pytest.fixture
def make(root, tmp_path):
    """Make tasks of the set in `root`, prepared as it is now."""

    def make_tasks(**changes):
        assert run(root, tmp_path / "out") == 0
        source = LdrHdrPair(root, cache_dir=tmp_path / "cache", fractions=(1.0, 0.0, 0.0))
        settings = {"split": "train", "ranges": "seen", "seed": 0, "shots": 2, "queries": 1, "crop_px": 40}
        return BracketTasks(source, {}, **settings | {"prepared": tmp_path / "out"} | changes)

    return make_tasks


def assert_same_batches(first, second):
    for ours, theirs in zip(pictures(first), pictures(second), strict=True):
        assert torch.equal(ours.ldr, theirs.ldr)
        assert torch.equal(ours.exposure, theirs.exposure)
    assert (first.query_places, first.cameras) == (second.query_places, second.cameras)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_packed_batches_are_the_tasks(make, num_workers):
    tasks = make()
    indices = [7, 0, 3, 12, 5, 6]
    loader = DataLoader(tasks, 2, sampler=indices, collate_fn=as_batch, num_workers=num_workers)
    packed = list(loader)
    assert all(isinstance(batch, PackedBatch) for batch in packed)
    memory = ReusedMemory()
    for position, batch in enumerate(packed):
        expected = collate([tasks[index] for index in indices[2 * position : 2 * position + 2]])
        assert_same_batches(batch.to("cpu", memory=memory), expected)


def test_a_batch_travels_in_a_fourth_of_the_bytes(make):
    packed, task = make(shots=1, queries=2).__getitems__([0]), make(shots=1, queries=2)[0]
    as_floats = sum(tensor.nbytes for shots in pictures(task) for tensor in (shots.ldr, shots.exposure))
    assert packed.codes.nbytes + packed.light.nbytes < as_floats / 4


def test_scenes_of_several_depths_share_a_batch(root, make, tmp_path):
    """16-bit codes and light in single precision in one scene, 8 bits and half precision in the other."""
    light = np.exp2(np.linspace(-40, 1, SIZE * SIZE * 3, dtype=np.float32)).reshape(SIZE, SIZE, 3)
    for folder, ev in EVS.items():
        codes = np.rint(np.clip(light * 2.0**ev, 0, 1) ** 0.5 * 65535).astype(np.uint16)
        cv2.imwrite(str(root / folder / "LDR_005.png"), codes[..., ::-1])
    (root / "HDR" / "HDR_005.hdr").write_bytes(encode_radiance(light))
    tasks = make()
    stored = {(scene.stored.ldr_dtype, scene.stored.hdr_dtype) for scene in read_index(tmp_path / "out").scenes}
    assert stored == {("uint8", "float16"), ("uint16", "float32")}
    packed = tasks.__getitems__(range(6))
    assert (packed.codes.dtype, packed.light.dtype) == (torch.uint16, torch.float32)
    plain = make(prepared=None)
    assert_same_batches(packed.to("cpu"), collate([plain[index] for index in range(6)]))


@pytest.mark.parametrize("settings", [{"prepared": None}, {"label_source": MergeLabels(max_residual_stops=9.0)}])
def test_what_cannot_be_packed_is_made_task_by_task(make, settings):
    tasks = make(**settings)
    single = [tasks[1], tasks[2]]
    assert_same_batches(as_batch(tasks.__getitems__([1, 2])), collate(single))
    is_truth = torch.equal(single[0].support.exposure, make()[1].support.exposure)
    assert is_truth == ("label_source" not in settings)
    assert torch.equal(single[0].query.exposure, make()[1].query.exposure)


def test_batches_of_several_sizes_are_refused(make, tmp_path):
    records = make().records
    pixels = PreparedPixels(tmp_path / "out", records)
    cuts = [Cut(records[0], (0, 1), Window(0, 0, side)) for side in (8, 9)]
    with pytest.raises(ValueError, match="expected tasks of one number of exposures and one size, got 2 that differ"):
        pixels.pack(cuts, num_shots=1)


def test_lightning_gets_the_batches_unpacked(make):
    """In training and validation, on two processes as on one."""

    def make_tasks(*, split, ranges):
        return make(seed=len(split))

    def batches(rank, world_size):
        datamodule = TaskDataModule(make_tasks, tasks_per_batch=4, num_train_tasks=4, num_val_tasks=4)
        progress = SimpleNamespace(total=SimpleNamespace(completed=0))
        loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
        datamodule.trainer = SimpleNamespace(global_rank=rank, world_size=world_size, fit_loop=loop)
        for loader in (datamodule.train_dataloader(), *datamodule.val_dataloader()):
            (batch,) = loader
            assert isinstance(batch, PackedBatch)
            yield datamodule.transfer_batch_to_device(batch, torch.device("cpu"), 0)

    for whole, *parts in zip(batches(0, 1), batches(0, 2), batches(1, 2), strict=True):
        for index in range(4):
            part, position = parts[index % 2], index // 2
            for ours, theirs in zip(whole.shots(index), part.shots(position), strict=True):
                assert torch.equal(ours.ldr, theirs.ldr)
                assert torch.equal(ours.exposure, theirs.exposure)


@pytest.mark.parametrize("size", [0, 7, 4000])
def test_a_damaged_file_is_told_before_training(make, tmp_path, size):
    records = make().records
    path = next((tmp_path / "out" / "scenes").glob("*.npy"))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"the pixels of scene '\w+' are damaged \(.*\); run `ldr2hdr prepare`"):
        PreparedPixels(tmp_path / "out", records)
