"""Tasks shot by virtual cameras, as pure functions of ``(seed, split, index)``."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import get_worker_info

from ldr2hdr.data.cameras.camera import Camera
from ldr2hdr.data.cameras.drift import Drift
from ldr2hdr.data.tasks.base import AbstractTasks
from ldr2hdr.data.tasks.draws import task_generator
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


@dataclass(eq=False, repr=False, kw_only=True)
class AbstractRenderedTasks(AbstractTasks):
    """Tasks that virtual cameras shoot; task ``i`` by a camera of family ``i mod len(cameras)``.

    Attributes:
        camera_device: Where cameras meter and shoot, and where the tasks are; their draws are those of the CPU, so the
            pictures are the same up to the device's rounding. Anything but ``cpu`` wants ``data.num_workers=0``.
        drift: Glare and white balance that differ from picture to picture; None for none. The support of one scene is a
            bracket of one moment, each query has its own. Whatever they are, all else of a task is drawn the same.

    Raises:
        ValueError: If there is no camera family, or the device is not there.
    """

    camera_device: str = "cpu"
    drift: Drift | None = None
    device: torch.device = field(init=False)

    def __post_init__(self) -> None:
        if not self.cameras:
            raise ValueError("camera must name at least one camera family, got none")
        super().__post_init__()
        self.device = _find_device(self.camera_device)

    def _draw(self, index: int, attempt: int) -> Task:
        """Draw a camera, look at the scene or scenes, shoot, label.

        Raises:
            ValueError: If cameras are to shoot on another device than the CPU in a loader process.
        """
        if self.device.type != "cpu" and get_worker_info() is not None:
            raise ValueError(
                f"task.camera_device={self.camera_device} cannot be used by loader processes; set data.num_workers=0"
            )
        generator = task_generator(self.seed, self.split, self.ranges, index, attempt)
        family_name = list(self.cameras)[index % len(self.cameras)]
        camera = self.cameras[family_name].sample(generator, ranges=self.ranges)
        exposure, places, evs = self._exposures(camera, generator)
        lit = exposure
        if self.drift is not None:
            # of a generator of its own, so that no other draw depends on it
            drifting = task_generator(self.seed, self.split, f"{self.ranges}/drift", index, attempt)
            lit = self.drift(exposure, drifting, num_alike=self.shots if self.is_one_scene else 1)
        ldr = camera.shoot(lit, generator)
        truth = self._truth(camera, exposure, lit)
        shown, taught = ldr[: self.shots], truth[: self.shots]
        return Task(
            support=Shots(shown, self.label_source.label(shown, evs[: self.shots], truth=taught)),
            query=Shots(ldr[self.shots :], truth[self.shots :]),
            support_places=places[: self.shots],
            query_places=places[self.shots :],
            camera=camera.name,
        )

    def _truth(
        self, camera: Camera, exposure: Float[Tensor, "n 3 h w"], lit: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, "n 3 h w"]:
        """Return the exposure that is to be recovered, of those before and after the drift."""
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


class CameraTasks(AbstractRenderedTasks):
    """``task=camera``: different scenes seen by ONE camera, each auto-exposed by it."""

    is_one_scene = False

    def _exposures(self, camera: Camera, generator: torch.Generator) -> Exposed:
        places = self._choose_places(self.shots + self.queries, generator)
        views = [self.source.sample(place, crop_px=self.crop_px, generator=generator) for place in places]
        exposure = camera.expose(torch.stack(views).to(self.device), generator)
        return Exposed(exposure, places, torch.zeros(len(places), device=exposure.device))


@dataclass(eq=False, repr=False, kw_only=True)
class SceneTasks(AbstractRenderedTasks):
    """``task=scene``: exposures of ONE scene, as in the founding proposal.

    Attributes:
        evs: The bracket in stops around the camera's own exposure; support and query are disjoint parts of it.

    Raises:
        ValueError: If the bracket has too few exposures for the shots and queries.
    """

    is_one_scene = True
    evs: Sequence[float] = (-4.0, -2.0, 0.0, 2.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_enough(len(self.evs), key=" to task.evs")
        self.evs = tuple(float(ev) for ev in self.evs)

    def _exposures(self, camera: Camera, generator: torch.Generator) -> Exposed:
        (place,) = self._choose_places(1, generator)
        view = self.source.sample(place, crop_px=self.crop_px, generator=generator)
        metered = camera.expose(view[None].to(self.device), generator)
        count = self.shots + self.queries
        order = torch.randperm(len(self.evs), generator=generator)[:count]
        evs = torch.tensor(self.evs)[order].to(self.device)
        return Exposed(expose(metered.expand(count, -1, -1, -1), evs), (place,) * count, evs)


def _find_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"task.camera_device={name} is not there: {reason}") from error
    return device
