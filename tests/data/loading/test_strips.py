"""A window read out of strips is the window."""

import numpy as np
import pytest

from ldr2hdr.data.loading.strips import STRIP_PX, StripPlanes, pieces_of, to_strips
from ldr2hdr.data.scenes.crops import Window
from ldr2hdr.io import ImageError

HEADER = b"a header of some length"


def store(path, planes):
    path.write_bytes(HEADER + to_strips(planes).tobytes())
    return StripPlanes(len(HEADER), planes.dtype, *planes.shape[1:])


def read(path, stored, number, window):
    memory = np.empty(window.side * STRIP_PX * stored.dtype.itemsize, dtype=np.uint8)
    shown = np.zeros((window.side, window.side), stored.dtype)
    with path.open("rb", buffering=0) as file:
        for columns, pixels in stored.read(file, number, window=window, memory=memory):
            shown[:, columns] = pixels
    return shown


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32])
@pytest.mark.parametrize("width", [1, 100, STRIP_PX, STRIP_PX + 1, 2 * STRIP_PX + 100])
def test_windows_are_those_of_the_picture(tmp_path, dtype, width):
    rng = np.random.default_rng(width)
    height = 2 * STRIP_PX
    planes = rng.integers(0, 250, (3, height, width)).astype(dtype)
    stored = store(tmp_path / "a", planes)
    sides = {1, min(width, 7), min(width, STRIP_PX), min(width, height)}
    for side in sides:
        for top, left in (
            (0, 0),
            (height - side, width - side),
            (rng.integers(height - side + 1), (width - side) // 2),
        ):
            shown = read(tmp_path / "a", stored, 1, Window(int(top), left, side))
            np.testing.assert_array_equal(shown, planes[1, top : top + side, left : left + side])


def test_little_is_read_besides_a_window():
    pieces = list(pieces_of(Window(10, STRIP_PX - 3, 64), height=500, width=10 * STRIP_PX))
    assert sum(piece.width for piece in pieces) == 2 * STRIP_PX
    assert [piece.columns for piece in pieces] == [slice(0, 3), slice(3, 64)]


def test_a_file_that_became_shorter_is_told(tmp_path):
    stored = store(tmp_path / "a", np.zeros((3, 8, 8), np.float32))
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-1])
    assert not read(tmp_path / "a", stored, 1, Window(0, 0, 8)).any()
    with pytest.raises(ImageError, match=r"the file is truncated: prepare the set again: .*a"):
        read(tmp_path / "a", stored, 2, Window(0, 0, 8))
