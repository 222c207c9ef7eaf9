"""Rendered views on disk, memory-mapped: the light of a scene in a camera's white, and what its source clipped."""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ldr2hdr.data.scenes.places import Split

SIZES: Final = {"landscape": (192, 256), "portrait": (256, 192)}
"""Height and width in pixels of the views of each shape."""
RECORD: Final = np.dtype(
    [
        ("is_done", "?"),
        ("place", "U48"),
        ("glare", "f4"),  # share of the light that the lens spread
        ("share", "f4"),  # of the pixels of which a channel is above white
        ("excess", "f4"),  # mean stops over white of the channels above it
        ("full", "f4"),  # share of those pixels whose channels are all above white
        ("middle", "f4"),  # median of green, stops over white
    ]
)


class Scene(NamedTuple):
    """One view.

    Attributes:
        stops: Log2 of exposure over white.
        is_censored: Where the panorama itself clips: the light is as much as that or more.
    """

    stops: Float[np.ndarray, "3 h w"]
    is_censored: Bool[np.ndarray, "3 h w"]


class Views:
    """The views of one split and shape.

    Args:
        folder: Of the cache.
        split: Of the places shown.
        shape: A key of `SIZES`.
        mode: ``r`` to read; ``r+`` to add to it.

    Raises:
        FileNotFoundError: If they were not rendered.

    Attributes:
        records: About each view, as `RECORD`.
    """

    def __init__(self, folder: Path, split: Split, shape: str, *, mode: str = "r") -> None:
        files = _files(folder, split, shape)
        if not files["records"].is_file():
            raise FileNotFoundError(f"no views of {split} places in {folder}; render them with render.py")
        self.size = SIZES[shape]
        self._stops, self._censored, self.records = (np.load(file, mmap_mode=mode) for file in files.values())

    @classmethod
    def create(cls, folder: Path, split: Split, shape: str, *, number: int) -> "Views":
        """Make room for views, or open what is there to go on with it.

        Raises:
            ValueError: If another number was begun.
        """
        if not _files(folder, split, shape)["records"].is_file():
            height, width = SIZES[shape]
            packed = (3 * height * width + 7) // 8
            layouts = {"stops": ("f2", (3, height, width)), "censored": ("u1", (packed,)), "records": (RECORD, ())}
            folder.mkdir(parents=True, exist_ok=True)
            for name, path in _files(folder, split, shape).items():
                dtype, rest = layouts[name]
                np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(number, *rest)).flush()
        views = cls(folder, split, shape, mode="r+")
        if len(views.records) != number:
            raise ValueError(f"{folder} was begun with {len(views.records)} {shape} views of {split}, not {number}")
        return views

    def write(self, index: int, scene: Scene, about: dict[str, object]) -> None:
        """Store a view; it counts as done when all of it is written."""
        self._stops[index] = scene.stops
        self._censored[index] = np.packbits(scene.is_censored)
        self.records[index] = (True, *(about[name] for name in RECORD.names[1:]))

    def __getitem__(self, index: int) -> Scene:
        height, width = self.size
        flags = np.unpackbits(self._censored[index], count=3 * height * width)
        return Scene(self._stops[index].astype(np.float32), flags.reshape(3, height, width).astype(bool))

    @property
    def done(self) -> np.ndarray:
        """Indices of the views that were rendered."""
        return np.flatnonzero(self.records["is_done"])


def bytes_per_view() -> int:
    """Return the room that a view takes on disk."""
    height, width = SIZES["landscape"]
    return 3 * height * width * 2 + 3 * height * width // 8 + RECORD.itemsize


def _files(folder: Path, split: Split, shape: str) -> dict[str, Path]:
    return {name: folder / f"{split}-{shape}-{name}.npy" for name in ("stops", "censored", "records")}
