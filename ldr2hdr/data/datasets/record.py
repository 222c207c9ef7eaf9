"""The record that every set of pictures is read into, and what a reader finds wrong with a set."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from ldr2hdr.data.datasets.fingerprint import content_hash
from ldr2hdr.data.scenes.places import Split

EvSource = Literal["file", "exif", "name", "pixels"]

ProblemKind = Literal[
    "orphan",  # a file whose partner is missing
    "damaged",  # a file that cannot be read
    "duplicate",  # the same content, or the same role, twice
    "size_mismatch",  # pictures of one scene that differ in size
    "ev_missing",  # no EV is stated: it was estimated from the pixels, or an explicit list is incomplete
    "ev_mismatch",  # two sources of EV contradict each other
    "misfit",  # no camera response leads from the HDR to the LDR
]


@dataclass(frozen=True)
class Frame:
    """One LDR picture of a scene.

    Attributes:
        path: PNG, JPEG or TIFF.
        ev: Exposure in stops, +1 brighter, relative to the other exposures of the scene.
        ev_source: Where ``ev`` is from. The one exposure of a scene that states nothing has ``ev=0`` by definition,
            and the source ``pixels``: the scale of the HDR is fitted to it.
        exposure_time_s: Where it is stated.
    """

    path: Path
    ev: float
    ev_source: EvSource
    exposure_time_s: float | None = None


@dataclass(frozen=True)
class Transfer:
    """Transfer from stored numbers to linear ones: ``linear = (stored / divisor) ** exponent``.

    Attributes:
        exponent: 1 if the numbers are linear.
        divisor: In units of the decoded numbers, which are in [0, 1] for PNG.
    """

    exponent: float = 1.0
    divisor: float = 1.0


@dataclass(frozen=True)
class HdrReference:
    """The HDR picture of a scene.

    Attributes:
        path: Radiance, OpenEXR or 16-bit PNG.
        scale: Sensor exposure at ``ev=0`` is ``scale`` times the linear number.
        transfer: How to get linear numbers.
    """

    path: Path
    scale: float = 1.0
    transfer: Transfer = Transfer()


@dataclass(frozen=True)
class SceneRecord:
    """One scene of a set.

    Attributes:
        id: Unique in the set.
        place: What the scene shows; records of one place are in one split.
        camera: Name of the camera, or of the set where the files do not say.
        exposures: Dark to bright; may be empty.
        hdr: None if the set has LDR only.
        split: As published with the set; None if nothing was.
    """

    id: str
    place: str
    camera: str
    exposures: tuple[Frame, ...]
    hdr: HdrReference | None
    split: Split | None

    @cached_property
    def content_hash(self) -> str:
        """32 hex digits of what is in the files, whatever their names; read at the first use."""
        return content_hash(self.paths)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return all files, exposures first."""
        hdr = () if self.hdr is None else (self.hdr.path,)
        return (*(exposure.path for exposure in self.exposures), *hdr)


@dataclass(frozen=True)
class Problem:
    """Something wrong with a set, which was left out or is to be looked at.

    Attributes:
        kind: What sort.
        path: The file or folder.
        message: What was expected and what was found.
    """

    kind: ProblemKind
    path: Path
    message: str

    @classmethod
    def of_damage(cls, paths: Sequence[Path], error: Exception) -> "Problem":
        """Return the problem of the file that an error names, the first one if it names none."""
        return cls("damaged", next((path for path in paths if str(path) in str(error)), paths[0]), str(error))
