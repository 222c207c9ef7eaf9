"""Shared by the tests of the readers."""

import pytest


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    return folder


@pytest.fixture
def open_set(root, tmp_path):
    """Make a reader of the set in `root`."""

    def make(reader, **options):
        return reader(root, cache_dir=tmp_path / "cache", **options)

    return make
