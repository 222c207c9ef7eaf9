"""The scenes of this study: exposed views of places, chosen for the light that a sensor would lose."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.cameras.metering import PercentileMetering
from ldr2hdr.data.scenes.sources import AbstractSceneSource
from ldr2hdr.radiometry import expose

MAX_EXPOSURE: Final = 64.0  # as in the paper: six stops above white
_METERING: Final = PercentileMetering((0.98, 0.99))  # as in the paper: 1 to 2 % of the samples clip


@dataclass(frozen=True)
class Views:
    """Sensor exposures ``(N, 3, H, W)``, at most 64, and the place that each one shows."""

    exposure: Float[Tensor, "n 3 h w"]
    places: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.places)


def seeded(*names: object) -> torch.Generator:
    """A generator from everything that names a draw, so that neighbours are unrelated."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))


def look(
    source: AbstractSceneSource, places: Sequence[str], *, crop_px: int, seed: int, per_place: int, of: int
) -> Views:
    """Look at every place ``of`` times and keep the views that would lose most light.

    Ordinary views have nothing to recover: 1 to 2 % of their samples lie barely above white. With ``of = per_place``
    they are all kept.

    Args:
        source: Where radiance comes from.
        places: Which places to look at.
        crop_px: Side of the views.
        seed: Of the views.
        per_place: Views kept of each place.
        of: Views drawn of each place.
    """
    kept = []
    for place in places:
        generator = seeded(seed, place)
        drawn = torch.stack([source.sample(place, crop_px=crop_px, generator=generator) for _ in range(of)])
        exposure = expose(drawn, _METERING(drawn, generator)).clamp_max(MAX_EXPOSURE)
        kept.append(exposure[lost_light(exposure).topk(per_place).indices.sort().values])
    return Views(torch.cat(kept), tuple(place for place in places for _ in range(per_place)))


def lost_light(exposure: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    """Mean light above the sensor's white."""
    return (exposure - 1).clamp_min(0).mean(dim=(1, 2, 3))


def draw_batch(views: Views, *, size: int, generator: torch.Generator) -> Float[Tensor, "size 3 h w"]:
    """Random views, each turned and mirrored at random."""
    picks = torch.randint(len(views), (size,), generator=generator).tolist()
    turns = torch.randint(8, (size,), generator=generator).tolist()
    return torch.stack([_turn(views.exposure[pick], turn) for pick, turn in zip(picks, turns, strict=True)])


def _turn(picture: Float[Tensor, "3 h h"], turn: int) -> Float[Tensor, "3 h h"]:
    """One of the eight symmetries of the square."""
    turned = torch.rot90(picture, turn % 4, dims=(1, 2))
    return turned.flip(2) if turn >= 4 else turned
