"""Pairs of exposures and HDR that `fit_record` takes: virtual cameras, whose scale and EVs are known.

Each camera looks at a view of a panorama at nine exposures, a stop apart. Pairs are the HDR with one, three or all of
them; with the HDR of another panorama; and with the EV of the first, the middle or the last exposure wrong by a stop.
"""

import argparse
import math
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from ldr2hdr.build import CONF_DIR
from ldr2hdr.data.cameras.camera import CameraFamily
from ldr2hdr.data.datasets.fitting import FittedPixels, fit_pixels
from ldr2hdr.data.datasets.record import Frame, HdrReference, SceneRecord
from ldr2hdr.data.scenes.places import SPLITS
from ldr2hdr.data.scenes.sources import PanoramaSource
from ldr2hdr.radiometry import expose

EVS = tuple(float(ev) for ev in range(-4, 5))
BRACKETS = {"1": ((2,), (4,), (6,)), "3": ((2, 4, 6),), "9": (tuple(range(9)),)}
MAX_RESIDUAL_STOPS, MIN_RISE = 0.75, 0.25


class View(NamedTuple):
    """Nine exposures, the sensor exposure at ``ev=0``, and the light of another place."""

    ldr: torch.Tensor
    true: torch.Tensor
    other: torch.Tensor


class Outcome(NamedTuple):
    """Of one pair.

    Attributes:
        by_worst: Whether it is taken if its worst exposure decides and ranks are not looked at.
        is_taken: Whether `fit_record` takes it.
        num_left: Exposures that it takes.
        has_wrong_ev: Whether one of them is that of the wrong EV.
        error_stops: Of the scale, if it is taken and the HDR is right.
        agreement: Rank correlation of levels and light.
        residual_stops: Deviation of the worst exposure.
    """

    by_worst: bool
    is_taken: bool
    num_left: int
    has_wrong_ev: bool
    error_stops: float | None
    agreement: float
    residual_stops: float


def shoot(family: CameraFamily, source: PanoramaSource, number: int, seed: int) -> View:
    """The view of one camera."""
    generator = torch.Generator().manual_seed(seed + number)
    camera = family.sample(generator, ranges="seen")
    places = sorted(place for split in SPLITS for place in source.places(split))
    here, other = places[number % len(places)], places[(number * 7 + 3) % len(places)]
    if here == other:
        other = places[(number * 7 + 4) % len(places)]
    here, other = (source.sample(place, crop_px=128, generator=generator) for place in (here, other))
    metered = camera.expose(here[None], generator)
    ldr = camera.shoot(expose(metered.expand(len(EVS), -1, -1, -1), torch.tensor(EVS)), generator)
    return View(ldr, metered[0], other)


def fit(ldr: torch.Tensor, linear: torch.Tensor, evs: list[float]) -> FittedPixels:
    """Of a record that names its exposures by number."""
    exposures = tuple(Frame(Path(str(number)), ev, "name") for number, ev in enumerate(evs))
    record = SceneRecord("pair", "pair", "camera", exposures, HdrReference(Path("hdr")), None)
    return fit_pixels(record, ldr, linear, max_residual_stops=MAX_RESIDUAL_STOPS)


def judge(view: View, numbers: tuple[int, ...], *, light: torch.Tensor, wrong: int | None = None) -> Outcome:
    """Fit the light, in another unit, to some exposures."""
    evs = [EVS[number] - (position == wrong) for position, number in enumerate(numbers)]
    unit = 2.0**-7.3
    fitted, _, found = fit(view.ldr[list(numbers)], light * unit, evs)
    left = () if fitted.record is None else tuple(exposure.path.name for exposure in fitted.record.exposures)
    is_scaled = bool(left) and light is view.true
    return Outcome(
        by_worst=found.residual_stops <= MAX_RESIDUAL_STOPS and found.rise >= MIN_RISE,
        is_taken=bool(left),
        num_left=len(left),
        has_wrong_ev=wrong is not None and str(wrong) in left,
        error_stops=abs(math.log2(found.scale * unit)) if is_scaled else None,
        agreement=found.agreement,
        residual_stops=found.residual_stops,
    )


def cases(view: View, brackets: tuple[tuple[int, ...], ...]) -> Iterator[tuple[str, Outcome]]:
    """Every case of one view."""
    for numbers in brackets:
        yield "right", judge(view, numbers, light=view.true)
        yield "HDR of another scene", judge(view, numbers, light=view.other)
        for wrong in sorted({0, len(numbers) // 2, len(numbers) - 1}) if len(numbers) > 1 else ():
            yield "one EV wrong by a stop", judge(view, numbers, light=view.true, wrong=wrong)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=2000)
    parser.add_argument("--num", type=int, default=32, help="cameras of each family")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        confs = {name: compose("train", [f"camera={name}"]).camera[name] for name in ("pointwise", "phone")}
    outcomes: dict[tuple[str, str, str], list[Outcome]] = {}
    with tempfile.TemporaryDirectory() as folder:
        source = PanoramaSource(cache_dir=folder)
        for name, conf in confs.items():
            for number in range(args.num):
                view = shoot(instantiate(conf), source, number, args.seed)
                for count, brackets in BRACKETS.items():
                    for case, outcome in cases(view, brackets):
                        outcomes.setdefault((name, count, case), []).append(outcome)
    columns = (
        *("camera", "exposures", "pair", "pairs", "taken by the worst", "taken", "exposures left", "of wrong EV"),
        *("error of the scale", "residual", "rank correlation"),
    )
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for key, found in outcomes.items():
        left = [outcome.num_left for outcome in found if outcome.is_taken]
        row = (
            *(len(found), sum(outcome.by_worst for outcome in found), len(left)),
            f"{statistics.fmean(left):.2f}" if left else "",
            sum(outcome.has_wrong_ev for outcome in found) if "EV" in key[2] else "",
            in_words([outcome.error_stops for outcome in found if outcome.error_stops is not None]),
            in_words([outcome.residual_stops for outcome in found]),
            in_words([outcome.agreement for outcome in found], least=0.0, largest=1.0),
        )
        print(f"| {' | '.join(map(str, (*key, *row)))} |")


def in_words(values: list[float], *, least: float = 0.05, largest: float = 0.95) -> str:
    """Median, and two quantiles in brackets; nothing for none."""
    if not values:
        return ""
    ordered = sorted(values)
    low, middle, high = (ordered[round(share * (len(values) - 1))] for share in (least, 0.5, largest))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
