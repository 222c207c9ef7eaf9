"""Train HDRCNN's architecture on the same photographs, for as much time as the network of highlights had.

    python experiments/highlights/rival.py --views .cache/highlights --dorf dorf201.npz --out outputs/rival

Same loop, same views and cameras, same response stage before it (its linearisation is taken for the paper's square),
same averaging of weights; its own loss, in full where the truth is at white or beyond, and its own blend. It sees
whole photographs at the working size, and has neither distribution nor censoring.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from curves import read_curves
from jaxtyping import Float
from recipe import Recipe, add_options, option, read_options
from safetensors import safe_open
from safetensors.torch import load_file
from shooting import Example
from torch import Tensor, nn
from train import train

from ldr2hdr.backbones.hdrcnn import HDRCNN, highlight_mask
from ldr2hdr.backbones.highlights.distribution import Answer, Excess
from ldr2hdr.build import choose_device
from ldr2hdr.inference.profiles.brackets import shrink
from ldr2hdr.losses.published import HDRCNNLoss

_LOSS: Final = HDRCNNLoss(highlights_only=True)
_DARKEST: Final = 2.0**-14
_LEAST_SHARE: Final = 1e-4


class Rival(nn.Module):
    """HDRCNN behind a response stage, with what judging asks of a backbone.

    Args:
        width: Features in units of the paper's.
        work_px: Longer side of the photographs that it was trained on.
        applied_px: Longer side at which it looks; what it adds is brought to full size, to enter by the photograph's
            own highlights. 0: it looks at full size.
    """

    def __init__(self, *, width: float, work_px: int, applied_px: int) -> None:
        super().__init__()
        self.net = HDRCNN(width=width, norm="pixel", linearisation="response")
        self.work_px = work_px
        self.applied_px = applied_px

    def forward(self, ldr: Float[Tensor, "b 3 h w"], linear: Float[Tensor, "b 3 h w"]) -> Answer:
        """Reconstruct exposure; as a distribution, one of scale 1 about it."""
        exposure = self._reconstruct(ldr, linear)
        stops = torch.log2(exposure.clamp_min(_DARKEST))
        one = torch.ones_like(stops)
        return Answer.of(exposure, clipped=one, find_excess=lambda: Excess(stops, one, one))

    def reporting(self, statistic: object) -> "Rival":
        """Return this network: it knows one number."""
        del statistic
        return self

    def _reconstruct(self, ldr: Tensor, linear: Tensor) -> Float[Tensor, "b 3 h w"]:
        if not self.applied_px:
            return self.net(ldr, linear)
        small, small_linear = (shrink(picture, self.applied_px) for picture in (ldr, linear))
        share = highlight_mask(small)
        gain = torch.log2(self.net(small, small_linear).clamp_min(_DARKEST) / small_linear.clamp_min(_DARKEST))
        grown = F.interpolate(torch.cat([share * gain, share], dim=1), ldr.shape[-2:], mode="bilinear")
        stops = grown[:, :3] / grown[:, 3:].clamp_min(_LEAST_SHARE)
        return torch.lerp(linear, linear * torch.exp2(stops), highlight_mask(ldr))


@dataclass(frozen=True)
class RivalRecipe(Recipe):
    """Numbers of its training; those that are the other network's alone do nothing."""

    lr: float = option(1e-3, "highest learning rate")
    width: float = option(0.25, "features in units of the paper's")
    applied_px: int = option(0, "longer side at which it looks when it is judged; 0: full size")

    def build(self) -> Rival:  # type: ignore[override]
        """Build the network as it starts."""
        torch.manual_seed(self.seed)
        return Rival(width=self.width, work_px=self.work_px, applied_px=self.applied_px)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train by the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=Path, default=Path(".cache/highlights"), help="what render.py wrote")
    parser.add_argument("--dorf", type=Path, required=True, help="database of response curves, .npz")
    parser.add_argument("--out", type=Path, default=Path("outputs/rival"))
    parser.add_argument("--validate-every", type=int, default=250, help="steps")
    parser.add_argument("--device", help="such as cuda; without it the GPU if there is one, else the CPU")
    add_options(parser, RivalRecipe)
    options = parser.parse_args(arguments)
    train(
        read_options(options, RivalRecipe),
        views=options.views,
        curves=read_curves(options.dorf),
        out=options.out,
        validate_every=options.validate_every,
        device=choose_device(options.device),
        loss_of=loss_of,
    )


def loss_of(backbone: Rival, batch: Example, recipe: RivalRecipe) -> Float[Tensor, ""]:
    """Return the paper's loss of the photographs at the working size."""
    small = (shrink(picture, recipe.work_px) for picture in (batch.ldr, batch.linear, torch.exp2(batch.stops)))
    ldr, linear, exposure = small
    return _LOSS(backbone.net(ldr, linear), exposure)


def read_rival(path: Path, *, applied_px: int | None = None) -> Rival:
    """Read what was trained, to look at another size if asked to."""
    with safe_open(path, framework="pt") as file:
        recipe = RivalRecipe(**json.loads(file.metadata()["recipe"]))
    backbone = recipe.build()
    backbone.net.load_state_dict(load_file(path))
    backbone.applied_px = recipe.applied_px if applied_px is None else applied_px
    return backbone.eval()


if __name__ == "__main__":
    main()
