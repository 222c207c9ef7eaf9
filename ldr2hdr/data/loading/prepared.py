"""A prepared set: the pixels of each scene in one file, of which a crop reads its own part.

`ldr2hdr.data.loading.preparing` writes it, `ldr2hdr.data.loading.prepared_index` describes it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ldr2hdr.data.datasets.fingerprint import file_digest
from ldr2hdr.data.datasets.record import SceneRecord
from ldr2hdr.data.loading.encoding import copy_codes
from ldr2hdr.data.loading.memory import ReusedMemory
from ldr2hdr.data.loading.packing import PackedBatch
from ldr2hdr.data.loading.prepared_index import PreparedScene, read_index, scene_path
from ldr2hdr.data.loading.strips import STRIP_PX, StripPlanes
from ldr2hdr.data.scenes.crops import Window
from ldr2hdr.radiometry import expose


class Cut(NamedTuple):
    """Part of a scene that a task shows.

    Attributes:
        record: The scene.
        numbers: Which of its exposures, those of the support first.
        window: The part of the picture.
    """

    record: SceneRecord
    numbers: tuple[int, ...]
    window: Window


class _Located(NamedTuple):
    path: Path
    layers: dict[Path, int]
    ldr: StripPlanes
    hdr: StripPlanes
    unit: float


class PreparedPixels:
    """The pixels of records, out of a prepared set.

    Nothing is kept open, nor any pixel, so that memory does not grow with the number of scenes.

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
        self._memory = ReusedMemory()

    def size_of(self, record: SceneRecord) -> tuple[int, int]:
        """Height and width of a scene."""
        planes = self._located[record.id].ldr
        return planes.height, planes.width

    def pack(self, cuts: Sequence[Cut], *, num_shots: int) -> PackedBatch:
        """Read a batch of tasks, of one number of exposures and of windows of one side.

        Raises:
            ValueError: If there is no task, or exposures or windows differ in number or size.
        """
        if len({(len(cut.numbers), cut.window.side) for cut in cuts}) != 1:
            raise ValueError(f"expected tasks of one number of exposures and one size, got {len(cuts)} that differ")
        located = [self._located[cut.record.id] for cut in cuts]
        num_pictures, side = len(cuts[0].numbers), cuts[0].window.side
        codes = self._make((len(cuts), num_pictures, 3, side, side), {scene.ldr.dtype for scene in located})
        light = self._make((len(cuts), 3, side, side), {scene.hdr.dtype for scene in located})
        for cut, *targets in zip(cuts, codes.numpy(), light.numpy(), strict=True):
            self._read(cut, *targets)
        return PackedBatch(
            codes,
            light,
            torch.tensor([_unit(cut.record, scene) for cut, scene in zip(cuts, located, strict=True)]),
            torch.stack([gains_of(cut.record, cut.numbers) for cut in cuts]),
            num_shots,
            query_places=tuple((cut.record.place,) * (num_pictures - num_shots) for cut in cuts),
            cameras=tuple(cut.record.camera for cut in cuts),
        )

    def _make(self, shape: tuple[int, ...], dtypes: set[np.dtype]) -> Tensor:
        """Memory of the widest of the types, which holds what is in the others without loss."""
        widest = max(dtypes, key=lambda dtype: dtype.itemsize)
        return self._memory.empty(shape, dtype=getattr(torch, widest.name))

    def _read(self, cut: Cut, codes: Shaped[np.ndarray, "n 3 px px"], light: Shaped[np.ndarray, "3 px px"]) -> None:
        """Copy a cut out of its file."""
        located, window = self._located[cut.record.id], cut.window
        layers = [located.layers[cut.record.exposures[number].path] for number in cut.numbers]
        # no code has more bytes than light
        memory = self._memory.empty((window.side * STRIP_PX * light.itemsize,), dtype=torch.uint8).numpy()
        with located.path.open("rb", buffering=0) as file:
            for channel in range(3):
                for columns, pixels in located.hdr.read(file, channel, window=window, memory=memory):
                    light[channel, :, columns] = pixels
                for target, layer in zip(codes, layers, strict=True):
                    for columns, pixels in located.ldr.read(file, 3 * layer + channel, window=window, memory=memory):
                        copy_codes(target[channel, :, columns], pixels)


def gains_of(record: SceneRecord, numbers: Sequence[int]) -> Float[Tensor, " n"]:
    """Return how many times brighter than at ``ev=0`` some exposures of a record are."""
    # `expose` at unit light: its look for negative light, of which readers leave none, would take longer than the rest
    evs = torch.tensor([record.exposures[number].ev for number in numbers])
    return expose(torch.ones(len(numbers), 3, 1, 1), evs)[:, 0, 0, 0]


def _unit(record: SceneRecord, located: _Located) -> float:
    return located.unit * (1.0 if record.hdr is None else record.hdr.scale)


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
    try:
        pixels = np.load(path, mmap_mode="r")
    except (ValueError, EOFError) as error:
        raise ValueError(f"the pixels of scene {record.id!r} are damaged ({error}); {hint}") from error
    fields = (pixels.dtype.fields[key] for key in ("ldr", "hdr"))
    ldr, hdr = (
        StripPlanes(pixels.offset + offset, dtype.base, stored.height, stored.width) for dtype, offset, *_ in fields
    )
    return _Located(path, of_paths, ldr, hdr, stored.hdr_unit)
