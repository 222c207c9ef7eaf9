"""Tasks as pure functions of ``(seed, split, index)``."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from ldr2hdr.data.cameras.camera import Camera, CameraFamily
from ldr2hdr.data.cameras.ranges import Ranges
from ldr2hdr.data.scenes.places import Split
from ldr2hdr.data.scenes.sources import AbstractSceneSource
from ldr2hdr.data.tasks.draws import draw_until_labelled, task_generator
from ldr2hdr.data.tasks.labels import AbstractLabelSource, TruthLabels
from ldr2hdr.radiometry import expose
from ldr2hdr.tasks import Shots, Task


class Exposed(NamedTuple):
    """Pictures before a camera develops them.

    Attributes:
        exposure: Sensor exposure ``(N, 3, H, W)``.
        places: The place that each one shows.
        evs: Exposure of each relative to the others, in stops, where they show one scene; else 0.
    """

    exposure: Float[Tensor, "n 3 h w"]
    places: tuple[str, ...]
    evs: Float[Tensor, " n"]


class AbstractTasks(Dataset[Task], ABC):
    """An endless data set of tasks: the same index is the same task, in any process.

    Attributes:
        is_one_scene: Whether the support shows one scene, whose exposures can be merged.
        has_own_cameras: Whether the pictures were photographed, so that no camera family is asked for.

    Args:
        source: Where radiance comes from.
        cameras: Camera families by name; task ``i`` is shot by a camera of family ``i mod len(cameras)``.
        split: Which places are shown.
        ranges: Whether cameras are drawn from the parameter ranges of training or from outside them.
        seed: Seed of the whole data set.
        shots: Support pictures K per task.
        queries: Query pictures Q per task.
        crop_px: Side of the square pictures.
        camera_device: Where cameras meter and shoot, and where the tasks are; their draws are those of the CPU, so the
            pictures are the same up to the device's rounding. Anything but ``cpu`` wants ``data.num_workers=0``.
        label_source: Where the support's labels come from. It is never shown the query, whose labels are the truth.

    Raises:
        ValueError: If a count is not positive, no place belongs to the split, a scene is smaller than the crop, the
            device is not there, or labels would be merged from pictures of several scenes.
    """

    is_one_scene: ClassVar[bool]
    has_own_cameras: ClassVar[bool] = False

    def __init__(
        self,
        source: AbstractSceneSource,
        cameras: Mapping[str, CameraFamily],
        *,
        split: Split,
        ranges: Ranges,
        seed: int,
        shots: int,
        queries: int,
        crop_px: int,
        camera_device: str = "cpu",
        label_source: AbstractLabelSource | None = None,
    ) -> None:
        if min(shots, queries, crop_px) < 1:
            raise ValueError(
                "task.shots, task.queries and task.crop_px must be positive, "
                f"got shots={shots}, queries={queries}, crop_px={crop_px}"
            )
        source.check_crop(crop_px)
        for key, value, known in (("split", split, get_args(Split)), ("ranges", ranges, get_args(Ranges))):
            if value not in known:
                raise ValueError(f"{key} must be one of {', '.join(known)}, got {value!r}")
        if not cameras:
            raise ValueError("camera must name at least one camera family, got none")
        self.label_source = TruthLabels() if label_source is None else label_source
        if self.label_source.needs_one_scene and not self.is_one_scene:
            raise ValueError(
                f"{type(self.label_source).__name__} needs exposures of one scene, task=camera shows several; "
                "use task=scene or task=profile, or labels=truth"
            )
        self.source = source
        self.cameras = dict(cameras)
        self.split: Split = split
        self.ranges: Ranges = ranges
        self.seed = seed
        self.shots = shots
        self.queries = queries
        self.crop_px = crop_px
        self.camera_device = _find_device(camera_device)
        self.places = source.places(split)
        if not self.places:
            raise ValueError(
                f"the {split} split of {type(source).__name__} shows no place: a small folder may leave a split empty; "
                "add scenes, or change fractions or seed of the dataset"
            )

    def __getitem__(self, index: int) -> Task:
        """Make task ``index``: draw a camera, look at the scene or scenes, shoot, label.

        A support that the label source refuses is drawn anew, so that the task stays a function of the index.

        Raises:
            RefusedSupport: If it refuses every one of several draws.
            ValueError: If cameras are to shoot on another device than the CPU in a loader process.
        """
        if self.camera_device.type != "cpu" and get_worker_info() is not None:
            raise ValueError(
                f"task.camera_device={self.camera_device} cannot be used by loader processes; set data.num_workers=0"
            )
        return draw_until_labelled(self._draw, index)

    def _draw(self, index: int, attempt: int) -> Task:
        generator = task_generator(self.seed, self.split, self.ranges, index, attempt)
        family_name = list(self.cameras)[index % len(self.cameras)]
        camera = self.cameras[family_name].sample(generator, ranges=self.ranges)
        exposure, places, evs = self._exposures(camera, generator)
        ldr = camera.shoot(exposure, generator)
        truth = self._truth(camera, exposure)
        shown, taught = ldr[: self.shots], truth[: self.shots]
        return Task(
            support=Shots(shown, self.label_source.label(shown, evs[: self.shots], truth=taught)),
            query=Shots(ldr[self.shots :], truth[self.shots :]),
            support_places=places[: self.shots],
            query_places=places[self.shots :],
            camera=camera.name,
        )

    def _truth(self, camera: Camera, exposure: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """What is to be recovered."""
        return exposure

    @abstractmethod
    def _exposures(self, camera: Camera, generator: torch.Generator) -> Exposed:
        """Expose the K + Q pictures, support first."""

    def _choose_places(self, count: int, generator: torch.Generator) -> tuple[str, ...]:
        """Draw places; no two pictures of a task share one unless there are fewer places than pictures."""
        order = torch.cat(
            [torch.randperm(len(self.places), generator=generator) for _ in range(-(-count // len(self.places)))]
        )
        return tuple(self.places[i] for i in order[:count])


class CameraTasks(AbstractTasks):
    """``task=camera``: different scenes seen by ONE camera, each auto-exposed by it."""

    is_one_scene = False

    def _exposures(self, camera: Camera, generator: torch.Generator) -> Exposed:
        places = self._choose_places(self.shots + self.queries, generator)
        views = [self.source.sample(place, crop_px=self.crop_px, generator=generator) for place in places]
        exposure = camera.expose(torch.stack(views).to(self.camera_device), generator)
        return Exposed(exposure, places, torch.zeros(len(places), device=exposure.device))


class SceneTasks(AbstractTasks):
    """``task=scene``: exposures of ONE scene, as in the founding proposal.

    Args:
        evs: The bracket in stops around the camera's own exposure; support and query are disjoint parts of it.

    Raises:
        ValueError: If the bracket has too few exposures for the shots and queries.
    """

    is_one_scene = True

    def __init__(
        self,
        source: AbstractSceneSource,
        cameras: Mapping[str, CameraFamily],
        *,
        split: Split,
        ranges: Ranges,
        seed: int,
        shots: int,
        queries: int,
        crop_px: int,
        camera_device: str = "cpu",
        label_source: AbstractLabelSource | None = None,
        evs: Sequence[float] = (-4.0, -2.0, 0.0, 2.0),
    ) -> None:
        super().__init__(
            source,
            cameras,
            split=split,
            ranges=ranges,
            seed=seed,
            shots=shots,
            queries=queries,
            crop_px=crop_px,
            camera_device=camera_device,
            label_source=label_source,
        )
        if shots >= len(evs) or shots + queries > len(evs):
            raise ValueError(
                "shots must be below the number of exposures and shots + queries at most that number, got "
                f"shots={shots}, queries={queries} for {len(evs)} exposures; lower task.shots or task.queries, "
                "or add exposures to task.evs"
            )
        self.evs = tuple(float(ev) for ev in evs)

    def _exposures(self, camera: Camera, generator: torch.Generator) -> Exposed:
        (place,) = self._choose_places(1, generator)
        view = self.source.sample(place, crop_px=self.crop_px, generator=generator)
        metered = camera.expose(view[None].to(self.camera_device), generator)
        count = self.shots + self.queries
        order = torch.randperm(len(self.evs), generator=generator)[:count]
        evs = torch.tensor(self.evs)[order].to(self.camera_device)
        return Exposed(expose(metered.expand(count, -1, -1, -1), evs), (place,) * count, evs)


def _find_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"task.camera_device={name} is not there: {reason}") from error
    return device
