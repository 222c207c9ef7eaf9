"""DrTMO's brackets: renderings of 1043 HDR pictures by measured responses, nine exposures of half a stop each.

Layout: ``Bracketed_images/<Scene>_<fov>_<elevation>_<azimuth>_<response>/a.png`` to ``i.png``, from ``2**-10`` s on.
The published input is ``e``. The HDR pictures are not part of it, so labels are to be merged from the exposures.

References:
    Endo, Kanamori and Mitani, "Deep reverse tone mapping", SIGGRAPH Asia 2017.
"""

import re
from collections.abc import Iterator
from typing import ClassVar, Final

from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.ev import Told
from ldr2hdr.data.datasets.files import LDR_SUFFIXES, by_stem, list_files, list_folders
from ldr2hdr.data.datasets.headers import Setting
from ldr2hdr.data.datasets.record import Problem
from ldr2hdr.data.datasets.scan import Candidate

_FOLDER: Final = re.compile(r"(?P<scene>.+)_-?[\d.]+_-?[\d.]+_-?[\d.]+_(?P<response>.+)")
_LETTERS: Final = "abcdefghi"
_SHORTEST_S: Final = 2.0**-10
_STEP_STOPS: Final = 0.5
_MIDDLE: Final = _LETTERS.index("e")


class Drtmo(AbstractFileDataset):
    """Set whose places are panoramas and whose scenes are views by a response, which is the camera."""

    name: ClassVar[str] = "drtmo"
    layout: ClassVar[tuple[str, ...]] = ("Bracketed_images/*/*.png",)

    def _find(self) -> Iterator[Candidate | Problem]:
        for folder in list_folders(self.folder / "Bracketed_images"):
            named = _FOLDER.fullmatch(folder.name)
            letters = by_stem(list_files(folder, LDR_SUFFIXES))
            yield from letters.problems
            ldrs = {stem: path for stem, path in letters.files.items() if stem in _LETTERS and len(stem) == 1}
            if named is None or not ldrs:
                yield Problem(
                    "orphan", folder, "expected <Scene>_<fov>_<elevation>_<azimuth>_<response> with a.png ..."
                )
                continue
            settings = {path: _setting_of(_LETTERS.index(letter)) for letter, path in ldrs.items()}
            told = Told("name", settings)
            yield Candidate(folder.name, named["scene"], tuple(settings), named=told, camera=named["response"])


def _setting_of(position: int) -> Setting:
    return Setting((position - _MIDDLE) * _STEP_STOPS, _SHORTEST_S * 2 ** (position * _STEP_STOPS))
