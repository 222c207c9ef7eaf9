"""Shared by all tests: one thread, so that numbers repeat, and a generator per test."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture()
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
