"""Brackets of any number of exposures: one folder per scene, with or without an HDR picture.

Layout: ``<scene>/<any name>.jpg`` (or PNG, TIFF), ``<scene>/<any name>.hdr`` (or EXR). The EVs are given by an
``exposures.csv`` in the scene's folder or the root (columns ``file`` and ``exposure_time_s`` or ``ev``), by EXIF, by
names such as ``a_-2.jpg`` or ``EV+1.5.png``, or estimated from the pixels.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.ev import EXPOSURES_FILE, Told, tell_by_csv, tell_by_names
from ldr2hdr.data.datasets.files import HDR_SUFFIXES, LDR_SUFFIXES, list_files, list_folders
from ldr2hdr.data.datasets.record import HdrReference, Problem
from ldr2hdr.data.datasets.scan import Candidate


class BracketFolder(AbstractFileDataset):
    """Set of scenes that are places, too, named by their folders."""

    name: ClassVar[str] = "bracket_folder"
    layout: ClassVar[tuple[str, ...]] = ("*/*.*",)

    def _find(self) -> Iterator[Candidate | Problem]:
        of_root = self._read_list(self.folder / EXPOSURES_FILE)
        if isinstance(of_root, Problem):
            # without the list that was meant to be followed, nothing can be trusted
            yield of_root
            return
        listed = {} if of_root is None else dict(of_root.settings)
        yield from _missing_of(of_root, self.folder / EXPOSURES_FILE)
        for folder in list_folders(self.folder):
            ldrs, hdrs = list_files(folder, LDR_SUFFIXES), list_files(folder, HDR_SUFFIXES)
            of_scene = self._read_list(folder / EXPOSURES_FILE)
            if isinstance(of_scene, Problem):
                yield of_scene
                continue
            yield from _missing_of(of_scene, folder / EXPOSURES_FILE)
            if of_scene is None and any(path in listed for path in ldrs):
                of_scene = of_root
            for extra in hdrs[1:]:
                yield Problem("duplicate", extra, f"one HDR picture per scene is expected, {hdrs[0].name} was taken")
            if not ldrs and not hdrs:
                continue
            hdr = HdrReference(hdrs[0]) if hdrs else None
            named = tell_by_names(ldrs)
            yield Candidate(folder.name, folder.name, tuple(ldrs), hdr, listed=of_scene, named=named)

    @staticmethod
    def _read_list(path: Path) -> Told | Problem | None:
        if not path.is_file():
            return None
        try:
            return tell_by_csv(path)
        except ValueError as error:
            return Problem("damaged", path, str(error))


def _missing_of(told: Told | None, path: Path) -> Iterator[Problem]:
    for listed in () if told is None else told.settings:
        if not listed.is_file():
            yield Problem("orphan", path, f"it lists {listed.name}, which is not there")
