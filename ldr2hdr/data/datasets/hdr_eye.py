"""HDR-Eye as SingleHDR repacked it: 46 pairs of 512 x 512, a test set.

Layout: ``00000/input.jpg``, ``00000/gt.hdr``.

References:
    Nemoto et al., "Visual attention in LDR and HDR images", VPQM 2015; Liu et al., CVPR 2020.
"""

from collections.abc import Iterator
from typing import ClassVar

from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.pair_folders import find_pair_folders
from ldr2hdr.data.datasets.record import Problem
from ldr2hdr.data.datasets.scan import Candidate


class HdrEye(AbstractFileDataset):
    """Set of pairs that are all test pairs."""

    name: ClassVar[str] = "hdr_eye"
    layout: ClassVar[tuple[str, ...]] = ("[0-9]*/gt.*",)

    def _find(self) -> Iterator[Candidate | Problem]:
        yield from find_pair_folders(self.folder)
