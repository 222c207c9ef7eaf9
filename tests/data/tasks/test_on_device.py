"""Cameras that shoot on a device that is not the CPU, emulated: the CPU's pictures, without a way back for them."""

from pathlib import Path

import pytest
import torch
from accelerator.emulated import NAME, counting
from hydra import compose, initialize_config_dir

from ldr2hdr.build import build_source, build_tasks
from ldr2hdr.configuration.folders import CONF_DIR
from ldr2hdr.data.loading.datamodule import TaskDataModule
from ldr2hdr.data.tasks.base import AbstractTasks
from ldr2hdr.tasks import Task, collate

CAMERAS = sorted(path.stem for path in (Path(CONF_DIR) / "camera").glob("*.yaml"))
# what a camera is, its curves and gains, has to get there; noise is drawn by the CPU for all devices alike
MOST_COPIES = 10
# auto-exposure looks for ranks, and light is checked to be positive
MOST_READS = 3


def tasks_of(camera: str, task: str, device: str, cache: Path) -> AbstractTasks:
    overrides = ["experiment=smoke", f"camera={camera}", f"task={task}", "task.crop_px=16"]
    overrides += [f"task.camera_device={device}", "paths.output_dir=unused", f"paths.cache_dir={cache}"]
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("train", overrides=overrides)
    return build_tasks(cfg, build_source(cfg), split="train", ranges="seen", seed=0)


def pictures(task: Task) -> list[torch.Tensor]:
    return [tensor for shots in (task.support, task.query) for tensor in (shots.ldr, shots.exposure)]


@pytest.mark.parametrize("task", ["camera", "scene", "profile"])
@pytest.mark.parametrize("camera", CAMERAS)
def test_every_camera_shoots_there_what_it_does_on_the_cpu(camera: str, task: str, cache_dir: Path) -> None:
    on_cpu, on_device = (tasks_of(camera, task, device, cache_dir) for device in ("cpu", NAME))
    expected = on_cpu[0]
    with counting() as counts:
        found = on_device[0]
    assert counts.transfers <= MOST_COPIES
    assert counts.reads <= MOST_READS
    for got, wanted in zip(pictures(found), pictures(expected), strict=True):
        assert got.device.type == NAME
        torch.testing.assert_close(got.cpu(), wanted, rtol=1e-6, atol=1e-7)


def test_a_batch_that_was_shot_there_stays_there(cache_dir: Path) -> None:
    """Also if the loader is asked to pin: there is nothing of the CPU's to pin."""
    tasks = tasks_of("pointwise", "camera", NAME, cache_dir)
    batch = collate([tasks[0], tasks[1]])
    data = TaskDataModule(lambda split, ranges: [])
    with counting() as counts:
        arrived = data.transfer_batch_to_device(batch.pin_memory(), torch.device(NAME, 0), 0)
    assert (counts.transfers, counts.reads, counts.launches) == (0, 0, 0)
    assert arrived.support.ldr.device.type == NAME
