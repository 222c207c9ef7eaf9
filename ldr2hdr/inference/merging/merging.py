"""Merge of one bracket: response, alignment, deghosting, fusion strip by strip, and a network where all is white."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from ldr2hdr.calibration.curve import FIRST_WHITE, MIN_LEVEL
from ldr2hdr.calibration.deghosting import HALO_PX, Spread, find_moved, measure_spreads
from ldr2hdr.calibration.fusion import Fused, fuse
from ldr2hdr.calibration.information import SAME_SCENE_EVIDENCE, bracket_information
from ldr2hdr.calibration.posterior import posterior_mean
from ldr2hdr.calibration.prior import read_curve_prior
from ldr2hdr.calibration.registration import Motion, register
from ldr2hdr.calibration.rows import count_joint_levels
from ldr2hdr.calibration.tones import Measured, Tones, linear_tones, measure, tones_of_curve
from ldr2hdr.inference.merging.filling import fill_highlights
from ldr2hdr.inference.merging.frames import Frame, read_frames
from ldr2hdr.inference.merging.sets import BracketFiles
from ldr2hdr.inference.profiles.brackets import RefusedBracket
from ldr2hdr.inference.tiling import OnShare
from ldr2hdr.inference.uncertainty import Uncertainty
from ldr2hdr.io.files import MAX_PIXELS
from ldr2hdr.radiometry import encode_srgb
from ldr2hdr.reconstructor import BoundReconstructor

_ALIGNED_PX: Final = 1600
"""Longest side of the pictures that motion is found on; a tenth of a pixel there is a third of one at 24 megapixels."""
_LEARNED_PX: Final = 1024
"""Longest side of those that the response is learned from, and what disagreement is usual."""
_STRIP_ROWS: Final = 128
_FEATHER: Final = 7


class MergeOptions(NamedTuple):
    """Choices of a merge.

    Attributes:
        reference: Number of the exposure that stays where it is, from 0 in the order of the files; None for the one
            with most pixels between black and white.
        anchor: Exposure in stops whose white is 1 in the result; None for the reference's.
        is_aligned: Find how the camera moved.
        is_deghosted: Find what moved in the scene.
    """

    reference: int | None = None
    anchor: float | None = None
    is_aligned: bool = True
    is_deghosted: bool = True


_DEFAULTS: Final = MergeOptions()


class Merged(NamedTuple):
    """Light of a scene.

    Attributes:
        exposure: Linear Rec. 709, 1 at the white of the reference, or of the anchor.
        uncertainty: Of each pixel: white in all exposures that show it; share of the light that is the network's; and
            stops of error to expect.
        bracket: The files.
        reference: Number of the exposure that stayed where it is.
        motions: Of each exposure against it.
        unaligned: Exposures that could not be compared with the others, and are taken to have stayed as these.
        moved_share: Part of the picture that is the reference's alone in some exposure, as something moved.
        clipped_share: Part of the picture that is white in all exposures that show it.
        is_filled: Whether a network filled that part.
    """

    exposure: Float[Tensor, "3 h w"]
    uncertainty: Uncertainty
    bracket: BracketFiles
    reference: int
    motions: tuple[Motion, ...]
    unaligned: tuple[Path, ...]
    moved_share: float
    clipped_share: float
    is_filled: bool


def merge_bracket(
    bracket: BracketFiles,
    options: MergeOptions = _DEFAULTS,
    *,
    log_curve: Float[Tensor, "256 3"] | None = None,
    network: Callable[[], BoundReconstructor] | None = None,
    on_share: OnShare | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Merged:
    """Merge a bracket at full resolution.

    RAW files are linear, and merged as they are. Of other files, the response is the one given, or estimated from the
    bracket with a prior of real cameras. The files' codes are in memory, and the light of the whole picture once; all
    between is by strips.

    Args:
        bracket: The files, and how they were exposed.
        options: See there.
        log_curve: Natural logarithm of light by level, 0 at level 250.
        network: Gives the network that fills what is white in the darkest exposure; it is called if there is such. None
            leaves the bound.
        on_share: Called with the share that is done; whatever it raises ends the work.
        max_pixels: Larger photographs are refused before they are decoded.

    Raises:
        ImageError: If a photograph cannot be read.
        RefusedBracket: If the photographs do not belong together, there is no such reference, or nothing aligns them.
    """
    if options.reference is not None and not 0 <= options.reference < len(bracket.paths):
        raise RefusedBracket(
            f"expected a reference of 1 to {len(bracket.paths)}, got {options.reference + 1}: {bracket.paths[0].parent}"
        )
    tell = on_share or (lambda share: None)
    # by exposure, so that the order in which files are named is no matter
    order = sorted(range(len(bracket.paths)), key=lambda number: (bracket.evs[number], bracket.paths[number]))
    paths = [bracket.paths[number] for number in order]
    frames = read_frames(paths, max_pixels=max_pixels, on_share=lambda share: tell(0.2 * share))
    evs = [bracket.evs[number] for number in order]
    reference = choose_reference(frames) if options.reference is None else order.index(options.reference)
    tell(0.2)
    unaligned: list[Path] = []
    if options.is_aligned:
        frames, unaligned = align(frames, evs, reference)
    scene = Scene(frames, evs, reference, options, log_curve=log_curve)
    tell(0.3)
    light = scene.merge(lambda share: tell(0.3 + 0.4 * share))
    clipped_share = float(light.clipped.mean())
    invented, sigma = np.zeros_like(light.sigma), light.sigma
    is_filled = network is not None and clipped_share > 0
    if network is not None and is_filled:
        invented, sigma = fill_highlights(
            light.exposure,
            scene.frames[0],
            network(),
            white=scene.factors[0],
            usable=light.shows_darkest,
            sigma=sigma,
            on_share=lambda share: tell(0.7 + 0.3 * share),
        )
    layers = (light.clipped.astype(np.float16), invented, sigma)
    return Merged(
        torch.from_numpy(light.exposure).movedim(-1, 0),
        Uncertainty(*map(torch.from_numpy, layers)),
        bracket,
        order[reference],
        tuple(frames[order.index(number)].motion for number in range(len(frames))),
        tuple(unaligned),
        light.moved_share,
        clipped_share,
        is_filled,
    )


class Light(NamedTuple):
    """Light by the exposures alone.

    Attributes:
        exposure: 1 at the white of the reference, or of the anchor.
        sigma: Stops of error to expect.
        clipped: White in all exposures that show it, in a channel.
        shows_darkest: Where the darkest exposure shows what the reference shows.
        moved_share: Part of the picture that is the reference's alone in some exposure.
    """

    exposure: Float[np.ndarray, "h w 3"]
    sigma: Float[np.ndarray, "h w"]
    clipped: Bool[np.ndarray, "h w"]
    shows_darkest: Bool[np.ndarray, "h w"]
    moved_share: float


class Scene:
    """Aligned frames with the tones of their camera.

    Args:
        frames: From dark to bright.
        evs: Exposure of each in stops.
        reference: Number of the frame that stays where it is.
        options: Anchor, and whether to look for what moved.
        log_curve: As of `merge_bracket`.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        evs: Sequence[float],
        reference: int,
        options: MergeOptions = _DEFAULTS,
        *,
        log_curve: Float[Tensor, "256 3"] | None = None,
    ) -> None:
        self.frames = frames
        self._is_deghosted = options.is_deghosted
        unit = evs[reference] if options.anchor is None else options.anchor
        self.factors = [2.0 ** (unit - ev) for ev in evs]
        self._small = [frame.shrunk(_LEARNED_PX) for frame in frames]
        # the reference first, then from near to far in exposure
        distances = [(number != reference, abs(ev - evs[reference]), number) for number, ev in enumerate(evs)]
        self._order = [number for *_, number in sorted(distances)]
        self.tones = self._learn(evs, log_curve)

    def merge(self, on_share: OnShare | None = None) -> Light:
        """Merge strip by strip."""
        height, width = self.frames[0].size
        exposure, sigma = np.empty((height, width, 3), np.float32), np.empty((height, width), np.float16)
        clipped, shows_darkest = np.empty((height, width), bool), np.empty((height, width), bool)
        spreads = self._spreads() if self._is_deghosted else None
        num_moved = 0
        for top in range(0, height, _STRIP_ROWS):
            if on_share is not None:
                on_share(top / height)
            rows = slice(top, min(top + _STRIP_ROWS, height))
            fused, moved, shares = self._merge_rows(rows, spreads)
            exposure[rows] = fused.light
            sigma[rows] = np.sqrt(fused.variance.mean(axis=2)) / math.log(2)
            clipped[rows] = fused.is_clipped.any(axis=2)
            shows_darkest[rows] = shares[0] > 0.5
            num_moved += int(np.any(moved, axis=0).sum())
        return Light(exposure, sigma, clipped, shows_darkest, num_moved / (height * width))

    def _merge_rows(
        self, rows: slice, spreads: Sequence[Spread] | None
    ) -> tuple[Fused, list[Bool[np.ndarray, "h w"]], list[Float[np.ndarray, "h w"]]]:
        height = self.frames[0].size[0]
        seen = slice(max(rows.start - HALO_PX - _FEATHER, 0), min(rows.stop + HALO_PX + _FEATHER, height))
        inner = slice(rows.start - seen.start, rows.stop - seen.start)
        valid = [frame.valid(seen) for frame in self.frames]
        exposures = self._measure(self.frames, seen)
        moved = [np.zeros_like(valid[0])] * len(valid)
        if spreads is not None:
            moved = find_moved(exposures, valid, self._order, spreads)
        shares = [_share(there, away)[inner] for there, away in zip(valid, moved, strict=True)]
        parts = [Measured(*(part[inner] for part in exposure)) for exposure in exposures]
        return fuse(parts, shares), [away[inner] for away in moved], shares

    def _measure(self, frames: Sequence[Frame], rows: slice) -> list[Measured]:
        return [
            measure(self.tones, frame.levels(rows)).scaled(factor)
            for frame, factor in zip(frames, self.factors, strict=True)
        ]

    def _spreads(self) -> list[Spread]:
        rows = slice(0, self._small[0].size[0])
        exposures = self._measure(self._small, rows)
        return measure_spreads(exposures, [frame.valid(rows) for frame in self._small], self._order)

    def _learn(self, evs: Sequence[float], log_curve: Float[Tensor, "256 3"] | None) -> Tones:
        if self.frames[0].is_linear:
            return linear_tones()
        if log_curve is not None:
            return tones_of_curve(log_curve)
        rows = slice(0, self._small[0].size[0])
        levels = np.stack([_rounded(frame.levels(rows)) for frame in self._small])
        valid = torch.from_numpy(np.stack([frame.valid(rows) for frame in self._small]))
        stops = torch.tensor(evs)
        histograms = count_joint_levels(torch.from_numpy(levels).movedim(-1, 1), stops, is_valid=valid)
        prior = read_curve_prior()
        information = bracket_information(histograms, stops, prior, evidence=SAME_SCENE_EVIDENCE)
        return tones_of_curve(posterior_mean(information, prior))


def choose_reference(frames: Sequence[Frame]) -> int:
    """Return the exposure with most pixels between black and white; the first of equal ones."""
    shares = []
    for frame in frames:
        # every so many-th pixel is enough
        levels = frame.codes[::8, ::8].astype(np.float32) * (255 / np.iinfo(frame.codes.dtype).max)
        shares.append(float(((levels >= MIN_LEVEL) & (levels < FIRST_WHITE)).all(axis=2).mean()))
    return int(np.argmax(shares))


def align(frames: Sequence[Frame], evs: Sequence[float], reference: int) -> tuple[list[Frame], list[Path]]:
    """Return the frames with their motions, and those that could not be compared."""
    small = [frame.shrunk(_ALIGNED_PX) for frame in frames]
    found = register([_displayed(frame) for frame in small], evs, reference=reference)
    growth = frames[0].size[1] / small[0].size[1]
    moved = [frame._replace(motion=motion.scaled(growth)) for frame, motion in zip(frames, found.motions, strict=True)]
    return moved, [frame.path for frame, done in zip(frames, found.is_aligned, strict=True) if not done]


def _displayed(frame: Frame) -> UInt8[np.ndarray, "h w 3"]:
    levels = frame.levels(slice(0, frame.size[0]))
    if frame.is_linear:
        levels = encode_srgb(torch.from_numpy(levels / 255)).numpy() * 255
    return _rounded(levels)


def _rounded(levels: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    return np.asarray(np.rint(levels), np.uint8)


def _share(valid: Bool[np.ndarray, "h w"], moved: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Return the weight of an exposure, without seams at the edges of what moved."""
    if not moved.any():
        return valid.astype(np.float32)
    return np.asarray(valid * (1 - cv2.blur(moved.astype(np.float32), (_FEATHER, _FEATHER))), np.float32)
