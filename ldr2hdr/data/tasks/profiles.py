"""Tasks of a camera profile: what a person with a camera asks for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.cameras.camera import Camera
from ldr2hdr.data.tasks.sampling import AbstractRenderedTasks, Exposed
from ldr2hdr.radiometry import expose


@dataclass(eq=False, repr=False, kw_only=True)
class ProfileTasks(AbstractRenderedTasks):
    """``task=profile``: a bracket of ONE scene teaches, photographs of other scenes by the same camera are asked.

    What is to be recovered is the light in the camera's own colours (`Camera.light`): it is all that the merge of a
    bracket, from which people make profiles, says.

    Attributes:
        evs: The bracket in stops around the camera's own exposure; the support is the ``shots`` nearest to it.

    Raises:
        ValueError: If the bracket has fewer exposures than shots, or the same one twice, or the split a single place.
    """

    is_one_scene = True
    evs: Sequence[float] = (-2.0, 0.0, 2.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shots > len(self.evs):
            raise ValueError(
                f"task.shots must be at most the number of exposures, got {self.shots} for {len(self.evs)}; lower it, "
                "or add exposures to task.evs"
            )
        if len(set(self.evs)) < len(self.evs) or not all(math.isfinite(ev) for ev in self.evs):
            raise ValueError(f"task.evs must be finite stops, each once, got {list(self.evs)}")
        if len(self.places) < 2:
            raise ValueError(
                f"task=profile asks for other places than it teaches, the {self.split} split has one place only"
            )
        self.evs = tuple(sorted(sorted(map(float, self.evs), key=abs)[: self.shots]))

    def _exposures(self, camera: Camera, generator: torch.Generator) -> Exposed:
        taught, *others = self._choose_places(len(self.places), generator)
        asked = [others[number % len(others)] for number in range(self.queries)]
        views = [self.source.sample(place, crop_px=self.crop_px, generator=generator) for place in (taught, *asked)]
        metered = camera.expose(torch.stack(views).to(self.device), generator)
        evs = torch.tensor(self.evs).to(metered.device)
        bracket = expose(metered[:1].expand(self.shots, -1, -1, -1), evs)
        places = (*[taught] * self.shots, *asked)
        evs = torch.cat([evs, evs.new_zeros(self.queries)])
        return Exposed(torch.cat([bracket, metered[1:]]), places, evs)

    def _truth(
        self, camera: Camera, exposure: Float[Tensor, "n 3 h w"], lit: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, "n 3 h w"]:
        return camera.light(lit)
