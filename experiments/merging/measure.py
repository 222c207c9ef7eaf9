"""Merges judged by photographs that they did not see: every other exposure is merged, the others are foretold.

    python experiments/merging/measure.py /path/to/brackets --out outputs/merging.csv

A stack is a folder of frames with ``exposures.csv``; ``index.csv`` lists the stacks with a grade, A for the stillest.
Of each, the frames are ordered by exposure, the first, third, fifth and so on are merged, and the others are foretold:
the light times the exposure time, by the response of the method that merged it, is a level. The error is the difference
from the level that the frame shows, in stops by one curve for all methods, OpenCV's Debevec and Malik fit to the whole
stack, on pixels whose channels are all within levels 13 to 239. No scale is left free.

Where a method moves frames, the frame that is foretold is moved by it too. All is deterministic.
"""

import argparse
import csv
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from ldr2hdr.data.datasets.ev import tell_by_csv
from ldr2hdr.inference.merging.frames import read_frames
from ldr2hdr.inference.merging.merging import MergeOptions, Scene, align, choose_reference

_JUDGED = (13, 239)
_MIN_PX = 500
_MOST_STOPS = 4.0


class Prediction(NamedTuple):
    """Merge of every other frame, as far as it foretells the others.

    Attributes:
        light: Of the scene, exposure per second.
        curve: Exposure of each level and channel, ``(256, 3)``, rising.
        frames: All frames as this method aligned them, levels.
        is_valid: Where each shows the scene.
    """

    light: np.ndarray
    curve: np.ndarray
    frames: list[np.ndarray]
    is_valid: list[np.ndarray]


Merge = Callable[[Sequence[Path], np.ndarray, list[int]], Prediction]


def ours(*, is_aligned: bool = True, is_deghosted: bool = True) -> Merge:
    """Return the merge of this package."""

    def run(paths: Sequence[Path], times_s: np.ndarray, taught: list[int]) -> Prediction:
        frames = read_frames(paths)
        evs = np.log2(times_s).tolist()
        reference = taught[choose_reference([frames[number] for number in taught])]
        if is_aligned:
            frames, _ = align(frames, evs, reference)
        scene = Scene(
            [frames[number] for number in taught],
            [evs[number] for number in taught],
            taught.index(reference),
            MergeOptions(anchor=0.0, is_deghosted=is_deghosted),
        )
        rows = slice(0, frames[0].size[0])
        levels, valid = [frame.levels(rows) for frame in frames], [frame.valid(rows) for frame in frames]
        return Prediction(scene.merge().exposure, scene.tones.light, levels, valid)

    return run


def opencv(calibrate: Callable[[], object], merge: Callable[[], object], *, is_aligned: bool) -> Merge:
    """Return a merge of OpenCV's, on frames that its median threshold bitmaps aligned or as they are."""

    def run(paths: Sequence[Path], times_s: np.ndarray, taught: list[int]) -> Prediction:
        frames = [cv2.imread(str(path))[..., ::-1].copy() for path in paths]
        if is_aligned:
            cv2.createAlignMTB(max_bits=6, exclude_range=4, cut=False).process(frames, frames)
        some, times = [frames[number] for number in taught], times_s[taught].astype(np.float32)
        response = calibrate().process(some, times)
        light = merge().process(some, times, response)
        curve = np.stack([_rising(response[:, 0, channel]) for channel in range(3)], axis=1)
        return Prediction(
            light, curve, [frame.astype(np.float32) for frame in frames], [np.ones(light.shape[:2], bool)] * len(frames)
        )

    return run


METHODS: dict[str, Merge] = {
    "ldr2hdr": ours(),
    "ldr2hdr --no-deghost": ours(is_deghosted=False),
    "ldr2hdr --no-align": ours(is_aligned=False),
    "ldr2hdr --no-align --no-deghost": ours(is_aligned=False, is_deghosted=False),
    "Debevec": opencv(cv2.createCalibrateDebevec, cv2.createMergeDebevec, is_aligned=False),
    "AlignMTB, Debevec": opencv(cv2.createCalibrateDebevec, cv2.createMergeDebevec, is_aligned=True),
    "Robertson": opencv(cv2.createCalibrateRobertson, cv2.createMergeRobertson, is_aligned=False),
    "AlignMTB, Robertson": opencv(cv2.createCalibrateRobertson, cv2.createMergeRobertson, is_aligned=True),
}


def _rising(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values) & (values > 0)
    filled = np.interp(np.arange(256), np.flatnonzero(known), values[known]) if known.any() else np.linspace(0, 1, 256)
    return np.maximum.accumulate(filled)


def judge(prediction: Prediction, times_s: np.ndarray, taught: list[int], ruler: np.ndarray) -> list[np.ndarray]:
    """Return the errors in stops on each frame that was left out."""
    errors = []
    for number in sorted(set(range(len(times_s))) - set(taught)):
        shown, valid = prediction.frames[number], prediction.is_valid[number]
        exposure = prediction.light * times_s[number]
        foretold = np.stack(
            [np.interp(exposure[..., c], prediction.curve[:, c], np.arange(256.0)) for c in range(3)], axis=-1
        )
        inside = valid & ((shown >= _JUDGED[0]) & (shown <= _JUDGED[1])).all(axis=-1)
        if inside.sum() >= _MIN_PX:
            stops = [np.interp(levels[inside], np.arange(256.0), ruler) for levels in (foretold, shown)]
            error = np.clip(stops[0] - stops[1], -_MOST_STOPS, _MOST_STOPS).ravel()
            errors.append(error[np.isfinite(error)])  # OpenCV's Robertson gives NaN where a level is rare
    return errors


def _ruler(paths: Sequence[Path], times_s: np.ndarray) -> np.ndarray:
    """Stops by level, of green, by a fit to all frames."""
    frames = [cv2.imread(str(path))[..., ::-1].copy() for path in paths]
    curve = cv2.createCalibrateDebevec(samples=150, lambda_=30.0).process(frames, times_s.astype(np.float32))
    return np.log2(_rising(curve[:, 0, 1]))


def main() -> None:
    """Measure all stacks, write a row for each stack and method, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", default="", help="stacks whose name holds this")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with (args.root / "index.csv").open(newline="", encoding="utf-8") as file:
        index = [row for row in csv.DictReader(file) if args.only in row["stack"] and int(row["frames"]) >= 3]
    for row in index:
        folder = args.root / row["stack"]
        settings = tell_by_csv(folder / "exposures.csv").settings
        paths = sorted(settings, key=lambda path: settings[path].ev)
        times_s = np.array([settings[path].exposure_time_s for path in paths])
        if len({cv2.imread(str(path)).shape for path in paths}) > 1:
            continue
        taught, ruler = list(range(0, len(paths), 2)), _ruler(paths, times_s)
        for name in args.methods:
            try:
                errors = judge(METHODS[name](paths, times_s, taught), times_s, taught, ruler)
            except (cv2.error, ValueError) as error:
                sys.stderr.write(f"{row['stack']}: {name}: {error}\n")
                continue
            if errors:
                rms = float(np.mean([np.sqrt(np.mean(error**2)) for error in errors]))
                middle = float(np.mean([np.median(np.abs(error)) for error in errors]))
                rows.append(
                    {"stack": row["stack"], "grade": row["grade"], "method": name, "rms": rms, "median": middle}
                )
                sys.stdout.write(f"{row['stack'][:40]:40} {row['grade']} {name:32} {rms:.3f} {middle:.3f}\n")
                sys.stdout.flush()
    if args.out:
        with args.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["stack", "grade", "method", "rms", "median"])
            writer.writeheader()
            writer.writerows(rows)
    _print_table(rows)


def _print_table(rows: Sequence[dict]) -> None:
    sys.stdout.write("\n| method | " + " | ".join(f"{g} rms | {g} median" for g in ("A", "B", "C", "all")) + " |\n")
    for name in METHODS:
        cells = []
        for grades in ("A", "B", "C", "ABC"):
            chosen = [row for row in rows if row["method"] == name and row["grade"] in grades]
            means = [np.mean([row[key] for row in chosen]) if chosen else np.nan for key in ("rms", "median")]
            cells += [f"{mean:.3f}" for mean in means]
        sys.stdout.write(f"| {name} | " + " | ".join(cells) + " |\n")


if __name__ == "__main__":
    main()
