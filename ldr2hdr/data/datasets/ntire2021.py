"""NTIRE 2021 HDR challenge: short, medium and long exposures with an HDR in a 16-bit PNG.

Layout: ``0000_medium.png``, of track 2 also ``0000_short.png``, ``0000_long.png`` and ``0000_exposures.npy`` (their EVs
in the order short, medium, long); ``0000_gt.png`` and ``0000_alignratio.npy``. Folders named ``train``, ``val``,
``test`` are splits. The stored HDR is ``gt / alignratio`` and not linear: light is its power of 2.24. Neighbouring
numbers may be frames of one video; a split by number would leak, so keep the published folders.

References:
    Pérez-Pellitero et al., "NTIRE 2021 challenge on high dynamic range imaging", CVPR workshops 2021.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.ev import Told, tell_by_text
from ldr2hdr.data.datasets.headers import Setting
from ldr2hdr.data.datasets.record import HdrReference, Problem, Transfer
from ldr2hdr.data.datasets.scan import Candidate
from ldr2hdr.data.scenes.places import Split

_EXPONENT: Final = 2.24
_MAX_CODE: Final = 65535.0
_EXPOSURES: Final = ("short", "medium", "long")
_PARTS: Final = ("_short.png", "_medium.png", "_long.png", "_gt.png", "_exposures.npy", "_alignratio.npy")


class Ntire2021(AbstractFileDataset):
    """Scenes of both tracks; without ``gt``, as in the published val and test sets, a scene has LDR only."""

    name: ClassVar[str] = "ntire2021"
    layout: ClassVar[tuple[str, ...]] = ("**/*_medium.png",)

    def _find(self) -> Iterator[Candidate | Problem]:
        scenes: dict[str, dict[str, Path]] = {}
        for part in _PARTS:
            for path in sorted(self.folder.rglob(f"[!.]*{part}")):
                name = path.relative_to(self.folder).as_posix().removesuffix(part)
                scenes.setdefault(name, {})[part] = path
        for name, parts in sorted(scenes.items()):
            yield self._make_scene(name, parts)

    def _make_scene(self, name: str, parts: dict[str, Path]) -> Candidate | Problem:
        of_track_2 = ("_short.png", "_long.png", "_exposures.npy")
        of_hdr = ("_gt.png", "_alignratio.npy")
        expected = ["_medium.png", *(of_track_2 if any(part in parts for part in of_track_2) else ())]
        expected += of_hdr if any(part in parts for part in of_hdr) else ()
        missing = [part for part in expected if part not in parts]
        if missing:
            return Problem("orphan", next(iter(parts.values())), f"there is no {name}{missing[0]}")
        ldrs = [parts[f"_{word}.png"] for word in _EXPOSURES if f"_{word}.png" in parts]
        try:
            listed = _tell(parts["_exposures.npy"], ldrs) if len(ldrs) == 3 else None
            hdr = _refer(parts["_gt.png"], parts["_alignratio.npy"]) if "_gt.png" in parts else None
        except ValueError as error:
            damaged = parts["_exposures.npy" if "_exposures" in str(error) else "_alignratio.npy"]
            return Problem("damaged", damaged, str(error))
        return Candidate(name, name, tuple(ldrs), hdr, listed=listed, split=_split_of(name))


def _tell(path: Path, ldrs: list[Path]) -> Told:
    told = tell_by_text(path, ldrs)
    medium = told.settings[ldrs[1]].ev
    return Told("file", {ldr: Setting(setting.ev - medium) for ldr, setting in told.settings.items()})


def _refer(path: Path, ratio_path: Path) -> HdrReference:
    try:
        ratio = float(np.load(ratio_path, allow_pickle=False).reshape(-1)[0])
    except (ValueError, EOFError, IndexError) as error:
        raise ValueError(f"expected one number, cannot read it: {ratio_path}") from error
    if not 0 < ratio < np.inf:
        raise ValueError(f"expected a positive ratio, got {ratio}: {ratio_path}")
    return HdrReference(path, transfer=Transfer(_EXPONENT, ratio / _MAX_CODE))


def _split_of(name: str) -> Split | None:
    folder = name.lower().split("/")[0] if "/" in name else ""
    published: dict[str, Split] = {"train": "train", "val": "val", "test": "test"}
    return next((split for word, split in published.items() if folder.startswith(word)), None)
