"""Frames of a bracket in memory: codes as the files have them, read strip by strip, moved onto the reference."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8, UInt16

from ldr2hdr.calibration.registration import Motion
from ldr2hdr.inference.profiles.brackets import RefusedBracket
from ldr2hdr.inference.tiling import OnShare
from ldr2hdr.io import Photo, read_photo
from ldr2hdr.io.files import MAX_PIXELS
from ldr2hdr.radiometry import decode_srgb

_BLOCK_ROWS: Final = 128
# Around the rows that a moved strip is made of: of the filter
_FILTER_PX: Final = 4


class Frame(NamedTuple):
    """Photograph of a bracket.

    Attributes:
        path: The file.
        codes: 8 bits a channel, or 16 of files that have more; upright.
        is_linear: Whether they are of linear light, as those of RAW files.
        motion: Against the reference.
    """

    path: Path
    codes: UInt8[np.ndarray, "h w 3"] | UInt16[np.ndarray, "h w 3"]
    is_linear: bool
    motion: Motion = Motion()

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width."""
        return self.codes.shape[0], self.codes.shape[1]

    def levels(self, rows: slice, columns: slice | None = None) -> Float[np.ndarray, "_ _ 3"]:
        """Return a window of the picture as the reference sees it, as levels of 0 to 255 and between.

        Outside the picture, the nearest pixel of its border is seen.
        """
        columns = slice(0, self.size[1]) if columns is None else columns
        scale = np.float32(255 / np.iinfo(self.codes.dtype).max)
        if self.motion.is_none:
            return np.asarray(self.codes[rows, columns].astype(np.float32) * scale, np.float32)
        matrix = self.motion.matrix(self.size)
        top, bottom = self._seen_rows(matrix, rows)
        source = self.codes[top:bottom].astype(np.float32) * scale
        matrix[:, 2] += matrix @ np.array([columns.start, rows.start, 0.0]) - np.array([0.0, top])
        size = (columns.stop - columns.start, rows.stop - rows.start)
        flags = cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC
        moved = cv2.warpAffine(source, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.clip(moved, 0, 255)

    def valid(self, rows: slice, columns: slice | None = None) -> Bool[np.ndarray, "_ _"]:
        """Return where the window shows what is in the picture."""
        columns = slice(0, self.size[1]) if columns is None else columns
        if self.motion.is_none:
            return np.ones((rows.stop - rows.start, columns.stop - columns.start), bool)
        y, x = np.mgrid[rows, columns]
        (a, b, c), (d, e, f) = self.motion.matrix(self.size)
        height, width = self.size
        across, down = a * x + b * y + c, d * x + e * y + f
        valid: Bool[np.ndarray, "_ _"] = (across >= 0) & (across <= width - 1) & (down >= 0) & (down <= height - 1)
        return valid

    def shrunk(self, longest_px: int) -> "Frame":
        """Return a small copy; the same frame if it is no larger."""
        scale = longest_px / max(self.size)
        if scale >= 1:
            return self
        size = (round(self.size[1] * scale), round(self.size[0] * scale))
        codes = cv2.resize(self.codes, size, interpolation=cv2.INTER_AREA)
        return self._replace(codes=codes, motion=self.motion.scaled(size[0] / self.size[1]))

    def _seen_rows(self, matrix: Float[np.ndarray, "2 3"], rows: slice) -> tuple[int, int]:
        corners = [matrix[1] @ (x, y, 1) for x in (0, self.size[1] - 1) for y in (rows.start, rows.stop - 1)]
        top = min(max(int(min(corners)) - _FILTER_PX, 0), self.size[0] - 1)
        return top, max(min(int(max(corners)) + _FILTER_PX + 1, self.size[0]), top + 1)


def read_frames(paths: Sequence[Path], *, max_pixels: int = MAX_PIXELS, on_share: OnShare | None = None) -> list[Frame]:
    """Read the photographs of a bracket.

    Args:
        paths: The files.
        max_pixels: Larger photographs are refused before they are decoded.
        on_share: Called with the share that is done, before each.

    Raises:
        ImageError: If one cannot be read.
        RefusedBracket: If they differ in size, or some are RAW and some developed.
    """
    frames = []
    for number, path in enumerate(paths):
        if on_share is not None:
            on_share(number / len(paths))
        frames.append(_read(path, max_pixels))
    for frame in frames[1:]:
        if frame.size != frames[0].size or frame.is_linear != frames[0].is_linear:
            sizes = [f"{one.size[1]} x {one.size[0]}{' RAW' if one.is_linear else ''}" for one in (frames[0], frame)]
            raise RefusedBracket(
                f"the photographs of a bracket must have one size, all of them RAW or none, got {sizes[0]} for "
                f"{frames[0].path} and {sizes[1]} for {frame.path}"
            )
    return frames


def _read(path: Path, max_pixels: int) -> Frame:
    photo = read_photo(path, max_pixels=max_pixels)
    is_linear = photo.source.kind == "camera RAW"
    return Frame(path, _codes(photo, is_linear=is_linear), is_linear)


def _codes(photo: Photo, *, is_linear: bool) -> UInt8[np.ndarray, "h w 3"] | UInt16[np.ndarray, "h w 3"]:
    """Codes block by block, for the picture in floats is large."""
    _, height, width = photo.ldr.shape
    codes = np.empty((height, width, 3), np.uint8 if photo.source.bit_depth <= 8 else np.uint16)
    white = float(np.iinfo(codes.dtype).max)
    for top in range(0, height, _BLOCK_ROWS):
        block = photo.ldr[:, top : top + _BLOCK_ROWS]
        block = decode_srgb(block) if is_linear else block
        codes[top : top + _BLOCK_ROWS] = (block * white).round().movedim(0, -1).numpy()
    return codes
