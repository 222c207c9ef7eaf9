"""What a script may change for all of Python, for it ends with it, is put back after each test."""

import importlib
import logging
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    """Levels of loggers, and torch's threads."""
    quietened = [logging.getLogger(name) for name in ("ldr2hdr.meta.base", "lightning.pytorch.utilities.rank_zero")]
    levels, threads = [logger.level for logger in quietened], torch.get_num_threads()
    yield
    for logger, level in zip(quietened, levels, strict=True):
        logger.setLevel(level)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def study(request: pytest.FixtureRequest) -> Iterator[dict[str, ModuleType]]:
    """The modules ``NAMES`` of the study in ``FOLDER``, which import each other as scripts do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(request.module.FOLDER))
        yield {name: importlib.import_module(name) for name in request.module.NAMES}
