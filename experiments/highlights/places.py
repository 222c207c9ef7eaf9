"""The panoramas, the place that each shows, and the split of the place: `places.csv` is the one list of them."""

import csv
from pathlib import Path
from typing import Final, NamedTuple

from ldr2hdr.data.scenes.places import SPLITS, Split

PLACES_FILE: Final = Path(__file__).with_name("places.csv")


class Panorama(NamedTuple):
    """A panorama file.

    Attributes:
        file: Relative to the folder of panoramas.
        place: Shown by it; a place is in one split.
        split: Of the place.
        weight: Relative number of views drawn of it: skies without ground count less, and two files of one place half.
    """

    file: str
    place: str
    split: Split
    weight: float


def read_places(path: Path = PLACES_FILE) -> list[Panorama]:
    """Read a list of panoramas, a CSV file with the columns ``file``, ``place``, ``split`` and ``weight``.

    Raises:
        ValueError: If a split is unknown, a weight not positive, or a place in two splits.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = [Panorama(row["file"], row["place"], row["split"], float(row["weight"])) for row in csv.DictReader(file)]
    split_of: dict[str, Split] = {}
    for row in rows:
        if row.split not in SPLITS or row.weight <= 0:
            raise ValueError(f"expected a split of {SPLITS} and a positive weight, got {row}: {path}")
        if split_of.setdefault(row.place, row.split) != row.split:
            raise ValueError(f"place {row.place!r} is in two splits, {split_of[row.place]} and {row.split}: {path}")
    return rows
