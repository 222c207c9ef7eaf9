"""Picture files, the place that each shows, and the split of the place."""

import csv
import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar, get_args

Split = Literal["train", "val", "test"]
SPLITS: Final[tuple[Split, ...]] = get_args(Split)

_Value = TypeVar("_Value")
_SUFFIXES: Final = (".hdr", ".exr")


class PlacedFile(NamedTuple):
    """A picture file and what it shows."""

    file: Path
    place: str
    split: Split


def list_pictures(root: Path, fractions: Sequence[float], *, seed: int) -> list[PlacedFile]:
    """List all HDR pictures below a folder, each its own place, split by a hash of the stem.

    Args:
        root: Searched recursively, without hidden files; places are named by their path below it.
        fractions: Expected shares of train, val and test.
        seed: Another seed is another split.

    Raises:
        ValueError: If the folder is missing or holds no picture, or the fractions do not sum to 1.
    """
    check_fractions(fractions)
    if not root.is_dir():
        raise ValueError(f"expected a folder of .hdr or .exr pictures, found none: dataset.root={root}")
    files = sorted(path for path in root.rglob("[!.]*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not files:
        raise ValueError(f"expected .hdr or .exr pictures below the folder, found none: dataset.root={root}")
    return [
        PlacedFile(file, file.relative_to(root).as_posix(), split_by_hash(file.stem, fractions, seed=seed))
        for file in files
    ]


def list_for_training(root: Path, placed: Sequence[PlacedFile]) -> list[PlacedFile]:
    """List all HDR pictures below a folder, each its own place, to train on beside files whose splits are known.

    Args:
        root: Searched recursively, without hidden files.
        placed: Files with their splits.

    Raises:
        ValueError: If the folder is missing or holds no picture, or a file's name begins with that of a place which
            is kept for validation or test, as ``kitchen_4k.hdr`` does with ``kitchen``.
    """
    found = [PlacedFile(file, place, "train") for file, place, _ in list_pictures(root, (1.0, 0.0, 0.0), seed=0)]
    for file, place, split in placed:
        kept = Path(place).stem
        same = next((entry.file for entry in found if split != "train" and entry.file.stem.startswith(kept)), None)
        if same is not None:
            raise ValueError(f"{same} seems to show {kept!r}, which is kept for {split} ({file}); remove or rename it")
    return found


def check_fractions(fractions: Sequence[float]) -> None:
    """Refuse what is no three shares of 1.

    Raises:
        ValueError: If a share is missing or negative, or they do not sum to 1.
    """
    if len(fractions) != 3 or min(fractions) < 0 or not math.isclose(sum(fractions), 1.0, abs_tol=1e-6):
        raise ValueError(f"dataset.fractions must be shares of train, val, test that sum to 1, got {fractions}")


def split_by_hash(stem: str, fractions: Sequence[float], *, seed: int) -> Split:
    """The split of a name; independent of all other names, so it stays when files are added.

    Example:
        >>> split_by_hash("kitchen", (0.8, 0.1, 0.1), seed=0)
        'test'
    """
    digest = hashlib.sha256(f"{seed}:{stem}".encode()).digest()
    position = int.from_bytes(digest[:6], "big") / 2**48
    if position < fractions[0]:
        return "train"
    return "val" if position < fractions[0] + fractions[1] else "test"


def read_manifest(path: Path) -> list[PlacedFile]:
    """Read files, places and splits from a CSV file with the columns ``file``, ``place`` and ``split``.

    Raises:
        ValueError: If a column, a file or a split is unknown, or a place is in two splits.
    """
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    placed: list[PlacedFile] = []
    split_of: dict[str, Split] = {}
    for row in rows:
        if not {"file", "place", "split"} <= row.keys():
            raise ValueError(f"expected the columns file, place and split, got {', '.join(row)}: {path}")
        split = next((split for split in SPLITS if split == row["split"]), None)
        if split is None or not (path.parent / row["file"]).is_file():
            raise ValueError(f"expected an existing file and a split of {SPLITS}, got {row}: {path}")
        if split_of.setdefault(row["place"], split) != split:
            raise ValueError(f"place {row['place']!r} is in two splits, {split_of[row['place']]} and {split}: {path}")
        placed.append(PlacedFile(path.parent / row["file"], row["place"], split))
    if not placed:
        raise ValueError(f"expected at least one panorama in the manifest, got none: {path}")
    return placed


def places_of(placed: list[PlacedFile], split: Split) -> tuple[str, ...]:
    """Sorted places of a split, each once."""
    return tuple(sorted({entry.place for entry in placed if entry.split == split}))


def look_up(by_place: Mapping[str, _Value], place: str) -> _Value:
    """The value of a place.

    Raises:
        ValueError: If the place is unknown; the message lists those there are.
    """
    if place not in by_place:
        raise ValueError(f"unknown place {place!r}, expected one of {', '.join(sorted(by_place)[:40])}")
    return by_place[place]
