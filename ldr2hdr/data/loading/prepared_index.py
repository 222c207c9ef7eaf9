"""Index of a prepared set: each scene's sources and pixels, and the files that were left out."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ldr2hdr.io.files import replacing

FORMAT_VERSION: Final = 2
SCENES_DIR: Final = "scenes"
_INDEX: Final = "index.json"


@dataclass(frozen=True)
class SourceExposure:
    """One LDR picture.

    Attributes:
        file: Its name below the set's root.
        sha256: Of the file.
        ev: As the set states it.
        ev_source: Where ``ev`` is from.
    """

    file: str
    sha256: str
    ev: float
    ev_source: str


@dataclass(frozen=True)
class SourceHdr:
    """The HDR picture.

    Attributes:
        file: Its name below the set's root.
        sha256: Of the file.
        scale: As the set states it; sensor exposure at ``ev=0`` is ``scale`` times the linear value.
        exponent: Of the transfer, see `Transfer`.
        divisor: Of the transfer.
    """

    file: str
    sha256: str
    scale: float
    exponent: float
    divisor: float


@dataclass(frozen=True)
class SceneSource:
    """Files that a scene was prepared from.

    Attributes:
        id: Unique in the set.
        place: What it shows.
        camera: Who took it.
        split: As published.
        content_hash: Of all its files; names the file of pixels.
        exposures: Dark to bright.
        hdr: None if the set has LDR only.
    """

    id: str
    place: str
    camera: str
    split: str | None
    content_hash: str
    exposures: tuple[SourceExposure, ...]
    hdr: SourceHdr | None


@dataclass(frozen=True)
class StoredPixels:
    """The file of a scene's pixels: an array ``ldr (n, 3, h * w)`` of the codes, and an array ``hdr (3, h * w)``.

    The pixels of a plane are in strips, see `ldr2hdr.data.loading.strips`.
    ``hdr * hdr_unit`` is linear, in the units of the source file, its transfer undone; 0 stays 0.

    Attributes:
        sha256: Of the file.
        height: In pixels.
        width: In pixels.
        ldr_dtype: ``uint8``, or ``uint16`` if an exposure needs it, both without loss; None without exposures.
        hdr_dtype: ``float16``, or ``float32`` where that errs by more than 2**-11; None without HDR.
        hdr_unit: A power of two.
        hdr_max_relative_error: Measured, over all pixels that are not 0.
    """

    sha256: str
    height: int
    width: int
    ldr_dtype: str | None
    hdr_dtype: str | None
    hdr_unit: float
    hdr_max_relative_error: float


@dataclass(frozen=True)
class PreparedScene:
    """One scene: what it was made from, and what was made of it."""

    source: SceneSource
    stored: StoredPixels

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> "PreparedScene":
        """Invert `to_json`.

        Raises:
            KeyError: If a field is missing.
            TypeError: If a field is missing or unknown.
        """
        source = dict(entry["source"])
        source["exposures"] = tuple(SourceExposure(**exposure) for exposure in source["exposures"])
        source["hdr"] = None if source["hdr"] is None else SourceHdr(**source["hdr"])
        return cls(SceneSource(**source), StoredPixels(**entry["stored"]))

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return asdict(self)


@dataclass(frozen=True)
class SkippedFile:
    """A file that could not be used, whose scene is missing."""

    file: str
    reason: str


@dataclass(frozen=True)
class PreparedIndex:
    """Index of a folder of prepared scenes.

    Attributes:
        dataset: Name of the set's reader.
        is_complete: Whether all scenes were prepared, or reported as skipped.
        scenes: Sorted by id.
        skipped: Files that could not be used, sorted.
    """

    dataset: str
    is_complete: bool
    scenes: tuple[PreparedScene, ...]
    skipped: tuple[SkippedFile, ...]


def read_index(folder: Path) -> PreparedIndex:
    """The index of a prepared set.

    Raises:
        ValueError: If there is none, or it is damaged or of another version.
    """
    path = folder / _INDEX
    if not path.is_file():
        raise ValueError(f"expected a folder that `ldr2hdr prepare` wrote, found no {_INDEX} in it: {folder}")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if entries["version"] != FORMAT_VERSION:
            raise ValueError(f"expected format version {FORMAT_VERSION}, got {entries['version']}")
        scenes = tuple(PreparedScene.from_json(entry) for entry in entries["scenes"])
        skipped = tuple(SkippedFile(**entry) for entry in entries["skipped"])
        return PreparedIndex(entries["dataset"], entries["is_complete"], scenes, skipped)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"the index cannot be used ({error}); delete the folder and prepare again: {path}") from error


def write_index(folder: Path, index: PreparedIndex) -> None:
    """Write the index, whole or not at all."""
    with replacing(folder / _INDEX) as temporary:
        text = json.dumps({"version": FORMAT_VERSION, **asdict(index)}, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")


def scene_path(folder: Path, content_hash: str) -> Path:
    """The file of a scene's pixels."""
    return folder / SCENES_DIR / f"{content_hash}.npy"
