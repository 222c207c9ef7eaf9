"""Shared by all tests: one thread, so that numbers repeat, a generator per test, a browser, and small training runs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from report.devtools import Browser

from ldr2hdr.build import CONF_DIR


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Decoded panoramas, once for the session and not in the checkout."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser, for tests that are skipped where there is none."""
    browser = Browser(tmp_path_factory.mktemp("browser") / "profile")
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def compose_train(cache_dir: Path) -> Callable[..., DictConfig]:
    """Compose conf/train.yaml with overrides, as the command line does; ``folder`` is the run's folder."""

    def compose_in(folder: Path, *overrides: str) -> DictConfig:
        with initialize_config_dir(CONF_DIR, version_base="1.3"):
            paths = [f"paths.output_dir={folder}", f"paths.cache_dir={cache_dir}"]
            return compose("train", overrides=[*paths, *overrides])

    return compose_in


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Overrides of the smoke experiment that make one step a matter of milliseconds."""
    return ("experiment=smoke", "backbone.widths=[4,8]", "task.crop_px=16")
