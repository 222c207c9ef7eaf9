"""HDR-Synth of SingleHDR: 503 HDR pictures from six sources, to be shot by virtual cameras.

Layout: ``<source>/...``, such as ``funt/hdr/S0350.hdr``, ``hdr_book/hdr/CraterLake1.hdr``, ``fairchild/LabBooth.exr``.
The LDR pictures of the training set were made on the fly, and are not part of it.

References:
    Liu et al., "Single-image HDR reconstruction by learning to reverse the camera pipeline", CVPR 2020.
"""

from pathlib import Path
from typing import ClassVar, Final

from ldr2hdr.data.datasets.hdr_files import AbstractHdrFiles

_WITH_TWINS: Final = ("fairchild", "funt")


class HdrSynth(AbstractHdrFiles):
    """Set of all pictures but the colour-checker twins of the two sources that have them."""

    name: ClassVar[str] = "hdr_synth"
    layout: ClassVar[tuple[str, ...]] = ("**/*.hdr", "**/*.exr")

    def _counts(self, path: Path) -> bool:
        source = path.relative_to(self.folder).parts[0]
        return source not in _WITH_TWINS or super()._counts(path)
