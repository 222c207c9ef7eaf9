"""Decode a set once: write each scene's pixels to a file of its own, so that a killed run can go on where it was."""

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.fingerprint import file_digest
from ldr2hdr.data.datasets.pixels import read_exposures, read_linear
from ldr2hdr.data.datasets.record import Problem, ProblemKind, SceneRecord
from ldr2hdr.data.loading.encoding import EncodedHdr, encode_hdr, encode_ldr
from ldr2hdr.data.loading.prepared_index import (
    SCENES_DIR,
    PreparedIndex,
    PreparedScene,
    SceneSource,
    SkippedFile,
    SourceExposure,
    SourceHdr,
    StoredPixels,
    read_index,
    scene_path,
    write_index,
)
from ldr2hdr.data.loading.strips import to_strips
from ldr2hdr.io import ImageError
from ldr2hdr.io.files import replacing

_CORRUPT: Final[tuple[ProblemKind, ...]] = ("damaged", "size_mismatch")


class Preparation(NamedTuple):
    """Outcome of a run.

    Attributes:
        written: The index of the folder now; complete unless corrupt files stopped it.
        num_kept: Scenes that were there and passed their hash.
        num_written: Scenes that were decoded.
        corrupt: Files whose scenes are missing.
    """

    written: PreparedIndex
    num_kept: int
    num_written: int
    corrupt: tuple[Problem, ...]

    def summary(self) -> str:
        """Describe the folder as it is now, for people."""
        scenes = [scene.stored for scene in self.written.scenes]
        lines = [f"{len(scenes)} scenes: {self.num_written} decoded, {self.num_kept} kept"]
        halves = [stored for stored in scenes if stored.hdr_dtype == "float16"]
        if halves:
            error = max(stored.hdr_max_relative_error for stored in halves)
            lines += [f"{len(halves)} HDR pictures in half precision, relative error at most {error:.2g}"]
        num_single = sum(stored.hdr_dtype == "float32" for stored in scenes)
        if num_single:
            lines += [f"{num_single} HDR pictures in single precision, because half would err by more than 2**-11"]
        if self.corrupt:
            lines += [f"{len(self.written.skipped)} corrupt files, whose scenes are missing"]
        return "\n".join(lines)


def prepare(
    dataset: AbstractFileDataset,
    folder: Path,
    *,
    name: str,
    root: Path,
    is_skipping: bool = False,
    track: Callable[[Sequence[SceneRecord]], Iterable[SceneRecord]] = iter,
) -> Preparation:
    """Decode all scenes of a set into a folder; what is there and passes its hash is kept.

    The folder after any number of killed runs and a finished one is, bit for bit, that of a single run. Where files
    are corrupt, the other scenes are prepared all the same, so that all faults are reported at once.

    Args:
        dataset: The set.
        folder: Made if missing.
        name: Of the set's reader.
        root: Of the set, left out of the names in the index.
        is_skipping: Whether the folder is complete without the scenes of corrupt files.
        track: Shows how far the scenes are.

    Raises:
        ValueError: If the folder holds something else, or another process prepares it.
        OSError: If the folder cannot be written.
    """
    records = dataset.records()
    corrupt = [problem for problem in dataset.problems() if problem.kind in _CORRUPT]
    scenes: list[PreparedScene] = []
    num_kept = 0
    _claim(folder, name)
    with _locked(folder):
        for record in track(records):
            try:
                kept = _recall(record, folder, root)
                if kept is None and num_kept == len(scenes):  # the first that is not kept
                    write_index(folder, PreparedIndex(name, False, (), ()))
                scenes.append(kept or _decode(record, folder, root))
            except (ImageError, OSError) as error:
                corrupt.append(Problem.of_damage(record.paths, error))
                continue
            num_kept += kept is not None
        index = PreparedIndex(name, is_skipping or not corrupt, tuple(scenes), _tell(corrupt, root))
        _remove_others(folder, scenes)
        write_index(folder, index)
    return Preparation(index, num_kept, len(scenes) - num_kept, tuple(corrupt))


def _claim(folder: Path, name: str) -> None:
    """Make the folder ours, or refuse: files that this does not know are deleted from it later."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(not path.name.startswith(".") for path in folder.iterdir()):
        found = read_index(folder).dataset
        if found != name:
            raise ValueError(f"expected a folder for {name}, it holds the prepared set {found}: {folder}")
    else:
        write_index(folder, PreparedIndex(name, False, (), ()))
    (folder / SCENES_DIR).mkdir(exist_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes out; the lock ends with the process, however that ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"another process is preparing this folder: {folder}") from error
        yield
    finally:
        os.close(descriptor)


def _recall(record: SceneRecord, folder: Path, root: Path) -> PreparedScene | None:
    """The scene as it was prepared before, if it is of these files and passes its hash."""
    path = scene_path(folder, record.content_hash)
    try:
        scene = PreparedScene.from_json(json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
        is_sound = scene.source == _describe(record, root) and scene.stored.sha256 == file_digest(path)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return scene if is_sound else None


def _describe(record: SceneRecord, root: Path) -> SceneSource:
    exposures = tuple(
        SourceExposure(_below(exposure.path, root), file_digest(exposure.path), exposure.ev, exposure.ev_source)
        for exposure in record.exposures
    )
    hdr = None
    if record.hdr is not None:
        path, transfer = record.hdr.path, record.hdr.transfer
        numbers = (record.hdr.scale, transfer.exponent, transfer.divisor)
        hdr = SourceHdr(_below(path, root), file_digest(path), *numbers)
    names = (record.id, record.place, record.camera, record.split, record.content_hash)
    return SceneSource(*names, exposures, hdr)


def _decode(record: SceneRecord, folder: Path, root: Path) -> PreparedScene:
    pictures = [read_exposures([exposure])[0].numpy() for exposure in record.exposures]
    linear = [] if record.hdr is None else [read_linear(record.hdr).numpy()]
    sizes = {picture.shape[1:] for picture in (*pictures, *linear)}
    if len(sizes) != 1:
        raise ImageError(f"expected pictures of one size, got {sorted(sizes)}: {record.paths[0]}")
    ((height, width),) = sizes
    ldr = encode_ldr(pictures) if pictures else None
    hdr = encode_hdr(linear[0]) if linear else EncodedHdr(None, 1.0, 0.0)
    path = scene_path(folder, record.content_hash)
    _write_arrays(path, {"hdr": hdr.stored, "ldr": ldr})
    ldr_dtype, hdr_dtype = (None if array is None else array.dtype.name for array in (ldr, hdr.stored))
    stored = StoredPixels(file_digest(path), height, width, ldr_dtype, hdr_dtype, hdr.unit, hdr.max_relative_error)
    scene = PreparedScene(_describe(record, root), stored)
    # last, because it says that the pixels are whole
    with replacing(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(scene.to_json(), indent=1) + "\n", encoding="utf-8")
    return scene


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray | None]) -> None:
    # one record holds all, so that one rename publishes all
    given = {key: to_strips(array) for key, array in arrays.items() if array is not None}
    layout = np.dtype([(key, array.dtype, array.shape) for key, array in given.items()])
    with replacing(path) as temporary:
        record = np.empty(1, dtype=layout)
        for key, array in given.items():
            record[key] = array
        with temporary.open("wb") as file:
            np.save(file, record)
            file.flush()
            os.fsync(file.fileno())  # the rename must not reach the disk before the pixels


def _remove_others(folder: Path, scenes: Sequence[PreparedScene]) -> None:
    """Delete what killed runs and files that have changed since left behind."""
    wanted = {scene_path(folder, scene.source.content_hash) for scene in scenes}
    wanted |= {path.with_suffix(".json") for path in wanted}
    for path in (*(folder / SCENES_DIR).iterdir(), *folder.glob(".index.*.json")):
        if path not in wanted:
            path.unlink()


def _tell(corrupt: Sequence[Problem], root: Path) -> tuple[SkippedFile, ...]:
    """The faults without the path of the root, each once."""
    told = {(_below(problem.path, root), problem.message.replace(f"{root}/", "")) for problem in corrupt}
    return tuple(SkippedFile(file, reason) for file, reason in sorted(told))


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
