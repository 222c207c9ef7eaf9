"""Shared by the tests of the picture files."""

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(0)
