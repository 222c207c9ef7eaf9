"""Geometry of the response charts on the doctor's page."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from ldr2hdr.calibration.curve import MIN_LEVEL
from ldr2hdr.data.cameras.crf import SrgbCurve
from ldr2hdr.data.doctor.diagnosis import Response


class Axes(NamedTuple):
    """Level over sensor exposure in stops below white; sizes in CSS pixels."""

    width: int = 300
    height: int = 190
    left: int = 30
    right: int = 8
    top: int = 8
    bottom: int = 30
    stops: Sequence[int] = range(-10, 1, 2)
    levels: Sequence[int] = (0, 64, 128, 192, 255)

    def x(self, stops: float | int) -> float:
        """Return how far right a light is."""
        return self.left + (self.width - self.left - self.right) * (1 - min(stops, 0.0) / self.stops[0])

    def y(self, level: float | int) -> float:
        """Return how far down a level is."""
        return self.top + (self.height - self.top - self.bottom) * (1 - level / 255)

    def curves(self, response: Response) -> Iterator[tuple[str, list[float]]]:
        """Yield the kind and the stops by level of each line: sRGB, then the channels."""
        srgb = SrgbCurve().inverse(torch.arange(256).view(1, 1, 256).expand(3, 1, 256) / 255.0)[0, 0].log2()
        yield "srgb", srgb.tolist()
        for channel, curve in enumerate(response.curve.tolist()):
            yield f"c{channel}", curve

    def path(self, curve: Sequence[float]) -> str:
        """Return the path through every fifth level that is bright enough."""
        levels = [level for level in range(MIN_LEVEL, 256, 5) if curve[level] >= self.stops[0]]
        return "M" + ("L".join(f"{self.x(curve[level]):.1f} {self.y(level):.1f}" for level in levels) or "0 0")
