"""Ordinary HDR pictures in a folder of any layout: scenes for virtual cameras."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.record import HdrReference, Problem
from ldr2hdr.data.datasets.scan import Candidate
from ldr2hdr.data.scenes.cache import cache_picture
from ldr2hdr.data.scenes.crops import check_positive
from ldr2hdr.data.scenes.places import Split, list_pictures, look_up
from ldr2hdr.io import ImageError

_log = logging.getLogger(__name__)


@dataclass(eq=False, repr=False, kw_only=True)
class HdrFolder(AbstractFileDataset):
    """Random crops of the pictures; every file is a place, named by its path below the root.

    The split is drawn by a hash of the file's stem, so it stays when files are added, and two files of one stem are in
    one split. Of copies one is kept. A crop is taken at a random scale between the picture's own and ``max_scale``
    times coarser, then averaged down.

    Attributes:
        skip_bad: Whether pictures that cannot be read, or are smaller than the crop, are listed in the log and left
            out; else the first of them is an error.

    Raises:
        ValueError: If the folder is missing or empty, or the fractions or the scale are wrong.
    """

    name: ClassVar[str] = "hdr_folder"
    layout: ClassVar[tuple[str, ...]] = ("**",)
    skip_bad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._placed = list_pictures(self.folder, self.fractions, seed=self.seed)
        self._is_decoded = False
        self._left_out: set[Path] = set()

    def _find(self) -> Iterator[Candidate | Problem]:
        for file, place, split in self._placed:
            yield Candidate(place, place, hdr=HdrReference(file), split=split)

    def places(self, split: Split) -> tuple[str, ...]:
        """Names of a split's places, sorted, without those that `check_crop` left out."""
        records = (record for record in self.split(split) if self._left_out.isdisjoint(record.paths))
        return tuple(sorted({record.place for record in records}))

    def check_crop(self, crop_px: int) -> None:
        """Decode all pictures, once; refuse, or leave out, those that are damaged or smaller than the crop.

        Raises:
            ValueError: If the size is not positive.
            ImageError: Naming a file and what to do, if bad pictures are not skipped.
        """
        check_positive(crop_px)
        self._decode()
        bad = [problem for problem in self.problems() if problem.kind == "damaged"]
        for path, picture in self._pictures.items():
            if min(picture.height, picture.width) < crop_px:
                size = f"{picture.width} x {picture.height} pixels, but task.crop_px={crop_px}"
                message = f"the scene is smaller than the crop: {size}; lower task.crop_px or remove {path}"
                bad.append(Problem("size_mismatch", path, message))
        if bad and not self.skip_bad:
            others = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
            raise ImageError(f"{bad[0].message}{others}; dataset.{self.name}.skip_bad=true leaves such pictures out")
        for problem in bad:
            if problem.path not in self._left_out:
                _log.warning("left out: %s", problem.message)
        self._left_out |= {problem.path for problem in bad}

    def sample(self, place: str, *, crop_px: int, generator: torch.Generator) -> Float[Tensor, "3 crop_px crop_px"]:
        """Return a random crop at a random scale.

        Raises:
            ValueError: If the place is unknown or smaller than the crop.
            ImageError: If the file cannot be read.
        """
        return self._crop(look_up(self._by_place(), place)[0], crop_px=crop_px, generator=generator)

    def _decode(self) -> None:
        if self._is_decoded:
            return
        for record in self.records():
            (path,) = record.paths
            try:
                self._pictures[path] = cache_picture(path, self._cache_dir)
            except ImageError as error:
                self._fit_problems[record.id] = (Problem("damaged", path, str(error)),)
        self._is_decoded = True
