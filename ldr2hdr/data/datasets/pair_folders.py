"""The layout of SingleHDR's test sets: one numbered folder per pair, ``00000/input.jpg`` and ``00000/gt.hdr``."""

from collections.abc import Iterator
from pathlib import Path

from ldr2hdr.data.datasets.files import HDR_SUFFIXES, LDR_SUFFIXES, by_stem, list_files, list_folders
from ldr2hdr.data.datasets.record import HdrReference, Problem
from ldr2hdr.data.datasets.scan import Candidate


def find_pair_folders(root: Path, *, prefix: str = "") -> Iterator[Candidate | Problem]:
    """Pairs in numbered folders, all of the published test set.

    Args:
        root: Folder of the folders.
        prefix: Of the ids.
    """
    for folder in list_folders(root):
        if not folder.name.isdecimal():
            continue
        ldrs = by_stem([path for path in list_files(folder, LDR_SUFFIXES) if path.stem == "input"])
        hdrs = by_stem([path for path in list_files(folder, HDR_SUFFIXES) if path.stem == "gt"])
        yield from (*ldrs.problems, *hdrs.problems)
        ldr, hdr = ldrs.files.get("input"), hdrs.files.get("gt")
        if ldr is not None and hdr is not None:
            identity = prefix + folder.name
            yield Candidate(identity, identity, (ldr,), HdrReference(hdr), split="test")
        elif ldr is not None or hdr is not None:
            missing = "input" if ldr is None else "gt"
            yield Problem("orphan", ldr or hdr or folder, f"there is no {missing} picture beside it")
