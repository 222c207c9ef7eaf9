"""Names of the files that photographs become, decided before any work is done."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ldr2hdr.io import HDR_FORMATS

FORMATS: Final = tuple(HDR_FORMATS)


class Job(NamedTuple):
    """Photograph, and the HDR file to make of it."""

    photo: Path
    output: Path


def plan_jobs(photos: Sequence[Path], out: Path | None, *, extension: str | None, is_forced: bool) -> list[Job]:
    """Decide which file each photograph becomes, before any work is done.

    Args:
        photos: The photographs; whether they can be read is found out when they are converted.
        out: An existing folder, or for a single photograph a name with the extension of a format; None for files beside
            the photographs, of their names, with ``_hdr`` added where that would be a photograph's own.
        extension: One of `FORMATS`; None for that of the name, and ``exr`` in a folder.
        is_forced: Overwrite what exists.

    Raises:
        ValueError: If the names do not fit together, or an output is one of the photographs.
        FileNotFoundError: If the folder is missing.
        FileExistsError: If an output exists and ``is_forced`` is not set.
        PermissionError: If a folder to write to is read-only.
    """
    suffixes = HDR_FORMATS[extension or FORMATS[0]]
    if out is None:
        jobs = [Job(photo, _beside(photo, suffixes)) for photo in photos]
    elif out.is_dir():
        jobs = [Job(photo, out / f"{photo.stem}{suffixes[0]}") for photo in photos]
    else:
        jobs = [_single_job(photos, out, extension)]
    _require_distinct(jobs)
    existing = [str(job.output) for job in jobs if job.output.exists()]
    if existing and not is_forced:
        raise FileExistsError(f"refusing to overwrite {_shorten(existing)}; use --force, or another name")
    for folder in dict.fromkeys(job.output.parent for job in jobs):
        if folder.is_dir() and not os.access(folder, os.W_OK):
            raise PermissionError(f"the folder {folder} to write to is read-only; choose another by -o")
    return jobs


def formats_of(output: Path) -> list[str]:
    """Return the formats of linear radiance that are written under names with this one's extension.

    Example:
        >>> formats_of(Path("a.JPG")), formats_of(Path("a.png"))
        (['ultrahdr'], [])
    """
    return [name for name, suffixes in HDR_FORMATS.items() if output.suffix.lower() in suffixes]


def _beside(photo: Path, suffixes: Sequence[str]) -> Path:
    added = "_hdr" if photo.suffix.lower() in suffixes else ""
    return photo.with_name(f"{photo.stem}{added}{suffixes[0]}")


def _single_job(photos: Sequence[Path], out: Path, extension: str | None) -> Job:
    fitting = formats_of(out)
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


def _require_distinct(jobs: Sequence[Job]) -> None:
    made_of: dict[Path, Path] = {}
    photos = {job.photo.resolve() for job in jobs}
    for photo, output in jobs:
        target = output.resolve()
        if target in made_of:
            raise ValueError(f"{made_of[target]} and {photo} would both become {output}; convert them one by one")
        if target in photos:
            raise ValueError(f"the output {output} is one of the photographs; choose another name or folder")
        made_of[target] = photo


def _shorten(names: Sequence[str], most: int = 3) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
