"""Real bracketed photographs: stacks of frames with their times, and the light that a whole stack shows."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

MAX_SIDE_PX = 768
# The photograph to convert is the frame in which about so much clips.
_CLIPPED_SHARE = 0.12
_CLIPPED = 250
_HIDDEN_SHARE = 0.1
_PHONES = ("X00ID", "G8232", "SM-A528B", "XQ-CT72", "iPhone", "Pixel", "SM-G", "Redmi", "HUAWEI", "ONEPLUS")


@dataclass(frozen=True)
class Stack:
    """Frames of one scene by one camera.

    Attributes:
        name: Of its folder.
        camera: Make and model.
        owner: Camera and photographer: the same model in other hands may have another picture style.
        frames: 8-bit RGB.
        times_s: Exposure time of each.
        query: Number of the frame to convert.
        truth: Linear light by the merge of all frames, 1 at the white of the query.
    """

    name: str
    camera: str
    owner: str
    frames: list[np.ndarray]
    times_s: np.ndarray
    query: int
    truth: np.ndarray

    @property
    def is_phone(self) -> bool:
        """Whether a phone took it."""
        return any(word in self.camera for word in _PHONES)

    @property
    def is_shown(self) -> bool:
        """Whether the darkest frame shows nine tenths of what the query clips; else the truth there is a bound."""
        clipped, darkest = self.frames[self.query] >= _CLIPPED, self.frames[int(np.argmin(self.times_s))]
        return bool(clipped.any()) and float((darkest >= _CLIPPED)[clipped].mean()) < _HIDDEN_SHARE

    def nearest(self, evs: Sequence[float], *, without_query: bool = False) -> list[int]:
        """Return the frames whose exposure is nearest to so many stops from the query's."""
        stops = np.log2(self.times_s / self.times_s[self.query])
        left = [number for number in range(len(stops)) if not (without_query and number == self.query)]
        return sorted({min(left, key=lambda number: abs(stops[number] - ev)) for ev in evs})


class Case(NamedTuple):
    """A photograph to convert, and the frames that may teach."""

    stack: Stack
    teacher: Stack | None
    support: list[int]

    @property
    def label(self) -> str:
        """Names of the teaching and the judged stack."""
        return self.stack.name if self.teacher in (None, self.stack) else f"{self.teacher.name} -> {self.stack.name}"

    def teaching(self) -> tuple[list[np.ndarray], np.ndarray]:
        """Return the frames of the support with their times."""
        if self.teacher is None:
            return [], np.empty(0)
        return [self.teacher.frames[number] for number in self.support], self.teacher.times_s[self.support]


def read_stacks(root: Path, *, grades: str, only: str = "", max_side_px: int = MAX_SIDE_PX) -> list[Stack]:
    """Read the stacks that ``index.csv`` lists with one of the grades and three frames or more, averaged down."""
    with (root / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["grade"] in grades and int(row["frames"]) >= 3]
    return [
        _read_stack(root / row["stack"], row["camera"], row["source"], max_side_px)
        for row in rows
        if only.lower() in (row["stack"] + row["camera"]).lower()
    ]


def single_cases(stacks: Sequence[Stack]) -> Iterator[Case]:
    """Yield each stack's photograph alone."""
    yield from (Case(stack, None, []) for stack in stacks)


def same_cases(stacks: Sequence[Stack]) -> Iterator[Case]:
    """Yield each photograph with two other frames of its scene, nearest to -2 and +2 stops."""
    yield from (Case(stack, stack, stack.nearest((-2, 2), without_query=True)) for stack in stacks)


def cross_cases(stacks: Sequence[Stack], *, max_pairs: int | None) -> Iterator[Case]:
    """Yield photographs with three frames of another scene by the same person's camera.

    Args:
        stacks: All of them.
        max_pairs: Most ordered pairs of one camera, evenly chosen; None for all.
    """
    owners: dict[str, list[Stack]] = {}
    for stack in stacks:
        owners.setdefault(stack.owner, []).append(stack)
    for own in owners.values():
        pairs = [(teacher, stack) for teacher in own for stack in own if teacher is not stack]
        step = 1 if max_pairs is None else max(1, len(pairs) // max_pairs)
        for teacher, stack in pairs[::step][:max_pairs]:
            yield Case(stack, teacher, teacher.nearest((-2, 0, 2)))


def recover_response(frames: Sequence[np.ndarray], times_s: np.ndarray) -> np.ndarray:
    """Return log exposure ``(256, 3)`` by OpenCV's Debevec-Malik fit, made monotone, 0 at level 250."""
    calibrate = cv2.createCalibrateDebevec(samples=150, lambda_=30.0)
    curve = calibrate.process(list(frames), np.asarray(times_s, np.float32))[:, 0]
    log_curve = np.maximum.accumulate(np.log(np.maximum(curve, 1e-9)), axis=0)
    return log_curve - log_curve[_CLIPPED]


def apply_curve(log_curve: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Look up each channel's levels in its column ``(256, 3)``."""
    return np.stack([log_curve[picture[..., channel], channel] for channel in range(3)], axis=-1)


def _read_stack(folder: Path, camera: str, source: str, max_side_px: int) -> Stack:
    with (folder / "exposures.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    frames = [_read_frame(folder / row["file"], max_side_px) for row in rows]
    if len({frame.shape for frame in frames}) > 1:
        raise ValueError(f"expected frames of one size in {folder}, got {sorted({frame.shape for frame in frames})}")
    times_s = np.array([float(row["exposure_time_s"]) for row in rows])
    clipped = [float((frame >= _CLIPPED).any(axis=-1).mean()) for frame in frames]
    query = int(np.argmin(np.abs(np.array(clipped) - _CLIPPED_SHARE)))
    truth = _merge(frames, times_s) * times_s[query]
    return Stack(folder.name, camera, f"{camera} of {source}", frames, times_s, query, truth)


def _read_frame(path: Path, max_side_px: int) -> np.ndarray:
    picture = cv2.imread(str(path))[..., ::-1]
    scale = min(1.0, max_side_px / max(picture.shape[:2]))
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture)


def _merge(frames: Sequence[np.ndarray], times_s: np.ndarray) -> np.ndarray:
    """Merge a stack, with weights that are zero at both ends; where all frames clip, by the end that does."""
    log_curve = recover_response(frames, times_s)
    total, weight = np.zeros(frames[0].shape), np.zeros(frames[0].shape)
    for frame, time_s in zip(frames, times_s, strict=True):
        share = np.clip(np.minimum(frame - 5.0, 250.0 - frame), 0, None) / 122.5
        total += share * (apply_curve(log_curve, frame) - np.log(time_s))
        weight += share
    short, long = int(np.argmin(times_s)), int(np.argmax(times_s))
    ends = [apply_curve(log_curve, frames[number]) - np.log(times_s[number]) for number in (short, long)]
    end = np.where(frames[short] > 128, *ends)
    return np.exp(np.where(weight > 1e-3, total / np.maximum(weight, 1e-3), end))
