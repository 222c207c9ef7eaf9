"""Brackets as photographers have them: a folder of photographs, and how each of them was exposed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.datasets.ev import EXPOSURES_FILE, tell_by_csv
from ldr2hdr.data.datasets.files import LDR_SUFFIXES, list_files
from ldr2hdr.inference.tiling import OnShare
from ldr2hdr.io import read_photo
from ldr2hdr.io.files import MAX_PIXELS
from ldr2hdr.io.shot import Shot

PHOTO_SUFFIXES: Final = (*LDR_SUFFIXES, ".heic", ".heif")
"""Developed photographs; a RAW file has another response than the pictures that its camera makes."""
LONGEST_PX: Final = 512
"""Size of the pictures that gradient steps are taken on: the whole view, as in training, at some 0.2 megapixels."""
_SHORTEST_PX: Final = 64
_T = TypeVar("_T")


class RefusedBracket(ValueError):
    """Refusal of photographs from which nothing can be learned of a camera; the message says why."""


@dataclass(frozen=True)
class Bracket:
    """Exposures of one scene by one camera, from dark to bright.

    Attributes:
        folder: Where they are.
        paths: The files.
        ldr: Display-referred, in [0, 1], shrunk.
        evs: Exposure of each in stops; 0 for the middle one.
        ev_source: Source of them: the option ``--ev``, the file ``exposures.csv``, or EXIF.
        camera: By EXIF; None if it does not say.
        settings: Aperture, ISO and times by EXIF, in words; "" if it does not say.
        size: Height and width of the files' pictures, in pixels.
    """

    folder: Path
    paths: tuple[Path, ...]
    ldr: Float[Tensor, "n 3 h w"]
    evs: Float[Tensor, " n"]
    ev_source: Literal["option", "file", "exif"]
    camera: str | None
    settings: str
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.paths)

    def select(self, numbers: Sequence[int]) -> "Bracket":
        """Return the bracket with some of its exposures; the stops stay those of the whole."""
        paths = tuple(self.paths[number] for number in numbers)
        return replace(self, paths=paths, ldr=self.ldr[list(numbers)], evs=self.evs[list(numbers)])


@dataclass(frozen=True)
class _Frame:
    path: Path
    ldr: Float[Tensor, "3 h w"]
    size: tuple[int, int]
    shot: Shot


def read_bracket(
    folder: Path | str,
    *,
    evs: Sequence[float] | None = None,
    longest_px: int = LONGEST_PX,
    max_pixels: int = MAX_PIXELS,
    on_share: OnShare | None = None,
) -> Bracket:
    """Read a folder of exposures of one scene: JPEG, PNG, TIFF or HEIC.

    How each was exposed is said by ``evs``, else by an ``exposures.csv`` in the folder (columns ``file`` and
    ``exposure_time_s`` or ``ev``), else by EXIF: exposure time, and aperture and ISO where all files state them.

    Args:
        folder: The folder; what is in folders within is not looked at.
        evs: In stops, one for each photograph in the order of the file names.
        longest_px: Size of the pictures, which are shrunk to it.
        max_pixels: Larger photographs are refused before they are decoded.
        on_share: Called with the share of the photographs that is read, after each.

    Raises:
        ImageError: If a photograph cannot be read.
        RefusedBracket: If there are fewer than two, they differ in size or camera, are tiny or equally exposed, or
            nothing says how they were exposed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RefusedBracket(f"expected a folder with the photographs of a bracket, found none: {folder}")
    paths = list_files(folder, PHOTO_SUFFIXES)
    if len(paths) < 2:
        raise RefusedBracket(
            f"a bracket needs at least two photographs (JPEG, PNG, TIFF or HEIC) of one scene at different exposures, "
            f"found {len(paths)}: {folder}"
        )
    frames = []
    for path in paths:
        frames.append(_read_frame(path, longest_px, max_pixels=max_pixels))
        if on_share is not None:
            on_share(len(frames) / len(paths))
    size = _require_equal("size", {frame.path: frame.size for frame in frames})
    camera = _require_equal("camera", {frame.path: frame.shot.camera for frame in frames})
    source: Literal["option", "file", "exif"]
    if evs is not None:
        source, told = "option", _tell_by_option(paths, evs)
    elif (folder / EXPOSURES_FILE).is_file():
        source, told = "file", _tell_by_file(paths, folder / EXPOSURES_FILE)
    else:
        source, told = "exif", _tell_by_exif(frames, folder)
    return _assemble(folder, frames, told, source=source, camera=camera, size=size)


def _assemble(
    folder: Path,
    frames: Sequence[_Frame],
    told: Mapping[Path, float],
    *,
    source: Literal["option", "file", "exif"],
    camera: str | None,
    size: tuple[int, int],
) -> Bracket:
    if max(told.values()) - min(told.values()) < 0.1:
        raise RefusedBracket(
            f"a bracket needs different exposures, these {len(frames)} are all the same by "
            f"{_SOURCES[source]}; if they do differ, say so by --ev: {folder}"
        )
    ordered = sorted(frames, key=lambda frame: (told[frame.path], frame.path.name))
    values = torch.tensor([told[frame.path] for frame in ordered])
    return Bracket(
        folder,
        tuple(frame.path for frame in ordered),
        torch.stack([frame.ldr for frame in ordered]),
        values - values[(len(values) - 1) // 2],
        source,
        camera,
        _describe_settings([frame.shot for frame in ordered]),
        size,
    )


_SOURCES: Final = {"option": "--ev", "file": EXPOSURES_FILE, "exif": "EXIF"}


def _read_frame(path: Path, longest_px: int, *, max_pixels: int) -> _Frame:
    photo = read_photo(path, max_pixels=max_pixels)
    height, width = photo.ldr.shape[1:]
    if min(height, width) < _SHORTEST_PX:
        raise RefusedBracket(
            f"expected photographs of at least {_SHORTEST_PX} pixels a side, got {width} x {height}: {path}"
        )
    return _Frame(path, shrink(photo.ldr[None], longest_px)[0], (height, width), photo.source.shot)


def shrink(ldr: Float[Tensor, "n 3 h w"], longest_px: int) -> Float[Tensor, "n 3 _ _"]:
    """Shrink pictures whose longer side is longer than this, by the mean over what becomes a pixel."""
    scale = min(1.0, longest_px / max(ldr.shape[2:]))
    return F.interpolate(ldr, [round(side * scale) for side in ldr.shape[2:]], mode="area")


def _describe_settings(shots: Sequence[Shot]) -> str:
    words = []
    for form, values in (
        ("f/{:g}", [shot.f_number for shot in shots]),
        ("ISO {:g}", [shot.iso for shot in shots]),
        ("{:.4g} s", [shot.exposure_time_s for shot in shots]),
    ):
        known = sorted({value for value in values if value is not None})
        if known:
            words.append(" to ".join(form.format(value) for value in dict.fromkeys((known[0], known[-1]))))
    return ", ".join(words)


def _require_equal(what: str, values: Mapping[Path, _T]) -> _T:
    groups: dict[_T, Path] = {}
    for path, value in values.items():
        groups.setdefault(value, path)
    if len(groups) > 1:
        (first, one), (second, other) = list(groups.items())[:2]
        raise RefusedBracket(
            f"the photographs of a bracket must have one {what}, got {first} for {one} and {second} for {other}"
        )
    return next(iter(groups))


def _tell_by_option(paths: Sequence[Path], evs: Sequence[float]) -> dict[Path, float]:
    if len(evs) != len(paths) or not all(math.isfinite(ev) for ev in evs):
        raise RefusedBracket(
            f"expected one finite number of --ev for each of the {len(paths)} photographs, {_names(paths)}, "
            f"got {', '.join(f'{ev:g}' for ev in evs)}: {paths[0].parent}"
        )
    return dict(zip(paths, map(float, evs), strict=True))


def _tell_by_file(paths: Sequence[Path], csv: Path) -> dict[Path, float]:
    try:
        settings = tell_by_csv(csv).settings
    except (ValueError, OSError) as error:
        raise RefusedBracket(str(error)) from error
    if set(settings) != set(paths):
        unlisted, missing = set(paths) - set(settings), set(settings) - set(paths)
        raise RefusedBracket(
            f"expected a line for each photograph of the folder and no others, not listed: {_names(unlisted)}; "
            f"listed but not there: {_names(missing)}: {csv}"
        )
    return {path: settings[path].ev for path in paths}


def _tell_by_exif(frames: Sequence[_Frame], folder: Path) -> dict[Path, float]:
    """Exposure by `Shot.ev`, up to a constant."""
    advice = f"give --ev, or write {folder / EXPOSURES_FILE} with the columns file and exposure_time_s"
    capped = [frame.path for frame in frames if frame.shot.is_iso_capped]
    if capped:
        raise RefusedBracket(f"EXIF says that ISO is 65535 or more, and not how much, of {_names(capped)}; {advice}")
    untold = [frame.path for frame in frames if frame.shot.exposure_time_s is None]
    if untold:
        raise RefusedBracket(f"EXIF states no exposure time of {_names(untold)}; {advice}")
    for name, values in (
        ("aperture", [frame.shot.f_number for frame in frames]),
        ("ISO", [frame.shot.iso for frame in frames]),
    ):
        if None in values and len(set(values)) > 1:
            untold = [frame.path for frame, value in zip(frames, values, strict=True) if value is None]
            raise RefusedBracket(f"EXIF states the {name} of some photographs, but not of {_names(untold)}; {advice}")
    return {frame.path: frame.shot.ev or 0.0 for frame in frames}


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(sorted(path.name for path in paths)) or "none"
