"""Funt's HDR set: 105 scenes by a Nikon D700, linear *camera* RGB, so colours are not Rec. 709.

Layout: ``S0350.hdr``, anywhere below the root (released in ``Nikon_D700/HDR_MATLAB_3x3``), with twins ``S0350CC.hdr``
that show a colour checker.

References:
    Funt and Shi, "The effect of exposure on MaxRGB color constancy", SPIE 7527, 2010.
"""

import re
from pathlib import Path
from typing import ClassVar

from ldr2hdr.data.datasets.hdr_files import AbstractHdrFiles


class Funt(AbstractHdrFiles):
    """The pictures without their twins."""

    name: ClassVar[str] = "funt"
    layout: ClassVar[tuple[str, ...]] = ("**/S[0-9]*.hdr",)

    def _counts(self, path: Path) -> bool:
        return re.fullmatch(r"S\d+", path.stem) is not None
