"""Sets that hold HDR pictures only: scenes for virtual cameras."""

from collections.abc import Iterator
from pathlib import Path

from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.files import HDR_SUFFIXES, by_key, list_files
from ldr2hdr.data.datasets.record import HdrReference, Problem
from ldr2hdr.data.datasets.scan import Candidate


class AbstractHdrFiles(AbstractFileDataset):
    """Every HDR file below the root that the set counts is a scene, named by its path."""

    def _find(self) -> Iterator[Candidate | Problem]:
        files = list_files(self.folder, HDR_SUFFIXES, is_recursive=True)
        names = [
            (path.relative_to(self.folder).with_suffix("").as_posix(), path) for path in files if self._counts(path)
        ]
        keyed = by_key(names)
        yield from keyed.problems
        for name, path in keyed.files.items():
            yield Candidate(name, name, hdr=HdrReference(path))

    def _counts(self, path: Path) -> bool:
        """Whether a file is a scene of the set, and not the second picture of one."""
        return not is_colour_checker_twin(path)


def is_colour_checker_twin(path: Path) -> bool:
    """Whether a picture shows, by its name, a scene once more with a colour checker in it.

    Example:
        >>> [is_colour_checker_twin(Path(name)) for name in ("S0350.hdr", "S0350CC.hdr", "LabBoothCC.exr")]
        [False, True, True]
    """
    return path.stem.endswith("CC")
