"""LDR-HDR-pair: static scenes at three exposures with a merged HDR, 1024 x 1024.

Layout::

    HDR/HDR_001.hdr   LDR_exposure_0/LDR_001.jpg   LDR_exposure_-2/LDR_001.jpg   LDR_exposure_+2/LDR_001.jpg

The set was 450 scenes, is 176 today, and was renumbered in between: an id names another picture in another copy. So
the ids are those found in all four folders, with or without gaps, and a scene is named by its content. Splits by number
that were published for one copy mean nothing in another, and none is used. The HDR's scale is arbitrary, and the steps
of the exposures are not exactly two stops if one assumes an sRGB response: the camera's is another.

References:
    Jang, Bang, Jang and Hwang, "Dynamic range expansion using cumulative histogram learning for high dynamic range
    image generation", IEEE Access 8, 2020.
"""

from collections.abc import Iterator
from typing import ClassVar, Final

from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.ev import Told
from ldr2hdr.data.datasets.files import HDR_SUFFIXES, LDR_SUFFIXES, by_stem, find_orphans, list_files
from ldr2hdr.data.datasets.fingerprint import content_hash
from ldr2hdr.data.datasets.headers import Setting
from ldr2hdr.data.datasets.record import HdrReference, Problem
from ldr2hdr.data.datasets.scan import Candidate

_EV_OF_FOLDER: Final = {"LDR_exposure_-2": -2.0, "LDR_exposure_0": 0.0, "LDR_exposure_+2": 2.0}


class LdrHdrPair(AbstractFileDataset):
    """Scenes named, and split, by the hash of their four files."""

    name: ClassVar[str] = "ldr_hdr_pair"
    layout: ClassVar[tuple[str, ...]] = ("HDR/HDR_*",)

    def _find(self) -> Iterator[Candidate | Problem]:
        folders = {"HDR": by_stem(list_files(self.folder / "HDR", HDR_SUFFIXES), prefix="HDR_")}
        for folder in _EV_OF_FOLDER:
            folders[folder] = by_stem(list_files(self.folder / folder, LDR_SUFFIXES), prefix="LDR_")
        for keyed in folders.values():
            yield from keyed.problems
        files = {name: keyed.files for name, keyed in folders.items()}
        yield from find_orphans(files)
        for number in sorted(set.intersection(*(set(of_folder) for of_folder in files.values()))):
            settings = {files[folder][number]: Setting(ev) for folder, ev in _EV_OF_FOLDER.items()}
            hdr = files["HDR"][number]
            identity = content_hash([*settings, hdr])
            yield Candidate(identity, identity, tuple(settings), HdrReference(hdr), named=Told("name", settings))
