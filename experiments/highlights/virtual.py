"""Score whole pictures of held-out places: PU21-PSNR on clipped pixels, beside baselines and other networks.

    python experiments/highlights/virtual.py --dorf dorf201.npz --write PHOTOGRAPHS
    python experiments/highlights/virtual.py --dorf dorf201.npz --rival outputs/rival/weights.safetensors \
        --others "old model=EXPOSURES"

The first writes the photographs, (3, height, width) in [0, 1], for programs that are not of this version; each answers
by a folder of files of the same names: exposure on any scale, as every system is brought to the truth's scale by the
median over well-exposed pixels. What the panorama clips is left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from curves import Belief, Curves, read_curves
from evaluate import held_out_parser, read_network
from jaxtyping import Float
from judging import LEAST_SAMPLES, Score, as_cell, choose, compare, measure_errors, photograph, tabulate
from rival import read_rival
from shooting import Example, find_offset
from torch import Tensor

from ldr2hdr.baselines.inverse_gamma import InverseGamma
from ldr2hdr.calibration.curve import levels_of
from ldr2hdr.data.scenes.places import Split
from ldr2hdr.io.files import write_json
from ldr2hdr.metrics.bootstrap import is_undecided
from ldr2hdr.metrics.functional import Display, pu21_psnr
from ldr2hdr.metrics.regions import find_regions
from ldr2hdr.radiometry import CLIPPED_LEVEL

System = Callable[[str, Example], Float[Tensor, "3 h w"]]
"""From a photograph's name, and the photograph, to exposure."""
_DARKEST: Final = 2.0**-14
_MEASURES: Final = ("PU21-PSNR", "error", "bias", "energy")


class Named(NamedTuple):
    """A photograph that files are named by."""

    name: str
    place: str
    example: Example


def main(arguments: Sequence[str] | None = None) -> None:
    """Write photographs, or score systems on them, print tables, and write all scores if asked to."""
    parser = held_out_parser(__doc__, beliefs=("charts", "fitted"))
    parser.add_argument("--write", type=Path, help="folder for the photographs; nothing is scored")
    parser.add_argument("--others", nargs="+", default=[], metavar="NAME=FOLDER", help="exposures, .npy")
    parser.add_argument("--rival", type=Path, help="weights by rival.py")
    parser.add_argument(
        "--applied-px", type=int, nargs="+", default=[0], help="longer sides at which it looks; 0: full"
    )
    options = parser.parse_args(arguments)
    curves = read_curves(options.dorf)
    taken = {
        belief: take(options.views, options.number, split=options.split, curves=curves, belief=belief)
        for belief in options.beliefs
    }
    if options.write:
        write(taken, options.write)
        return
    systems = baselines() | networks(options.weights, options.rival, options.applied_px) | answers(options.others)
    scores = [score(photo, belief, systems) for belief, photos in taken.items() for photo in photos]
    for belief in taken:
        own = [each for each in scores if each.belief == belief]
        places = len({each.place for each in own})
        print(f"\n**{belief}**, {len(own)} photographs, {places} places\n\n{as_markdown(own, belief, list(systems))}")
    if options.json:
        write_json(options.json, [each._asdict() for each in scores])


def take(folder: Path, number: int, *, split: Split, curves: Curves, belief: Belief) -> Iterator[Named]:
    """Photograph views of held-out places by cameras of held-out curves, one after the other."""
    for count, (views, index) in enumerate(choose(folder, number, split=split)):
        place, example = photograph(views, index, curves=curves, kind=belief)
        yield Named(f"{split}-{belief}-{count:04}.npy", place, example)


def write(taken: Mapping[Belief, Iterator[Named]], folder: Path) -> None:
    """Write photographs to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for photos in taken.values():
        for photo in photos:
            np.save(folder / photo.name, photo.example.ldr.numpy())


def baselines() -> dict[str, System]:
    """Return systems that know nothing of highlights."""
    gamma = InverseGamma(2.2).adapt(None)
    return {
        "the picture itself": lambda name, shot: shot.ldr,
        "inverse gamma of 2.2": lambda name, shot: gamma(shot.ldr[None])[0],
        "white": lambda name, shot: shot.linear,
        "twice white": lambda name, shot: torch.where(
            levels_of(shot.ldr) >= CLIPPED_LEVEL, 2 * shot.linear, shot.linear
        ),
    }


def networks(weights: Path, rival: Path | None, applied_px: Sequence[int]) -> dict[str, System]:
    """Return the rival at each size asked for, then the network of highlights with two of its statistics.

    Where its answer ships moved towards a constant, the median as the network gives it is another.
    """
    backbone, _ = read_network(weights)
    found: dict[str, torch.nn.Module] = {}
    for px in applied_px if rival else ():
        found[f"HDRCNN at {px} px" if px else "HDRCNN"] = read_rival(rival, applied_px=px)
    plain = backbone.reporting("median")
    plain.gain, plain.offset_stops = (1.0, 1.0), (0.0, 0.0)
    found |= {"median, not moved": plain, "median": backbone.reporting("median"), "mean": backbone.reporting("mean")}
    return {name: _system(network) for name, network in found.items()}


def answers(named: Sequence[str]) -> dict[str, System]:
    """Return systems whose exposures are in folders, from ``NAME=FOLDER``."""
    pairs = (text.rpartition("=") for text in named)
    return {name: _read(Path(folder)) for name, _, folder in pairs}


@torch.no_grad()
def score(photo: Named, belief: Belief, systems: Mapping[str, System]) -> Score:
    """Measure each system on the clipped part of a photograph.

    PU21-PSNR is of all three channels where one clips, the rest, as `judging.score` has it, of the channels that do.
    """
    shot = photo.example
    truth = torch.exp2(shot.stops)
    levels = levels_of(shot.ldr)
    is_seen = find_regions(shot.ldr, truth).clipped & ~shot.is_censored.any(dim=0)
    is_known = (levels >= CLIPPED_LEVEL) & ~shot.is_censored
    values = {}
    for name, system in systems.items():
        stops = torch.log2(system(photo.name, shot).clamp_min(_DARKEST))
        stops = stops - find_offset(stops, shot.stops, levels)
        shown = Display().present(torch.exp2(stops), truth)
        decibels = pu21_psnr(*shown, is_seen).item() if int(is_seen.sum()) >= LEAST_SAMPLES else float("nan")
        found = {"PU21-PSNR": decibels, **measure_errors(stops[is_known], shot.stops[is_known])}
        values |= {f"{name} {measure}": value for measure, value in found.items()}
    return Score(photo.place, belief, values)


def as_markdown(scores: Sequence[Score], belief: Belief, systems: Sequence[str]) -> str:
    """Write a row for each system, with what the median of highlights is better by; ``?``: undecided."""
    lines = [
        "| | PU21-PSNR, dB | error, stops | bias | energy | median: PU21-PSNR | error |",
        "|---|---|---|---|---|---|---|",
    ]
    table = tabulate(scores, belief)
    for name in systems:
        cells = [as_cell(table[f"{name} {measure}"]) for measure in _MEASURES]
        cells += ["" if name == "median" else _gain(scores, name, measure) for measure in _MEASURES[:2]]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _gain(scores: Sequence[Score], name: str, measure: str) -> str:
    """Return by how much the median's measure is above a system's, photograph by photograph."""
    difference = compare((scores, f"median {measure}"), (scores, f"{name} {measure}"))
    doubt = " ?" if is_undecided(difference) else ""
    return f"{difference.mean:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]{doubt}"


def _system(network: torch.nn.Module) -> System:
    return lambda name, shot: network(shot.ldr[None], shot.linear[None])[0]


def _read(folder: Path) -> System:
    return lambda name, shot: torch.from_numpy(np.load(folder / name)).to(shot.ldr)


if __name__ == "__main__":
    main()
