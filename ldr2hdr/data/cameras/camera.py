"""The virtual camera: scene radiance to sensor exposure to an 8-bit picture.

A *family* is what the configuration describes: the distributions of all parameters. A *camera* is one draw of
them. Only noise and metering differ from picture to picture, and they draw from the generator that is passed
in; `Drift` changes the light in front of a camera. A CPU generator gives the same pictures for tensors on any device,
up to the device's rounding.

A camera's *white* is the sensor exposure 1, at which its green channel clips in the picture's centre. Optics, colour
gains, mixing and vignetting come after the sensor exposure that is to be recovered, so the other channels, the corners
and the surroundings of a lamp clip elsewhere: to know where is part of knowing the camera.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr import radiometry
from ldr2hdr.data.cameras.metering import AbstractMetering
from ldr2hdr.data.cameras.ranges import Ranges
from ldr2hdr.data.cameras.stages import AbstractStage, AbstractStageFamily, ClipFamily


@dataclass(frozen=True)
class Camera:
    """One virtual camera with fixed parameters.

    Attributes:
        name: Unique name, the same for the same draw.
        exposure: Auto-exposure.
        stages: What happens between sensor exposure and picture, in order.
    """

    name: str
    exposure: AbstractMetering
    stages: tuple[AbstractStage, ...]

    def expose(self, radiance: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Meter each picture and scale its radiance.

        Args:
            radiance: Linear Rec. 709 radiance, relative units, non-negative.
            generator: Source of the exposure's variation from picture to picture.

        Returns:
            Sensor exposure, not clipped, 1 at the camera's white.

        Raises:
            ValueError: If any radiance is negative.
        """
        return radiometry.expose(radiance, self.exposure(radiance, generator))

    def light(self, exposure: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The light that reaches the sensor, in the camera's own colours and through its lens, unclipped.

        This is what merging ever more of its photographs converges to: no bracket by itself can show a camera's white
        balance from the light's, nor what its corners lose and its lens spreads.

        Args:
            exposure: Sensor exposure, not clipped, 1 at the camera's white.
        """
        picture, unused = exposure, torch.Generator()
        for stage in self.stages:
            if stage.is_of_light:
                picture = stage(picture, unused)
        return picture.clamp_min(0)

    def shoot(self, exposure: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Turn sensor exposure into display-referred pictures in [0, 1].

        Args:
            exposure: Sensor exposure, not clipped, 1 at the camera's white.
            generator: Source of the noise.
        """
        picture = exposure
        for stage in self.stages:
            picture = stage(picture, generator)
        return picture


class CameraFamily:
    """Distribution of cameras.

    Attributes:
        name: Name of the family, the beginning of its cameras' names.
        exposure: Auto-exposure, the same for all cameras of the family.
        stages: Distributions of the stages by name, in order.

    Raises:
        ValueError: If no clipping stage is enabled, without which pictures leave [0, 1].
    """

    def __init__(self, name: str, exposure: AbstractMetering, *, stages: Mapping[str, AbstractStageFamily]) -> None:
        self.name = name
        self.exposure = exposure
        self.stages = {key: stage for key, stage in stages.items() if stage.enabled}
        if not any(isinstance(stage, ClipFamily) for stage in self.stages.values()):
            raise ValueError(f"camera {name!r} needs a clipping stage in its stages, got {list(self.stages)}")

    def sample(self, generator: torch.Generator, *, ranges: Ranges) -> Camera:
        """Draw a camera.

        Args:
            generator: Source of all parameters.
            ranges: ``seen`` for the ranges of training, ``unseen`` for those outside them.
        """
        serial = torch.randint(2**32, (), generator=generator, device=generator.device).item()
        return Camera(
            name=f"{self.name}-{ranges}-{int(serial):08x}",
            exposure=self.exposure,
            stages=tuple(stage.sample(generator, ranges=ranges) for stage in self.stages.values()),
        )
