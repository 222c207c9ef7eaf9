"""Registration of hand-held brackets to parts of a pixel: a shift and a turn, whatever the exposures are.

Two exposures are compared by the logarithm of their light, as a typical camera has it, less its mean over the
neighbourhood, where both are between black and white. An error of the camera's curve changes that slowly and by a
factor near 1, which is fitted; an edge stays where it is.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from ldr2hdr.calibration.curve import FIRST_WHITE
from ldr2hdr.calibration.prior import hat_basis, read_curve_prior

_DARKEST: Final = 6
_BRIGHTEST: Final = FIRST_WHITE - 6
_NEIGHBOURHOOD_PX: Final = 6.0
# Size at which every shift is tried, and every turn of these
_COARSE_PX: Final = 256
_TURNS_DEG: Final = tuple(step / 2 for step in range(-5, 6))
_LARGEST_SHIFT: Final = 0.15
"""Of the longer side."""
_LEAST_OVERLAP: Final = 0.03
"""Part of the picture that must be between black and white in both, at a shift that is tried."""
_NUM_STEPS: Final = 12
_SMALL_STEP_PX: Final = 0.003
_SMALLEST_PX: Final = 0.05
# Residuals beyond so many deviations weigh nothing (Tukey)
_TUKEY: Final = 4.685
_MAD_TO_STD: Final = 1.4826
_LEAST_CORRELATION: Final = 0.35
"""Between what is compared; of unrelated pictures it is near 0, of neighbouring exposures 0.6 and more."""


class Motion(NamedTuple):
    """Rigid motion of a picture: what the reference shows at ``p``, the picture shows at ``turned(p) + shift``.

    The turn is about the middle of the picture, positive from the x axis to the y axis.

    Attributes:
        turn_rad: Angle.
        shift_px: Along x and y.
    """

    turn_rad: float = 0.0
    shift_px: tuple[float, float] = (0.0, 0.0)

    @property
    def is_none(self) -> bool:
        """Whether nothing moves."""
        return self == Motion()

    def matrix(self, size: tuple[int, int]) -> Float[np.ndarray, "2 3"]:
        """Return the matrix that maps x, y, 1 of the reference to x, y of the picture.

        Args:
            size: Height and width.
        """
        middle = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
        turn = _rotation(self.turn_rad)
        return np.column_stack([turn, middle + np.array(self.shift_px) - turn @ middle])

    def after(self, first: "Motion") -> "Motion":
        """Return the motion of ``first`` and then this one."""
        shift = _rotation(self.turn_rad) @ np.array(first.shift_px) + np.array(self.shift_px)
        return Motion(self.turn_rad + first.turn_rad, (float(shift[0]), float(shift[1])))

    def scaled(self, factor: float) -> "Motion":
        """Return the motion of the same pictures at another size."""
        return Motion(self.turn_rad, (self.shift_px[0] * factor, self.shift_px[1] * factor))


class Registration(NamedTuple):
    """Motion of each picture, and how well it explains the picture.

    Attributes:
        motions: By picture; none for the reference, and for those that nothing aligns.
        correlations: Of each picture with the neighbour that it was compared with; 1 for the reference.
    """

    motions: tuple[Motion, ...]
    correlations: tuple[float, ...]

    @property
    def is_aligned(self) -> tuple[bool, ...]:
        """Return which pictures show what the reference shows."""
        return tuple(correlation >= _LEAST_CORRELATION for correlation in self.correlations)


def register(pictures: Sequence[UInt8[np.ndarray, "h w 3"]], evs: Sequence[float], *, reference: int) -> Registration:
    """Find how each exposure moved against the reference.

    Each is compared with its neighbour in exposure on the side of the reference, and motions add up. At a small size
    every shift of up to 15 % of the longer side is tried with every turn of up to 2.5 degrees; from there, a robust
    Gauss-Newton search goes on at growing sizes, to which what moved in the scene is an outlier.

    Args:
        pictures: 8-bit, display-referred, of one size.
        evs: Exposure of each in stops.
        reference: Number of the picture that stays.
    """
    order = sorted(range(len(pictures)), key=lambda number: (evs[number], number))
    place = order.index(reference)
    motions = [Motion()] * len(pictures)
    correlations = [1.0] * len(pictures)
    for chain in (order[place:], order[place::-1]):
        for fixed, moving in itertools.pairwise(chain):
            step, correlations[moving] = find_motion(pictures[fixed], pictures[moving])
            motions[moving] = step.after(motions[fixed])
    return Registration(tuple(motions), tuple(correlations))


def find_motion(fixed: UInt8[np.ndarray, "h w 3"], moving: UInt8[np.ndarray, "h w 3"]) -> tuple[Motion, float]:
    """Return how one picture moved against another, and their correlation then.

    The motion is none where that fits as well, or nothing fits.
    """
    size = fixed.shape[:2]
    scales = [min(1.0, _COARSE_PX / max(size))]
    while scales[-1] < 1:
        scales.append(min(1.0, scales[-1] * 2))
    motion, correlation = Motion(), 0.0
    for number, scale in enumerate(scales):
        pair = _features(_resized(fixed, scale)), _features(_resized(moving, scale))
        if number == 0:
            motion = _search(*pair).scaled(1 / scale)
        scaled, correlation = _refine(*pair, motion.scaled(scale))
        motion = scaled.scaled(1 / scale)
    stays = _correlation(*pair, Motion())
    # moving a picture by next to nothing would only blur it
    moves_px = math.hypot(*motion.shift_px) + abs(motion.turn_rad) * math.hypot(*size) / 2
    if stays >= correlation or correlation < _LEAST_CORRELATION or moves_px < _SMALLEST_PX:
        return Motion(), max(stays, correlation)
    return motion, correlation


class _Features(NamedTuple):
    detail: Float[np.ndarray, "h w"]
    weight: Float[np.ndarray, "h w"]


def _features(picture: UInt8[np.ndarray, "h w 3"]) -> _Features:
    """Logarithm of light less its neighbourhood's mean, where it is known."""
    grey = cv2.transform(picture, np.full((1, 3), 1 / 3, np.float32)).reshape(picture.shape[:2])
    light = _log_light()[grey]
    between = ((picture.min(axis=2) >= _DARKEST) & (picture.max(axis=2) <= _BRIGHTEST)).astype(np.float32)
    # beside black and white, blur and the coder mix in what is not known
    weight = cv2.erode(between, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    total = cv2.GaussianBlur(weight, (0, 0), _NEIGHBOURHOOD_PX)
    mean = cv2.GaussianBlur(light * weight, (0, 0), _NEIGHBOURHOOD_PX) / np.maximum(total, 1e-3)
    return _Features((light - mean) * weight, weight)


def _log_light() -> Float[np.ndarray, " l"]:
    """Logarithm of light by level of a typical camera."""
    prior = read_curve_prior()
    return np.asarray((hat_basis(prior.knots) @ prior.mean).numpy(), np.float32)


def _resized(picture: UInt8[np.ndarray, "h w 3"], scale: float) -> UInt8[np.ndarray, "u v 3"]:
    if scale == 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _search(fixed: _Features, moving: _Features) -> Motion:
    """Best of all shifts and some turns, by the correlation of what both know; at the size given, in its pixels."""
    height, width = fixed.detail.shape
    most = math.ceil(_LARGEST_SHIFT * max(height, width))
    padded = (height + most, width + most)
    ones, details, squares = (np.fft.rfft2(part, padded) for part in (fixed.weight, fixed.detail, fixed.detail**2))
    best, best_motion = -math.inf, Motion()
    for degrees in sorted(_TURNS_DEG, key=abs):
        turned = _warped(moving, Motion(math.radians(degrees)))
        ones2, details2, squares2 = (
            np.fft.rfft2(part, padded) for part in (turned.weight, turned.detail, turned.detail**2)
        )
        overlap, product, first, second = (
            np.fft.irfft2(np.conj(one) * other, padded)
            for one, other in ((ones, ones2), (details, details2), (squares, ones2), (ones, squares2))
        )
        scores = product / np.sqrt(np.maximum(first * second, 1e-9))
        # a few pixels are alike by chance
        scores = scores * np.sqrt(np.maximum(overlap, 0) / max(float(overlap.max()), 1e-9))
        scores[overlap < _LEAST_OVERLAP * height * width] = -math.inf
        scores[most + 1 : padded[0] - most] = scores[:, most + 1 : padded[1] - most] = -math.inf
        row, column = np.unravel_index(int(scores.argmax()), scores.shape)
        if scores[row, column] > best:
            best = float(scores[row, column])
            shift = [
                int(at) - side if at > most else int(at) for at, side in zip((column, row), padded[::-1], strict=True)
            ]
            # the turned picture is shifted; the shift of the picture itself is turned
            moved = _rotation(math.radians(degrees)) @ np.array(shift, float)
            best_motion = Motion(math.radians(degrees), (float(moved[0]), float(moved[1])))
    return best_motion


def _refine(fixed: _Features, moving: _Features, motion: Motion) -> tuple[Motion, float]:
    """Robust Gauss-Newton search for turn, shift and contrast."""
    height, width = fixed.detail.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x - (width - 1) / 2, y - (height - 1) / 2
    radius = math.hypot(height, width) / 2
    for _ in range(_NUM_STEPS):
        warped = _warped(moving, motion)
        weight = warped.weight * fixed.weight
        inside = weight > 0.5
        if inside.sum() < _LEAST_OVERLAP * weight.size:
            break
        along_x = cv2.Sobel(warped.detail, cv2.CV_32F, 1, 0, scale=1 / 8)[inside]
        along_y = cv2.Sobel(warped.detail, cv2.CV_32F, 0, 1, scale=1 / 8)[inside]
        target, value = fixed.detail[inside], warped.detail[inside]
        contrast = float(value @ value) / max(float(np.abs(value @ target)), 1e-9)
        residual = target * contrast - value
        deviation = _MAD_TO_STD * float(np.median(np.abs(residual))) + 1e-6
        trust = np.clip(1 - (residual / (_TUKEY * deviation)) ** 2, 0, None) ** 2
        # in the reference's frame: a small turn and shift before the motion so far
        design = np.stack([x[inside] * along_y - y[inside] * along_x, along_x, along_y])
        weighted = design * trust
        step = np.linalg.lstsq(weighted @ design.T, weighted @ residual, rcond=None)[0]
        motion = motion.after(Motion(float(step[0]), (float(step[1]), float(step[2]))))
        if max(abs(step[0]) * radius, abs(step[1]), abs(step[2])) < _SMALL_STEP_PX:
            break
    return motion, _correlation(fixed, moving, motion)


def _correlation(fixed: _Features, moving: _Features, motion: Motion) -> float:
    warped = _warped(moving, motion)
    inside: Bool[np.ndarray, "h w"] = (warped.weight > 0.5) & (fixed.weight > 0.5)
    if inside.sum() < _LEAST_OVERLAP * inside.size:
        return 0.0
    one, other = fixed.detail[inside], warped.detail[inside]
    return float(one @ other) / max(math.sqrt(float(one @ one) * float(other @ other)), 1e-9)


def _warped(features: _Features, motion: Motion) -> _Features:
    if motion.is_none:
        return features
    height, width = features.detail.shape
    matrix = motion.matrix((height, width))
    flags = cv2.WARP_INVERSE_MAP
    detail = cv2.warpAffine(features.detail, matrix, (width, height), flags=flags | cv2.INTER_CUBIC)
    weight = cv2.warpAffine(features.weight, matrix, (width, height), flags=flags | cv2.INTER_LINEAR)
    return _Features(detail, weight)


def _rotation(angle: float) -> Float[np.ndarray, "2 2"]:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
