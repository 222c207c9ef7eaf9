"""A prepared set: the pixels of each scene in one file that is mapped into memory, so that a crop reads its own pages.

`ldr2hdr.data.preparing` writes it, `ldr2hdr.data.prepared_index` describes it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.crops import Window
from ldr2hdr.data.datasets.fingerprint import file_digest
from ldr2hdr.data.datasets.record import SceneRecord
from ldr2hdr.data.prepared_index import PreparedScene, read_index, scene_path


class PreparedCrop(NamedTuple):
    """The same window of some exposures of a scene and of its light.

    Attributes:
        ldr: In [0, 1].
        light: Sensor exposure at ``ev=0``, not clipped.
    """

    ldr: Float[Tensor, "n 3 px px"]
    light: Float[Tensor, "3 px px"]


class _Located(NamedTuple):
    path: Path
    layers: dict[Path, int]
    height: int
    width: int
    unit: float


class PreparedPixels:
    """The pixels of records, out of a prepared set.

    Nothing is kept open: every crop maps its file anew, so that memory does not grow with the number of scenes.

    Args:
        folder: That ``ldr2hdr prepare`` wrote.
        records: With exposures and HDR; their order of exposures and scales may differ from when they were prepared.

    Raises:
        ValueError: If the folder is not complete, or does not hold the pixels of these very files.
    """

    def __init__(self, folder: Path | str, records: Sequence[SceneRecord]) -> None:
        root = Path(folder)
        index = read_index(root)
        if not index.is_complete:
            raise ValueError(f"`ldr2hdr prepare` has not finished this folder; run it again: task.prepared={folder}")
        scenes = {scene.source.id: scene for scene in index.scenes}
        self._located = {record.id: _locate(record, scenes.get(record.id), root) for record in records}

    def size_of(self, record: SceneRecord) -> tuple[int, int]:
        """Height and width of a scene."""
        located = self._located[record.id]
        return located.height, located.width

    def crop(self, record: SceneRecord, numbers: Sequence[int], *, window: Window) -> PreparedCrop:
        """Read a window of some of a record's exposures, and of its light."""
        path, layers, _, _, unit = self._located[record.id]
        pixels = np.load(path, mmap_mode="r")
        chosen = [layers[record.exposures[number].path] for number in numbers]
        codes = pixels["ldr"][0][chosen, :, window.rows, window.columns]
        stored = np.array(pixels["hdr"][0][:, window.rows, window.columns])
        scale = 1.0 if record.hdr is None else record.hdr.scale
        ldr = torch.from_numpy(codes).float().div_(np.iinfo(codes.dtype).max)
        # one factor after the other: a scale need not be a power of two, and rounds as it does without the cache
        return PreparedCrop(ldr, torch.from_numpy(stored).float().mul_(unit).mul_(scale))


def _locate(record: SceneRecord, scene: PreparedScene | None, folder: Path) -> _Located:
    hint = f"run `ldr2hdr prepare` on the set: task.prepared={folder}"
    if scene is None or scene.source.hdr is None or record.hdr is None:
        raise ValueError(f"the prepared folder has no scene {record.id!r} with HDR; {hint}")
    source, stored = scene.source.hdr, scene.stored
    layers = {exposure.sha256: number for number, exposure in enumerate(scene.source.exposures)}
    digests = {exposure.path: file_digest(exposure.path) for exposure in record.exposures}
    made_from = (source.sha256, source.exponent, source.divisor)
    wanted = (file_digest(record.hdr.path), record.hdr.transfer.exponent, record.hdr.transfer.divisor)
    path = scene_path(folder, scene.source.content_hash)
    if made_from != wanted or not set(digests.values()) <= layers.keys() or not path.is_file():
        raise ValueError(f"scene {record.id!r} has changed since it was prepared; {hint}")
    of_paths = {exposure: layers[digest] for exposure, digest in digests.items()}
    return _Located(path, of_paths, stored.height, stored.width, stored.hdr_unit)
