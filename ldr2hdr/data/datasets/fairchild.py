"""Fairchild's HDR Photographic Survey: 106 scenes, linear, calibrated to absolute luminance.

Layout: ``<Scene>.exr``, anywhere below the root; scenes with colorimetry have a twin ``<Scene>CC.exr``.

References:
    Fairchild, "The HDR Photographic Survey", Color and Imaging Conference 2007.
"""

from pathlib import Path
from typing import ClassVar

from ldr2hdr.data.datasets.hdr_files import AbstractHdrFiles


class Fairchild(AbstractHdrFiles):
    """The pictures without their twins."""

    name: ClassVar[str] = "fairchild"
    layout: ClassVar[tuple[str, ...]] = ("**/*.exr",)

    def _counts(self, path: Path) -> bool:
        return path.suffix.lower() == ".exr" and super()._counts(path)
