"""One evaluation and one training run for all tests of the report."""

import pytest

from report.made import EVIL, write_evaluation, write_training


@pytest.fixture(scope="session")
def evaluation(tmp_path_factory):
    return write_evaluation(tmp_path_factory.mktemp("runs") / f"eval {EVIL.replace('/', '')}")


@pytest.fixture(scope="session")
def training(tmp_path_factory):
    return write_training(tmp_path_factory.mktemp("runs") / "maml")
