"""Photographs to HDR files: what is written where, and the conversion of one."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import torch

from ldr2hdr.io import read_ldr, write_image
from ldr2hdr.meta.base import Predictor

FORMATS: Final = ("exr", "hdr")


class Job(NamedTuple):
    """One photograph and the HDR file to make of it."""

    photo: Path
    output: Path


class Converted(NamedTuple):
    """What a conversion wrote.

    Attributes:
        output: The HDR file.
        width: In pixels.
        height: In pixels.
        stops_above_white: The brightest value of any channel relative to the sensor's white, in stops; minus
            infinity if the picture is black.
    """

    output: Path
    width: int
    height: int
    stops_above_white: float


def plan_jobs(photos: Sequence[Path], out: Path, *, extension: str | None, is_forced: bool) -> list[Job]:
    """Decide which file each photograph becomes, before any work is done.

    Args:
        photos: The photographs; whether they can be read is found out when they are converted.
        out: An existing folder, or for a single photograph a name ending in ``.exr`` or ``.hdr``.
        extension: ``exr`` or ``hdr`` for the files in a folder; ``exr`` if None.
        is_forced: Overwrite what exists.

    Raises:
        ValueError: If the names do not fit together, or an output is one of the photographs.
        FileNotFoundError: If the folder is missing.
        FileExistsError: If an output exists and ``is_forced`` is not set.
    """
    if out.is_dir():
        jobs = [Job(photo, out / f"{photo.stem}.{extension or FORMATS[0]}") for photo in photos]
    else:
        jobs = [_single_job(photos, out, extension)]
    _require_distinct(jobs)
    existing = [str(job.output) for job in jobs if job.output.exists()]
    if existing and not is_forced:
        raise FileExistsError(f"refusing to overwrite {_shorten(existing)}; use --force, or another name")
    return jobs


def convert_photo(job: Job, predictor: Predictor) -> Converted:
    """Read, reconstruct, write: the HDR file is there whole or not at all.

    Args:
        job: What to convert to what.
        predictor: Maps LDR pictures ``(1, 3, H, W)`` to sensor exposure, 1 at the camera's white.

    Raises:
        ImageError: If the photograph cannot be read, or the reconstruction cannot be stored.
    """
    ldr = read_ldr(job.photo)
    with torch.inference_mode():
        exposure = predictor(ldr[None])[0]
    write_image(job.output, exposure)
    peak = exposure.max().item()
    height, width = exposure.shape[-2:]
    return Converted(job.output, width, height, math.log2(peak) if peak > 0 else -math.inf)


def _single_job(photos: Sequence[Path], out: Path, extension: str | None) -> Job:
    suffix = out.suffix.lower().removeprefix(".")
    if len(photos) != 1:
        raise ValueError(f"several photographs need an existing folder to write to, got -o {out}; create it first")
    if suffix not in FORMATS:
        raise ValueError(f"expected -o to be an existing folder or a name ending in .exr or .hdr, got {out}")
    if extension not in (None, suffix):
        raise ValueError(f"--format {extension} contradicts the name {out}; leave one of them out")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"the folder {out.parent} to write {out.name} to does not exist; create it first")
    return Job(photos[0], out)


def _require_distinct(jobs: Sequence[Job]) -> None:
    made_of: dict[Path, Path] = {}
    photos = {job.photo.resolve() for job in jobs}
    for photo, output in jobs:
        if output in made_of:
            raise ValueError(f"{made_of[output]} and {photo} would both become {output}; convert them one by one")
        if output.resolve() in photos:
            raise ValueError(f"the output {output} is one of the photographs; choose another name or folder")
        made_of[output] = photo


def _shorten(names: Sequence[str], most: int = 3) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
