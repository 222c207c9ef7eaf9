"""The recipe: all numbers of a training, how views are weighted, the rate of each step, and the loss."""

import argparse
import math
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, Final, TypeVar

import numpy as np
import torch
from curves import Belief
from jaxtyping import Bool, Float
from torch import Tensor

from ldr2hdr.backbones.highlights.backbone import Highlights
from ldr2hdr.backbones.highlights.distribution import Excess
from ldr2hdr.backbones.highlights.network import Pair

BELIEFS: Final[Mapping[Belief, float]] = {"fitted": 0.45, "charts": 0.2, "dorf": 0.1, "prior": 0.15, "true": 0.1}
"""How often a response stage believes what."""
# Relative frequency of views by what `views.RECORD` says of them, as knots and values: with these, fully clipped
# pixels, share and middle are distributed about as on thirty real brackets, and what just clips is left out
_WEIGHTS: Final = {
    "excess": ([0, 0.1, 0.25], [0.05, 0.3, 1]),
    "full": ([0, 0.1, 0.4], [0.5, 0.75, 1]),
    "share": ([0.003, 0.02, 0.15, 0.3, 0.5], [0.7, 1, 1, 0.6, 0.3]),
    "middle": ([-8.5, -6, -4.5, -2.5, -1.5, -0.8, -0.5], [0.6, 1, 1, 0.85, 0.55, 0.3, 0.2]),
}
# A picture counts by the root of its number of clipped samples, up to this; with fewer than the second not at all
_MOST_SAMPLES: Final = 6000
_LEAST_SAMPLES: Final = 20
# Mean of the soft mask over samples from level 250 on, about: so that the loss is in nats per sample
_MEAN_MASK: Final = 0.8
_LAWS: Final = ("two-sided", "symmetric", "fixed")


def option(default: Any, about: str, choices: tuple[str, ...] | None = None) -> Any:
    """Declare a number of a recipe, which is an option of the command line."""
    return field(default=default, metadata={"help": about, "choices": choices})


@dataclass(frozen=True)
class Recipe:
    """Numbers of a training; each is an option of `train.py`."""

    steps: int = option(800, "of the optimiser")
    batch: int = option(12, "views of a step")
    lr: float = option(2e-3, "highest learning rate")
    seed: int = option(1, "of the network, the views and the cameras")
    work_px: int = option(128, "longer side of what the network looks at")
    widths: str = option("16,32,48,64,96", "features of each scale; fewer scales see less around a pixel")
    law: str = option("two-sided", "scales above and below, one for both, or a fixed one", _LAWS)
    censoring: str = option("on", "truth is a lower bound where the panorama clips, or taken as it is", ("on", "off"))
    sampling: str = option("matched", "views as on real brackets, or as rendered", ("matched", "plain"))
    level: float = option(1.0, "share that is drawn anew of a view's mean stops over white where all channels clip")
    level_stops: float = option(1.25, "mean of what is drawn")
    level_deviation: float = option(0.7, "its standard deviation, in stops")
    stretch: float = option(0.12, "most by which the level is multiplied beyond that")
    mixed: float = option(0.6, "share of pictures that were scaled down, so that levels mix at edges")
    label_noise_stops: float = option(0.1, "deviation of a channel's truth, one number a picture")
    max_glare: float = option(1.0, "views of more glare are left out")
    places: float = option(1.0, "share of the training places")

    def learning_rate(self, step: int) -> float:
        """Return the rate of a step: it rises for 100 steps, and falls by a half cosine from 30 % of the steps on."""
        done = step / self.steps
        fall = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (done - 0.3) / 0.7)) if done >= 0.3 else 1.0
        return self.lr * min(1.0, (step + 1) / 100) * fall

    def averaging(self, step: int) -> float:
        """Return how much of the average of weights is kept at a step."""
        return min(0.998, (step + 10) / (step + 110))

    def weigh(self, records: np.ndarray) -> Float[np.ndarray, " n"]:
        """Return how often each view is drawn, relative to the others.

        Args:
            records: Of `views.RECORD`.
        """
        weights = (records["glare"] <= self.max_glare).astype(float)
        if self.sampling == "matched":
            for name, (knots, values) in _WEIGHTS.items():
                is_share = name == "share"
                known = np.log(records[name].clip(1e-4)) if is_share else records[name]
                weights *= np.interp(known, np.log(knots) if is_share else knots, values)
        return weights

    def build(self) -> Highlights:
        """Build the network as it starts."""
        torch.manual_seed(self.seed)
        backbone = Highlights(work_px=self.work_px, widths=[int(width) for width in self.widths.split(",")])
        # so that the distribution, its median and its mean all have it
        backbone.net.register_forward_hook(lambda net, seen, pair: Pair(*map(self._by_law, pair)))
        return backbone

    def loss(
        self,
        excess: Excess,
        stops: Float[Tensor, "b 3 h w"],
        is_censored: Bool[Tensor, "b 3 h w"],
        *,
        is_clipped: Bool[Tensor, "b 3 h w"],
        mask: Float[Tensor, "b 3 h w"],
    ) -> Float[Tensor, ""]:
        """Return the negative log-likelihood over clipped samples, in nats.

        Args:
            excess: Distribution of each channel.
            stops: The truth over white.
            is_censored: Where the truth is as much as that or more.
            is_clipped: What counts.
            mask: How much it counts.
        """
        picked = Excess(*(part[is_clipped] for part in excess))
        is_bound = is_censored[is_clipped] & (self.censoring == "on")
        nats = picked.negative_log_likelihood(stops[is_clipped], is_bound)
        number = is_clipped.sum(dim=(1, 2, 3))
        weights = number.clamp_max(_MOST_SAMPLES).sqrt() * (number > _LEAST_SAMPLES)
        per_sample = weights / number.clamp_min(1) / weights.sum().clamp_min(1)
        spread = (per_sample[:, None, None, None] * mask)[is_clipped]
        return (nats * spread).sum() / _MEAN_MASK

    def _by_law(self, excess: Excess) -> Excess:
        if self.law == "symmetric":
            return Excess(excess.location, excess.up, excess.up)
        if self.law == "fixed":
            return Excess(excess.location, torch.ones_like(excess.up), torch.ones_like(excess.up))
        return excess

    def settings(self) -> dict[str, Any]:
        """Return all numbers by name."""
        return asdict(self)


RecipeT = TypeVar("RecipeT", bound=Recipe)


def add_options(parser: argparse.ArgumentParser, kind: type[Recipe] = Recipe) -> None:
    """Add each number of a recipe as an option."""
    for number in fields(kind):
        name = "--" + number.name.replace("_", "-")
        choices, about = number.metadata["choices"], f"{number.metadata['help']} (default: {number.default})"
        parser.add_argument(name, type=_type_of(number), default=number.default, choices=choices, help=about)


def read_options(options: argparse.Namespace, kind: type[RecipeT] = Recipe) -> RecipeT:
    """Return the recipe of a command line."""
    return kind(**{number.name: getattr(options, number.name) for number in fields(kind)})


def _type_of(number: Field[Any]) -> type:
    return type(number.default)
