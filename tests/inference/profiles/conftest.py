"""One camera, two scenes, a bracket, and an untrained network."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ldr2hdr.data.cameras.camera import Camera
from ldr2hdr.data.scenes.sources import PanoramaSource
from profiles.photographs import SIDE_PX, draw_camera, save_checkpoint, write_bracket


@pytest.fixture(scope="session")
def ckpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fresh from its constructor: the closed form alone knows anything."""
    return save_checkpoint(tmp_path_factory.mktemp("model") / "net.ckpt", "algo.inner.lr=0.02")


@pytest.fixture(scope="session")
def camera() -> Camera:
    return draw_camera(3)


@pytest.fixture(scope="session")
def scenes(cache_dir: Path, camera: Camera) -> dict[str, Tensor]:
    """Sensor exposure of two places, as the camera meters them."""
    source = PanoramaSource(cache_dir=cache_dir)
    generator = torch.Generator().manual_seed(1)
    views = {
        name: source.sample(name, crop_px=SIDE_PX, generator=generator) for name in ("blender_city", "venice_sunset")
    }
    return {name: camera.expose(view[None], generator)[0] for name, view in views.items()}


@pytest.fixture
def bracket(tmp_path: Path, scenes: dict[str, Tensor], camera: Camera) -> Path:
    return write_bracket(tmp_path / "bracket", scenes["blender_city"], camera)
