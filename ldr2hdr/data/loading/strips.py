"""Pictures cut into upright strips that are stored one after the other: a window lies in a few pieces of a file."""

import os
from collections.abc import Iterator
from io import FileIO
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt8

from ldr2hdr.data.scenes.crops import Window
from ldr2hdr.io import ImageError

# Wider ones read more beside a window, narrower ones take more calls: of 64 to 1024, the best for crops of 512
STRIP_PX: Final = 256


class Piece(NamedTuple):
    """The rows of one strip that a window crosses.

    Attributes:
        start: Where they begin, in pixels from the beginning of the plane.
        width: Of the strip, in pixels.
        shown: Which columns of the strip are in the window.
        columns: Which columns of the window they are.
    """

    start: int
    width: int
    shown: slice
    columns: slice


class StripPlanes(NamedTuple):
    """Planes of one size in a file, one after the other.

    Attributes:
        offset: Where the first begins, in bytes.
        dtype: Of the pixels.
        height: In pixels.
        width: In pixels.
    """

    offset: int
    dtype: np.dtype
    height: int
    width: int

    def read(
        self, file: FileIO, number: int, *, window: Window, memory: UInt8[np.ndarray, " bytes"]
    ) -> Iterator[tuple[slice, Shaped[np.ndarray, "px part"]]]:
        """Yield the columns of a window, a few at a time, with the pixels of a plane in them.

        A map of the file would take longer: each of its pages is faulted in before it is copied.

        Args:
            file: Unbuffered.
            number: Of the plane.
            window: Within the plane.
            memory: What is yielded is there until the next is asked for; holds ``side * STRIP_PX`` pixels.

        Raises:
            ImageError: If the file ends before.
        """
        for piece in pieces_of(window, height=self.height, width=self.width):
            num_bytes = window.side * piece.width * self.dtype.itemsize
            start = (number * self.height * self.width + piece.start) * self.dtype.itemsize
            if os.preadv(file.fileno(), [memory[:num_bytes].data], self.offset + start) != num_bytes:
                raise ImageError(f"the file is truncated: prepare the set again: {file.name}")
            rows = memory[:num_bytes].view(self.dtype).reshape(window.side, piece.width)
            yield piece.columns, rows[:, piece.shown]


def to_strips(planes: Shaped[np.ndarray, "*b h w"]) -> Shaped[np.ndarray, "*b hw"]:
    """The pixels of each plane, strip by strip from the left; those of a strip row by row.

    Example:
        >>> to_strips(np.arange(6).reshape(2, 3)).tolist()
        [0, 1, 2, 3, 4, 5]
    """
    *batch, height, width = planes.shape
    strips = [planes[..., left : left + STRIP_PX] for left in range(0, width, STRIP_PX)]
    return np.concatenate([strip.reshape(*batch, height * strip.shape[-1]) for strip in strips], axis=-1)


def pieces_of(window: Window, *, height: int, width: int) -> Iterator[Piece]:
    """Yield the pieces of a window in a plane of strips."""
    right = window.left + window.side
    for left in range(window.left // STRIP_PX * STRIP_PX, right, STRIP_PX):
        strip_width = min(STRIP_PX, width - left)
        first, last = max(left, window.left), min(left + strip_width, right)
        yield Piece(
            start=left * height + window.top * strip_width,
            width=strip_width,
            shown=slice(first - left, last - left),
            columns=slice(first - window.left, last - window.left),
        )
