"""SI-HDR: 181 scenes merged from raw exposures, with LDR pictures of them that clip 5 and 3 percent.

Layout: ``reference/<id>.exr``; ``clip_95/<id>.png`` and ``clip_97/<id>.png``, as far as they are there. The HDR is
linear, in units of 1/65536. Nothing states the EVs of the LDR pictures: they are estimated.

References:
    Hanji, Mantiuk, Eilertsen, Hajisharif and Unger, "Comparison of single image HDR reconstruction methods: the caveats
    of quality assessment", SIGGRAPH 2022.
"""

from collections.abc import Iterator
from typing import ClassVar, Final

from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.files import HDR_SUFFIXES, LDR_SUFFIXES, by_stem, find_orphans, list_files
from ldr2hdr.data.datasets.record import HdrReference, Problem
from ldr2hdr.data.datasets.scan import Candidate

_LDR_FOLDERS: Final = ("clip_95", "clip_97")
_SCALE: Final = 1 / 65536


class SiHdr(AbstractFileDataset):
    """Scenes with any number of LDR pictures, none included."""

    name: ClassVar[str] = "si_hdr"
    layout: ClassVar[tuple[str, ...]] = ("reference/*.exr",)

    def _find(self) -> Iterator[Candidate | Problem]:
        references = by_stem(list_files(self.folder / "reference", HDR_SUFFIXES))
        yield from references.problems
        folders = {name: by_stem(list_files(self.folder / name, LDR_SUFFIXES)) for name in _LDR_FOLDERS}
        for name, keyed in folders.items():
            yield from keyed.problems
            unmatched = {stem: path for stem, path in keyed.files.items() if stem not in references.files}
            yield from find_orphans({name: unmatched, "reference": {}})
        for stem, path in references.files.items():
            ldrs = tuple(keyed.files[stem] for keyed in folders.values() if stem in keyed.files)
            yield Candidate(stem, stem, ldrs, HdrReference(path, scale=_SCALE))
