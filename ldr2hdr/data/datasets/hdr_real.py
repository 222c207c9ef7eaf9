"""HDR-Real of SingleHDR: pairs of 512 x 512 by many cameras, two crops of each photograph.

Layout of the training set: ``LDR_in/<id>.jpg``, ``HDR_gt/<id>.hdr``; of the test set: ``00000/input.jpg``,
``00000/gt.hdr``. The HDR's scale is arbitrary, and differs from pair to pair.

The training folder holds 9786 pairs, which is two of each of 4893 photographs; the authors count 3974 for training and
919 for testing, 4893 together. So it seems to hold the test photographs, too. Pairs of the training folder with the
very HDR of a test pair are counted as test pairs, if the test set is there; crops that differ cannot be recognised by
content. By the same count, about ten photographs show one scene.

References:
    Liu et al., "Single-image HDR reconstruction by learning to reverse the camera pipeline", CVPR 2020, supplement.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.files import HDR_SUFFIXES, LDR_SUFFIXES, by_stem, check_root, find_orphans, list_files
from ldr2hdr.data.datasets.pair_folders import find_pair_folders
from ldr2hdr.data.datasets.record import HdrReference, Problem
from ldr2hdr.data.datasets.scan import Candidate
from ldr2hdr.data.scenes.places import Split


@dataclass(eq=False, repr=False, kw_only=True)
class HdrReal(AbstractFileDataset):
    """Pairs of the training folder, of the test folders, or of both; places are photographs.

    With the test set there, the training folder is split into train and val, else into all three.

    Attributes:
        root: Folder with ``LDR_in`` and ``HDR_gt``, or with the numbered folders of the test set.
        test_root: Folder with the numbered folders, if it is another.
        files_per_place: Neighbouring ids that show one place, where ids are numbers; the crops of one photograph are
            neighbours. A larger number keeps photographs of one scene together, if those are neighbours, too.

    Raises:
        ValueError: If a folder is missing or holds no such set, or a number is out of range.
    """

    name: ClassVar[str] = "hdr_real"
    layout: ClassVar[tuple[str, ...]] = ("HDR_gt/*", "[0-9]*/gt.*")
    test_root: Path | str | None = None
    files_per_place: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.files_per_place < 1:
            raise ValueError(f"dataset.files_per_place must be at least 1, got {self.files_per_place}")
        self._test_folder = self.folder
        if self.test_root is not None:
            self._test_folder = check_root(self.test_root, self.layout[1:], key="dataset.test_root")

    def _find(self) -> Iterator[Candidate | Problem]:
        tests = list(find_pair_folders(self._test_folder, prefix="test/"))
        yield from tests
        ldrs = by_stem(list_files(self.folder / "LDR_in", LDR_SUFFIXES))
        hdrs = by_stem(list_files(self.folder / "HDR_gt", HDR_SUFFIXES))
        yield from (*ldrs.problems, *hdrs.problems)
        yield from find_orphans({"LDR_in": ldrs.files, "HDR_gt": hdrs.files})
        for stem in sorted(ldrs.files.keys() & hdrs.files.keys()):
            place = f"train/{self._place_of(stem)}"
            split: Split | None = self._train_or_val(place) if tests else None
            yield Candidate(f"train/{stem}", place, (ldrs.files[stem],), HdrReference(hdrs.files[stem]), split=split)

    def _place_of(self, stem: str) -> str:
        """The photograph of a crop: by its number, or by the name before the number of the crop."""
        if stem.isdecimal():
            first = int(stem) // self.files_per_place * self.files_per_place
            return f"{first:0{len(stem)}d}"
        named = re.fullmatch(r"(.+)[_-]\d", stem)
        return stem if named is None else named[1]
