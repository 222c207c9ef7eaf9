"""The readers by the name of their conf, and which of them a folder looks like."""

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.bracket_folder import BracketFolder
from ldr2hdr.data.datasets.drtmo import Drtmo
from ldr2hdr.data.datasets.fairchild import Fairchild
from ldr2hdr.data.datasets.files import LDR_SUFFIXES
from ldr2hdr.data.datasets.funt import Funt
from ldr2hdr.data.datasets.hdr_eye import HdrEye
from ldr2hdr.data.datasets.hdr_folder import HdrFolder
from ldr2hdr.data.datasets.hdr_real import HdrReal
from ldr2hdr.data.datasets.hdr_synth import HdrSynth
from ldr2hdr.data.datasets.kalantari import Kalantari
from ldr2hdr.data.datasets.ldr_hdr_pair import LdrHdrPair
from ldr2hdr.data.datasets.ntire2021 import Ntire2021
from ldr2hdr.data.datasets.si_hdr import SiHdr


class _Known(NamedTuple):
    """A reader, and what its set is recognised by.

    Attributes:
        reader: The class.
        rank: Sets of lower rank, whose layout says more, are tried first.
        signs: Patterns of which one at least must match a file.
    """

    reader: type[AbstractFileDataset]
    rank: int
    signs: tuple[str, ...]


_KNOWN: Final[Mapping[str, _Known]] = {
    "ldr_hdr_pair": _Known(LdrHdrPair, 0, LdrHdrPair.layout),
    "hdr_real": _Known(HdrReal, 0, HdrReal.layout),
    "hdr_eye": _Known(HdrEye, 0, HdrEye.layout),
    "kalantari": _Known(Kalantari, 0, Kalantari.layout),
    "ntire2021": _Known(Ntire2021, 0, Ntire2021.layout),
    "si_hdr": _Known(SiHdr, 0, SiHdr.layout),
    "drtmo": _Known(Drtmo, 0, Drtmo.layout),
    "hdr_synth": _Known(HdrSynth, 0, tuple(f"{name}/**/*.hdr" for name in ("hdr_book", "stanford", "ward"))),
    "funt": _Known(Funt, 1, Funt.layout),
    # the layouts of these match almost any folder of pictures
    "bracket_folder": _Known(BracketFolder, 2, tuple(f"*/*{suffix}" for suffix in LDR_SUFFIXES)),
    "fairchild": _Known(Fairchild, 3, Fairchild.layout),
    "hdr_folder": _Known(HdrFolder, 4, ("**/*.hdr", "**/*.exr")),
}


def guess_set(root: Path) -> str:
    """Name of the set that a folder looks like.

    Raises:
        ValueError: If there is no such folder, or it looks like no set, or like several.
    """
    if not root.is_dir():
        raise ValueError(f"expected the folder of a data set, found none: {root}")
    by_rank = sorted(_KNOWN.items(), key=lambda entry: entry[1].rank)
    for _, group in groupby(by_rank, key=lambda entry: entry[1].rank):
        names = [name for name, known in group if any(next(root.glob(sign), None) for sign in known.signs)]
        if len(names) == 1:
            return names[0]
        if names:
            raise ValueError(f"the folder may be any of {', '.join(names)}: say which by --dataset: {root}")
    raise ValueError(f"the folder looks like no set: name one of {', '.join(_KNOWN)} by --dataset: {root}")


def open_set(root: Path, name: str, *, cache_dir: Path, test_root: Path | None = None) -> AbstractFileDataset:
    """Open the reader of a set, as its conf makes it by default.

    Args:
        root: Folder of the set.
        name: Of the set.
        cache_dir: Where the reader keeps what it decodes.
        test_root: Folder of the test set, which hdr_real may have beside its own.

    Raises:
        ValueError: If there is no set of this name, the folder does not hold one, or it has no test set of its own.
    """
    if name not in _KNOWN:
        raise ValueError(f"unknown data set {name!r}, expected one of {', '.join(_KNOWN)}")
    reader = _KNOWN[name].reader
    if test_root is None:
        return reader(root, cache_dir=cache_dir)
    if not issubclass(reader, HdrReal):
        raise ValueError(f"hdr_real alone may have its test set in another folder, got {test_root} for {name}")
    return reader(root, cache_dir=cache_dir, test_root=test_root)
