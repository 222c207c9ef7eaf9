"""Systems judged on real photographs: fixed curves, the classical fit, and ldr2hdr with and without its network."""

import csv
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from stacks import Case, apply_curve, recover_response

import ldr2hdr
from ldr2hdr.io.shot import Shot
from ldr2hdr.radiometry import CLIPPED_LEVEL
from ldr2hdr.reconstructor import BoundReconstructor

FIT = "response fit (OpenCV's Debevec)"
RESPONSE, WHOLE = "ldr2hdr, response alone", "ldr2hdr"
TIMED = "ldr2hdr, exposure time known"
SINGLE = "ldr2hdr, single-shot"
CONSTANTS = f"{RESPONSE}, two constants"
# Stops over white where all channels clip, and where some do, by the same development stacks as the network's offsets
_MEAN_STOPS = (1.5, 0.4)
# Of the stacks only the times are known; aperture and ISO are taken for those of a tripod
_F_NUMBER, _ISO = 5.6, 100.0


class Conversion(NamedTuple):
    """Linear light by one system.

    Attributes:
        system: Its name.
        light: ``(H, W, 3)``, up to a scale.
        refusal: Why a support was refused, and the photograph converted without one; empty if it was not.
    """

    system: str
    light: np.ndarray
    refusal: str = ""


class Converter:
    """All systems on one case after another.

    Args:
        ckpt: Checkpoint or weights; None for those that ship.
        curves: The real curves ``dorf201.npz``; None leaves the median curve out.
    """

    def __init__(self, ckpt: Path | None, curves: Path | None) -> None:
        self.model = ldr2hdr.load(ckpt)
        self._median = None if curves is None else _median_curve(curves)
        self._last: tuple[Sequence[np.ndarray], tuple[BoundReconstructor, str]] = [], (self.model.single_shot(), "")

    def conversions(self, case: Case) -> Iterator[Conversion]:
        """Yield the photograph by every system that the case's support allows."""
        ldr = case.stack.frames[case.stack.query]
        share = ldr / 255.0
        yield Conversion("LDR input", share)
        yield Conversion("inverse gamma 2.2", share**2.2)
        yield Conversion("sRGB curve", np.where(share < 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4))
        if self._median is not None:
            yield from _with_twice_white("median real curve", np.exp(apply_curve(self._median, ldr)), ldr)
        frames, times_s = case.teaching()
        if len(frames) > 1:
            yield from _with_twice_white(FIT, np.exp(apply_curve(recover_response(frames, times_s), ldr)), ldr)
        shot = Shot(exposure_time_s=float(case.stack.times_s[case.stack.query]), f_number=_F_NUMBER, iso=_ISO)
        yield from self._learned(ldr, frames, times_s, shot)

    def _learned(
        self, ldr: np.ndarray, frames: Sequence[np.ndarray], times_s: np.ndarray, shot: Shot
    ) -> Iterator[Conversion]:
        picture = torch.from_numpy(ldr.copy()).permute(2, 0, 1).float() / 255
        network, refusal = self.model.single_shot(), ""
        if len(frames) > 1:
            with torch.inference_mode():
                yield Conversion(SINGLE, as_array(network(picture[None])))
            network, refusal = self._adapt(frames, times_s)
        with torch.inference_mode():
            response = as_array(network.response.linearize(picture[None], network.weights))
            whole = as_array(network(picture[None]))
            timed = as_array(network.taken_at(shot.absolute_ev)(picture[None]))
        yield from (part._replace(refusal=refusal) for part in _with_twice_white(RESPONSE, response, ldr))
        clipped = ldr >= CLIPPED_LEVEL
        stops = np.where(clipped.all(axis=-1, keepdims=True), *_MEAN_STOPS)
        yield Conversion(CONSTANTS, np.where(clipped, response * 2**stops, response), refusal)
        yield Conversion(WHOLE, whole, refusal)
        yield Conversion(TIMED, timed, refusal)

    def _adapt(self, frames: Sequence[np.ndarray], times_s: np.ndarray) -> tuple[BoundReconstructor, str]:
        """Return the network adapted to the frames, or the unadapted one with the reason why they were refused.

        A bracket that teaches for several photographs in a row is adapted to once.
        """
        last, found = self._last
        if len(last) != len(frames) or any(one is not other for one, other in zip(last, frames, strict=True)):
            found = self._adapt_anew(frames, times_s)
            self._last = frames, found
        return found

    def _adapt_anew(self, frames: Sequence[np.ndarray], times_s: np.ndarray) -> tuple[BoundReconstructor, str]:
        with tempfile.TemporaryDirectory() as name:
            write_bracket(Path(name), frames, times_s)
            try:
                return self.model.adapt(name).network, ""
            except ldr2hdr.RefusedBracket as error:
                return self.model.single_shot(), str(error).replace(name, "bracket")


def write_bracket(folder: Path, frames: Sequence[np.ndarray], times_s: np.ndarray) -> None:
    """Write frames as PNG beside an ``exposures.csv``."""
    with (folder / "exposures.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "exposure_time_s"])
        for number, (frame, time_s) in enumerate(zip(frames, times_s, strict=True)):
            cv2.imwrite(str(folder / f"{number:03d}.png"), frame[..., ::-1])
            table.writerow([f"{number:03d}.png", float(time_s)])


def _with_twice_white(name: str, light: np.ndarray, ldr: np.ndarray) -> Iterator[Conversion]:
    """Yield the light, and with twice as much wherever a channel clips."""
    yield Conversion(name, light)
    yield Conversion(f"{name}, twice white", np.where(ldr >= CLIPPED_LEVEL, 2 * light, light))


def _median_curve(path: Path) -> np.ndarray:
    """Return log exposure ``(256, 3)`` by the median of the real curves' inverses, 0 at level 250."""
    with np.load(path) as data:
        levels = np.arange(256) / 255
        pairs = zip(data["brightness"], data["irradiance"], strict=True)
        inverses = np.stack([np.interp(levels, brightness, irradiance) for brightness, irradiance in pairs])
    curve = np.log(np.maximum(np.median(inverses, axis=0), 1e-6))
    return np.repeat((curve - curve[250])[:, None], 3, axis=1)


def as_array(picture: torch.Tensor) -> np.ndarray:
    """Return linear light as ``(H, W, 3)``."""
    return picture[0].permute(1, 2, 0).double().numpy()
