"""Measure how far what clips stands above white, by what lights a place: the panoramas' answer, not exposure times'.

Usage: python experiments/highlights/scene_light.py [--views FOLDER]
"""

import argparse
import csv
from pathlib import Path
from typing import Final

import numpy as np
import torch
from views import SIZES, Views

from ldr2hdr.metrics.bootstrap import Interval, bootstrap_mean

_LIGHT: Final = Path(__file__).with_name("scene_light.csv")
# Where about as much clips as in a photograph that somebody exposed
_SHARES: Final = (0.04, 0.25)


def main() -> None:
    """Print the mean excess by what lights a place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=Path, default=Path(".cache/highlights"), help="what render.py wrote")
    options = parser.parse_args()
    print("| light | places | mean stops over white of what is above it |\n|---|---|---|")
    for light, excess in excess_by_light(options.views).items():
        found = interval_of(excess)
        print(f"| {light} | {len(excess)} | {found.mean:.2f} [{found.low:.2f}, {found.high:.2f}] |")


def excess_by_light(views: Path) -> dict[str, list[float]]:
    """Return the means of training and validation places by what lights them."""
    shown = [Views(views, split, shape) for split in ("train", "val") for shape in SIZES]
    records = np.concatenate([one.records[one.done] for one in shown])
    low, high = _SHARES
    records = records[(records["share"] > low) & (records["share"] < high)]
    by_light: dict[str, list[float]] = {}
    with _LIGHT.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            own = records["excess"][records["place"] == row["place"]]
            if len(own):
                by_light.setdefault(row["light"], []).append(float(own.mean()))
    return by_light


def interval_of(excess: list[float]) -> Interval:
    """Return the mean over places with its 95 % bootstrap interval."""
    places = [str(number) for number in range(len(excess))]
    return bootstrap_mean(torch.tensor(excess).double(), places, generator=torch.Generator().manual_seed(0))


if __name__ == "__main__":
    main()
