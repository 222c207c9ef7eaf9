"""Brackets among files: which photographs are exposures of one scene, and how each was exposed."""

import datetime
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ldr2hdr.data.datasets.ev import EXPOSURES_FILE, Told, tell_by_csv, tell_by_exif, tell_by_names
from ldr2hdr.data.datasets.files import list_files
from ldr2hdr.inference.profiles.brackets import PHOTO_SUFFIXES, RefusedBracket
from ldr2hdr.io import RAW_SUFFIXES
from ldr2hdr.io.photo import read_shot
from ldr2hdr.io.shot import Shot

# Between exposures of one bracket: time to turn a dial, and to write a file
_LONGEST_PAUSE_S: Final = 60.0
# A bracket does not come back to an exposure; times are rounded to the marks of the dial
_SAME_STOPS: Final = 0.15
_LEAST_RANGE_STOPS: Final = 0.1
_DATE: Final = "%Y:%m:%d %H:%M:%S"


class BracketFiles(NamedTuple):
    """Exposures of one scene.

    Attributes:
        paths: The files, in the order in which they were given or taken.
        evs: Exposure of each in stops.
        source: Words for what says so.
    """

    paths: tuple[Path, ...]
    evs: tuple[float, ...]
    source: str


class Found(NamedTuple):
    """Brackets of a folder.

    Attributes:
        brackets: In the order of the files' names.
        left_out: Photographs that are no part of a bracket.
    """

    brackets: tuple[BracketFiles, ...]
    left_out: tuple[Path, ...]


def as_bracket(
    paths: Sequence[Path], *, evs: Sequence[float] | None = None, names: Sequence[str] | None = None
) -> BracketFiles:
    """Take files as one bracket.

    Args:
        paths: Photographs, two or more.
        evs: In stops, one for each; None for what ``exposures.csv`` in their folder says, else EXIF, else their names.
        names: What the photographs are called; None for the names of the files.

    Raises:
        ImageError: If a file cannot be read.
        RefusedBracket: If there are fewer than two, or nothing says different exposures of all.
    """
    if len(paths) < 2 or len(set(paths)) < len(paths):
        raise RefusedBracket(f"a bracket needs two different photographs or more, got {_names(paths)}")
    if evs is not None:
        if len(evs) != len(paths) or not all(map(math.isfinite, evs)):
            raise RefusedBracket(
                f"expected one finite exposure in stops for each of the {len(paths)} photographs, {_names(paths)}, got "
                f"{', '.join(f'{ev:g}' for ev in evs)}"
            )
        return _checked(paths, evs, "the numbers given")
    told = _tell(paths, {path: read_shot(path) for path in paths}, names)
    if told is None:
        raise RefusedBracket(
            f"nothing says how {_names(paths)} were exposed; give their exposures in stops (--ev), or in a file "
            f"{EXPOSURES_FILE} beside them, with the columns file and exposure_time_s"
        )
    return _checked(paths, *told)


def find_brackets(folder: Path) -> Found:
    """Split a folder into brackets: where the camera or the picture's size changes, by pauses, by exposures that recur.

    Photographs follow each other in time, or by name where EXIF does not say when they were taken. A folder with an
    ``exposures.csv`` is one bracket, of the files that it lists. Of a RAW file and what the camera developed from it,
    the RAW file is left out.

    Raises:
        ImageError: If a file cannot be read.
        RefusedBracket: If there is no bracket.
    """
    if (folder / EXPOSURES_FILE).is_file():
        return Found((as_bracket(sorted(_read_csv(folder / EXPOSURES_FILE).settings)),), ())
    paths = list_photographs(folder)
    if len(paths) < 2:
        return Found((as_bracket(paths),), ())
    shots = {path: read_shot(path) for path in paths}
    told = _tell(paths, shots)
    if told is None:
        return Found((as_bracket(paths),), ())
    evs = dict(zip(paths, told[0], strict=True))
    groups = _split(paths, shots, evs)
    brackets = [group for group in groups if len(group) > 1 and _is_range([evs[path] for path in group])]
    if not brackets:
        raise RefusedBracket(f"no two photographs in a row are exposures of one scene: {folder}")
    alone = sorted(set(paths) - {path for group in brackets for path in group})
    found = tuple(_checked(group, [evs[path] for path in group], told[1]) for group in brackets)
    return Found(found, tuple(alone))


def list_photographs(folder: Path) -> list[Path]:
    """List the photographs in a folder; of a RAW file and what the camera developed from it, the latter."""
    developed = list_files(folder, PHOTO_SUFFIXES)
    stems = {path.stem for path in developed}
    return sorted([*developed, *(path for path in list_files(folder, RAW_SUFFIXES) if path.stem not in stems)])


def _tell(
    paths: Sequence[Path], shots: Mapping[Path, Shot], names: Sequence[str] | None = None
) -> tuple[list[float], str] | None:
    """Exposures by the first source that has all of them, and different ones."""
    csv = paths[0].parent / EXPOSURES_FILE
    named = tell_by_names(paths) if names is None else _tell_by_other_names(paths, names)
    sources: list[tuple[Told, str]] = [(tell_by_exif(shots), "EXIF"), (named, "their names")]
    if csv.is_file():
        sources.insert(0, (_read_csv(csv), EXPOSURES_FILE))
    for told, source in sources:
        if all(path in told.settings for path in paths) and _is_range([told.settings[path].ev for path in paths]):
            return [told.settings[path].ev for path in paths], source
    return None


def _tell_by_other_names(paths: Sequence[Path], names: Sequence[str]) -> Told:
    told = tell_by_names(map(Path, names))
    settings = {path: told.settings.get(Path(name)) for path, name in zip(paths, names, strict=True)}
    return told._replace(settings={path: setting for path, setting in settings.items() if setting is not None})


def _read_csv(path: Path) -> Told:
    try:
        return tell_by_csv(path)
    except (ValueError, OSError) as error:
        raise RefusedBracket(str(error)) from error


def _split(paths: Sequence[Path], shots: Mapping[Path, Shot], evs: Mapping[Path, float]) -> list[list[Path]]:
    times = {path: _taken(shots[path]) for path in paths}
    is_timed = all(time is not None for time in times.values())
    ordered = sorted(paths, key=lambda path: (times[path] if is_timed else None, path) if is_timed else (path,))
    groups: list[list[Path]] = []
    for path in ordered:
        previous = groups[-1][-1] if groups else None
        if previous is None or _begins(path, groups[-1], shots, evs, pause_s=_pause(times, previous, path, shots)):
            groups.append([])
        groups[-1].append(path)
    return groups


def _begins(
    path: Path, group: Sequence[Path], shots: Mapping[Path, Shot], evs: Mapping[Path, float], *, pause_s: float
) -> bool:
    """Whether a photograph is the first of a new bracket."""
    recurs = any(abs(evs[path] - evs[other]) < _SAME_STOPS for other in group)
    return recurs or pause_s > _LONGEST_PAUSE_S or shots[path].camera != shots[group[-1]].camera


def _pause(
    times: Mapping[Path, datetime.datetime | None], first: Path, second: Path, shots: Mapping[Path, Shot]
) -> float:
    """Seconds from the end of one exposure to the next; 0 if not known."""
    start, end = times[first], times[second]
    if start is None or end is None:
        return 0.0
    return (end - start).total_seconds() - (shots[first].exposure_time_s or 0.0)


def _taken(shot: Shot) -> datetime.datetime | None:
    return None if shot.taken is None else datetime.datetime.strptime(shot.taken, _DATE)


def _checked(paths: Sequence[Path], evs: Sequence[float], source: str) -> BracketFiles:
    if not _is_range(evs):
        raise RefusedBracket(
            f"a bracket needs different exposures, these {len(paths)} are all the same by {source}; if they do "
            f"differ, give their exposures in stops (--ev): {paths[0].parent}"
        )
    return BracketFiles(tuple(paths), tuple(map(float, evs)), source)


def _is_range(evs: Sequence[float]) -> bool:
    return max(evs) - min(evs) >= _LEAST_RANGE_STOPS


def _names(paths: Sequence[Path]) -> str:
    names = [path.name for path in paths]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") or "none"
