"""Photographs to HDR files: what is written where, and the conversion of one."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.io import HDR_FORMATS, Photo, read_photo, write_image
from ldr2hdr.io.exr import HALF_MAX
from ldr2hdr.meta.base import Predictor
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.tiling import measure_locality, reconstruct_bands

FORMATS: Final = tuple(HDR_FORMATS)
# What is reconstructed whole, if it cannot be done on tiles: 2.5 GB for the default network, were it one of those.
_WHOLE_PX: Final = 2**22


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
        camera: That took the photograph, by EXIF; None if unknown.
    """

    output: Path
    width: int
    height: int
    stops_above_white: float
    camera: str | None = None


def plan_jobs(photos: Sequence[Path], out: Path, *, extension: str | None, is_forced: bool) -> list[Job]:
    """Decide which file each photograph becomes, before any work is done.

    Args:
        photos: The photographs; whether they can be read is found out when they are converted.
        out: An existing folder, or for a single photograph a name with the extension of a format.
        extension: One of `FORMATS`; None for that of the name, and ``exr`` in a folder.
        is_forced: Overwrite what exists.

    Raises:
        ValueError: If the names do not fit together, or an output is one of the photographs.
        FileNotFoundError: If the folder is missing.
        FileExistsError: If an output exists and ``is_forced`` is not set.
    """
    if out.is_dir():
        suffix = HDR_FORMATS[extension or FORMATS[0]][0]
        jobs = [Job(photo, out / f"{photo.stem}{suffix}") for photo in photos]
    else:
        jobs = [_single_job(photos, out, extension)]
    _require_distinct(jobs)
    existing = [str(job.output) for job in jobs if job.output.exists()]
    if existing and not is_forced:
        raise FileExistsError(f"refusing to overwrite {_shorten(existing)}; use --force, or another name")
    return jobs


def reconstruct_photo(
    ldr: Float[Tensor, "3 h w"], predictor: Reconstructor | Predictor, *, context: object = None
) -> Float[Tensor, "3 h w"]:
    """Sensor exposure of a photograph, on the CPU; arguments and errors as for `convert_photo`."""
    bands = _reconstruct(ldr, predictor, context)
    return _gather(bands, height=ldr.shape[1], width=ldr.shape[2], strength=1.0, dtype=torch.float32).exposure


def limit_highlights(exposure: Float[Tensor, "*s"], strength: float) -> Float[Tensor, "*s"]:
    """Take back part of what is above white, in stops; what is below stays as it is.

    Args:
        exposure: Sensor exposure.
        strength: 1 for all that was reconstructed; 0 for nothing above white, the photograph linearised.

    Example:
        >>> limit_highlights(torch.tensor([0.5, 1.0, 16.0]), 0.5)
        tensor([0.5000, 1.0000, 4.0000])
    """
    return exposure if strength == 1 else exposure.clamp_max(1) * exposure.clamp_min(1).pow(strength)


def convert_photo(
    job: Job,
    predictor: Reconstructor | Predictor,
    *,
    context: object = None,
    strength: float = 1.0,
) -> Converted:
    """Read, reconstruct, write: the HDR file is there whole or not at all.

    Args:
        job: What to convert to what; the extension tells the format.
        predictor: Maps LDR pictures ``(1, 3, H, W)`` to sensor exposure, 1 at the camera's white. A `Reconstructor`
            works on tiles, on the device that it is on; anything else gets the picture whole, on the CPU.
        context: For a `Reconstructor`, what its ``summarize`` made of the camera's support; None for a single shot.
        strength: How much of what is above white is kept, see `limit_highlights`.

    Raises:
        ImageError: If the photograph cannot be read, or the reconstruction cannot be stored.
        ValueError: If the photograph is large, and the network cannot work on tiles.
    """
    photo = read_photo(job.photo)
    height, width = photo.ldr.shape[1:]
    bands = _reconstruct(photo.ldr, predictor, context)
    gathered = _gather(bands, height=height, width=width, strength=strength)
    del bands
    (format, *_) = _formats_of(job.output)
    if format != "ultrahdr":
        photo = _without_pixels(photo)  # writing takes as much memory again
    write_image(job.output, gathered.exposure, format=format, photo=photo)
    peak = gathered.peak
    stops = math.log2(peak) if peak > 0 else -math.inf
    return Converted(job.output, width, height, stops, photo.source.shot.camera)


class _Gathered(NamedTuple):
    exposure: Float[Tensor, "3 h w"]
    peak: float


def _reconstruct(
    ldr: Float[Tensor, "3 h w"], predictor: Reconstructor | Predictor, context: object
) -> Iterator[Float[Tensor, "3 _ w"]]:
    """Sensor exposure from top to bottom, in as many bands as the predictor makes of the picture."""
    num_pixels = ldr[0].numel()
    if not isinstance(predictor, Reconstructor):
        return _reconstruct_whole(ldr, predictor)
    try:
        locality = measure_locality(predictor.backbone)
    except ValueError as error:
        if num_pixels > _WHOLE_PX:
            raise ValueError(
                f"{error}. Only photographs of up to {_WHOLE_PX / 1e6:.1f} megapixels are converted whole, "
                f"got {num_pixels / 1e6:.1f}; make it smaller"
            ) from error
        device = next(predictor.backbone.parameters(), ldr).device
        return _reconstruct_whole(ldr, lambda pictures: predictor(pictures.to(device), context).cpu())
    return reconstruct_bands(
        predictor,
        lambda *window: ldr[:, *window],
        size=(ldr.shape[1], ldr.shape[2]),
        context=context,
        locality=locality,
    )


def _reconstruct_whole(ldr: Float[Tensor, "3 h w"], predictor: Predictor) -> Iterator[Float[Tensor, "3 h w"]]:
    with torch.inference_mode():
        exposure = predictor(ldr[None])[0]
    yield exposure


def _without_pixels(photo: Photo) -> Photo:
    return photo._replace(ldr=photo.ldr.new_empty(3, 0, 0))


def _gather(
    bands: Iterator[Float[Tensor, "3 _ w"]],
    *,
    height: int,
    width: int,
    strength: float,
    dtype: torch.dtype = torch.float16,
) -> _Gathered:
    """Put bands together, by default in half precision as long as it can hold them, as the files do."""
    rows, top, peak = torch.empty(height, width, 3, dtype=dtype), 0, 0.0
    for unlimited in bands:
        band = limit_highlights(unlimited, strength)
        brightest = band.max().item()
        if brightest > HALF_MAX and rows.dtype == torch.float16:
            rows = rows.float()
        rows[top : top + band.shape[1]] = band.movedim(0, -1)
        top += band.shape[1]
        peak = max(peak, brightest)
    return _Gathered(rows.movedim(-1, 0), peak)


def _single_job(photos: Sequence[Path], out: Path, extension: str | None) -> Job:
    fitting = _formats_of(out)
    if len(photos) != 1:
        raise ValueError(f"several photographs need an existing folder to write to, got -o {out}; create it first")
    if not fitting:
        known = ", ".join(suffix for suffixes in HDR_FORMATS.values() for suffix in suffixes)
        raise ValueError(f"expected -o to be an existing folder or a name ending in one of {known}, got {out}")
    if extension not in (None, *fitting):
        raise ValueError(f"--format {extension} contradicts the name {out}; leave one of them out")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"the folder {out.parent} to write {out.name} to does not exist; create it first")
    return Job(photos[0], out)


def _formats_of(output: Path) -> list[str]:
    return [name for name, suffixes in HDR_FORMATS.items() if output.suffix.lower() in suffixes]


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
