"""Kalantari and Ramamoorthi's set: 74 training and 15 test scenes at three exposures, 16-bit TIFF, gamma 2.2.

Layout: ``Training/001/*.tif`` (three, in the order of ``exposure.txt``, dark to bright), ``exposure.txt`` (one EV a
line), ``HDRImg.hdr``; the test folders have names, and lie deeper. A release for training has ``input_1_aligned.tif``,
``input_exp.txt`` and ``ref_hdr_aligned.hdr`` instead.

The HDR shows the moment of the middle exposure; in the others, people have moved. Some releases add ``ref_1.tif`` and
so on, of the scene at rest: where there are as many of these, they are the exposures.

References:
    Kalantari and Ramamoorthi, "Deep high dynamic range imaging of dynamic scenes", SIGGRAPH 2017.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.ev import tell_by_text
from ldr2hdr.data.datasets.files import list_files
from ldr2hdr.data.datasets.record import HdrReference, Problem
from ldr2hdr.data.datasets.scan import Candidate
from ldr2hdr.data.scenes.places import Split

_EXPOSURE_FILES: Final = ("exposure.txt", "input_exp.txt")
_HDR_FILES: Final = ("HDRImg.hdr", "ref_hdr_aligned.hdr")


class Kalantari(AbstractFileDataset):
    """Set split by folders whose path begins with ``train`` or ``test``, in any case; val is a part of train."""

    name: ClassVar[str] = "kalantari"
    layout: ClassVar[tuple[str, ...]] = tuple(f"**/{name}" for name in _EXPOSURE_FILES)

    def _find(self) -> Iterator[Candidate | Problem]:
        names = (*_EXPOSURE_FILES, *_HDR_FILES)
        for folder in sorted({path.parent for name in names for path in self.folder.rglob(name)}):
            yield self._find_scene(folder)

    def _find_scene(self, folder: Path) -> Candidate | Problem:
        listing = next((folder / name for name in _EXPOSURE_FILES if (folder / name).is_file()), None)
        hdr = next((folder / name for name in _HDR_FILES if (folder / name).is_file()), None)
        if listing is None or hdr is None:
            present, missing = (hdr, _EXPOSURE_FILES) if listing is None else (listing, _HDR_FILES)
            return Problem("orphan", present or folder, f"there is no {' or '.join(missing)} beside it")
        pictures = list_files(folder, (".tif", ".tiff"))
        static = [path for path in pictures if path.stem.startswith("ref_")]
        moving = [path for path in pictures if path not in static]
        ldrs = static if len(static) >= len(moving) else moving
        if not ldrs:
            return Problem("orphan", hdr, "there are no .tif exposures beside it")
        try:
            listed = tell_by_text(listing, ldrs)
        except ValueError as error:
            return Problem("damaged", listing, str(error))
        name = folder.relative_to(self.folder).as_posix()
        split = self._split_by_path(name)
        return Candidate(name, name, tuple(ldrs), HdrReference(hdr), listed=listed, split=split)

    def _split_by_path(self, name: str) -> Split | None:
        if name.lower().startswith("test"):
            return "test"
        return self._train_or_val(name) if name.lower().startswith("train") else None
