"""Parameters and order that all data sets of tasks share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, get_args

from torch.utils.data import Dataset

from ldr2hdr.data.cameras.camera import CameraFamily
from ldr2hdr.data.cameras.ranges import Ranges
from ldr2hdr.data.scenes.places import Split
from ldr2hdr.data.scenes.sources import AbstractSceneSource
from ldr2hdr.data.tasks.draws import draw_until_labelled
from ldr2hdr.data.tasks.labels import AbstractLabelSource, TruthLabels
from ldr2hdr.tasks import Task


@dataclass(eq=False, repr=False)
class AbstractTasks(Dataset[Task], ABC):
    """Endless data set of tasks: the same index is the same task, in any process.

    Attributes:
        is_one_scene: Whether the support shows one scene, whose exposures can be merged.
        has_own_cameras: Whether the pictures were photographed, so that no camera family is asked for.
        source: Where radiance, or photographs, come from.
        cameras: Camera families by name.
        split: Which places are shown.
        ranges: Whether cameras are drawn from the parameter ranges of training or from outside them.
        seed: Seed of the whole data set.
        shots: Support pictures K per task.
        queries: Query pictures Q per task.
        crop_px: Side of the square pictures.
        label_source: Where the support's labels come from. It is never shown the query, whose labels are the truth.
        places: Names of the places that are shown, sorted.

    Raises:
        ValueError: If a count is not positive, no place belongs to the split, a scene is smaller than the crop, or
            labels would be merged from pictures of several scenes.
    """

    is_one_scene: ClassVar[bool]
    has_own_cameras: ClassVar[bool] = False
    source: AbstractSceneSource
    cameras: Mapping[str, CameraFamily]
    _: KW_ONLY
    split: Split
    ranges: Ranges
    seed: int
    shots: int
    queries: int
    crop_px: int
    label_source: AbstractLabelSource = field(default_factory=TruthLabels)
    places: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if min(self.shots, self.queries, self.crop_px) < 1:
            raise ValueError(
                "task.shots, task.queries and task.crop_px must be positive, "
                f"got shots={self.shots}, queries={self.queries}, crop_px={self.crop_px}"
            )
        for key, value, known in (("split", self.split, get_args(Split)), ("ranges", self.ranges, get_args(Ranges))):
            if value not in known:
                raise ValueError(f"{key} must be one of {', '.join(known)}, got {value!r}")
        if self.label_source.needs_one_scene and not self.is_one_scene:
            raise ValueError(
                f"{type(self.label_source).__name__} needs exposures of one scene, task=camera shows several; "
                "use task=scene or task=profile, or labels=truth"
            )
        self.source.check_crop(self.crop_px)
        self.places = self._find_places()
        if not self.places:
            key = f"dataset.{self.source.name}"
            raise ValueError(
                f"the {self.split} split of {type(self.source).__name__} shows no place: a small folder may leave a "
                f"split empty; add scenes, or change {key}.fractions, the shares of train, val and test, or {key}.seed"
            )

    def __getitem__(self, index: int) -> Task:
        """Make task ``index``; a support that the label source refuses is drawn anew.

        Raises:
            RefusedSupport: If it refuses every one of several draws.
            ImageError: If a file cannot be read any more.
        """
        return draw_until_labelled(self._draw, index)

    @abstractmethod
    def _draw(self, index: int, attempt: int) -> Task:
        """Make a task from the draws of one attempt."""

    def _find_places(self) -> tuple[str, ...]:
        return self.source.places(self.split)

    def _has_enough(self, num_exposures: int) -> bool:
        """Whether that many exposures of a scene leave a query beside the support."""
        return self.shots < num_exposures and self.shots + self.queries <= num_exposures

    def _require_enough(self, num_exposures: int, *, where: str = "", key: str = "") -> None:
        if not self._has_enough(num_exposures):
            raise ValueError(
                "shots must be below the number of exposures and shots + queries at most that number, got "
                f"shots={self.shots}, queries={self.queries} for {num_exposures} exposures{where}; lower task.shots or "
                f"task.queries, or add exposures{key}"
            )
