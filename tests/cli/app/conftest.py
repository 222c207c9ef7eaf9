"""A network, a photograph, a bracket."""

from pathlib import Path

import pytest
from profiles.conftest import bracket, camera, ckpt, scenes  # noqa: F401 (they are fixtures)
from profiles.photographs import write_photo
from torch import Tensor

import ldr2hdr
from ldr2hdr.data.cameras.camera import Camera
from ldr2hdr.inference.profiles.model import Model


@pytest.fixture(scope="session")
def model(ckpt: Path) -> Model:  # noqa: F811
    return ldr2hdr.load(ckpt)


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory, scenes: dict[str, Tensor], camera: Camera) -> Path:  # noqa: F811
    return write_photo(tmp_path_factory.mktemp("photos") / "sunset.jpg", scenes["venice_sunset"], camera)
