"""Records of the scenes that a layout names: headers read, EVs found, faults left out and listed."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from ldr2hdr.data.datasets.ev import Resolved, Told, resolve_exposures, tell_by_exif
from ldr2hdr.data.datasets.fingerprint import content_hash, file_digest
from ldr2hdr.data.datasets.headers import Header, read_header
from ldr2hdr.data.datasets.measured import tell_by_pixels
from ldr2hdr.data.datasets.record import HdrReference, Problem, SceneRecord
from ldr2hdr.data.scenes.places import Split
from ldr2hdr.io import ImageError

_Key = TypeVar("_Key", bound=Hashable)
# What is in a test set stays there, wherever else it is found
_STRICTNESS: Final[tuple[Split | None, ...]] = (None, "train", "val", "test")


@dataclass(frozen=True)
class Candidate:
    """Scene by its layout, before its pictures are opened.

    Attributes:
        id: Unique in the set.
        place: What it shows.
        ldrs: Exposures in any order.
        hdr: The HDR picture, if there is one.
        listed: EVs by an explicit file, which go before EXIF.
        named: EVs by the layout or the names, which come after EXIF.
        split: As published.
        camera: None for what EXIF says.
    """

    id: str
    place: str
    ldrs: tuple[Path, ...] = ()
    hdr: HdrReference | None = None
    listed: Told | None = None
    named: Told | None = None
    split: Split | None = None
    camera: str | None = None


class Scan(NamedTuple):
    """Set by its headers.

    Attributes:
        records: Sorted by id.
        problems: In the order of their finding.
        sizes: Height and width of each picture, upright.
    """

    records: tuple[SceneRecord, ...]
    problems: tuple[Problem, ...]
    sizes: dict[Path, tuple[int, int]]


def examine(found: Iterable[Candidate | Problem], *, set_name: str) -> Scan:
    """Make records of candidates.

    A scene with a damaged file, with pictures of several sizes, or without any EV is left out. Of several scenes with
    the same files one is kept. Scenes with the same HDR picture are one place, in the strictest split of them.

    Args:
        found: What a reader found.
        set_name: The camera's name where nothing says it.
    """
    records: list[SceneRecord] = []
    problems: list[Problem] = []
    sizes: dict[Path, tuple[int, int]] = {}
    for candidate in found:
        if isinstance(candidate, Problem):
            problems.append(candidate)
            continue
        headers = _read_headers(candidate)
        if isinstance(headers, Problem):
            problems.append(headers)
            continue
        resolved = _resolve(candidate, headers)
        if isinstance(resolved, Problem):
            problems.append(resolved)
            continue
        problems += resolved.problems
        sizes |= {path: (header.height, header.width) for path, header in headers.items()}
        cameras = [header.camera for header in headers.values() if header.camera]
        camera = candidate.camera or next(iter(cameras), set_name)
        hdr, exposures = candidate.hdr, resolved.exposures
        records.append(SceneRecord(candidate.id, candidate.place, camera, exposures, hdr, candidate.split))
    # places first: what shows the same place as a duplicate does so after that has gone
    distinct, duplicates = _drop_duplicates(_merge_places(records))
    return Scan(tuple(sorted(distinct, key=lambda record: record.id)), (*problems, *duplicates), sizes)


def _read_headers(candidate: Candidate) -> dict[Path, Header] | Problem:
    headers: dict[Path, Header] = {}
    for path in (*candidate.ldrs, *(() if candidate.hdr is None else (candidate.hdr.path,))):
        try:
            headers[path] = read_header(path)
        except ImageError as error:
            return Problem("damaged", path, str(error))
    sizes = [(header.height, header.width) for header in headers.values()]
    for path, size in zip(headers, sizes, strict=True):
        if size != sizes[0]:
            first = next(iter(headers))
            message = f"{size[1]} x {size[0]} pixels, but {first.name} has {sizes[0][1]} x {sizes[0][0]}"
            return Problem("size_mismatch", path, message)
    return headers


def _resolve(candidate: Candidate, headers: dict[Path, Header]) -> Resolved | Problem:
    paths = candidate.ldrs
    if not paths:
        return Resolved((), ())
    exif = tell_by_exif({path: headers[path].shot for path in paths})
    told = [source for source in (candidate.listed, exif, candidate.named) if source is not None]
    problems = []
    if candidate.listed is not None:
        missing = [path for path in paths if path not in candidate.listed.settings]
        message = "the list of exposures does not state its EV"
        problems += [Problem("ev_missing", path, message) for path in missing]
    resolved = resolve_exposures(paths, told)
    if not resolved.exposures:
        by_pixels = _resolve_by_pixels(paths)
        if isinstance(by_pixels, Problem):
            return by_pixels
        resolved = by_pixels
    return Resolved(resolved.exposures, (*problems, *resolved.problems))


def _resolve_by_pixels(paths: Sequence[Path]) -> Resolved | Problem:
    try:
        resolved = resolve_exposures(paths, [tell_by_pixels(paths)])
    except ImageError as error:
        return Problem.of_damage(paths, error)
    if not resolved.exposures:
        message = "neither a list nor EXIF nor names state the EVs of the exposures, and the pixels do not suffice"
        return Problem("ev_missing", paths[0].parent, message)
    evs = ", ".join(f"{exposure.ev:+.2f}" for exposure in resolved.exposures)
    message = f"neither a list nor EXIF nor names state the EVs; estimated from the pixels: {evs}"
    return Resolved(resolved.exposures, (Problem("ev_missing", paths[0].parent, message),))


def _drop_duplicates(records: Sequence[SceneRecord]) -> tuple[list[SceneRecord], list[Problem]]:
    groups = _group_by_content(
        records,
        size_of=lambda record: tuple(path.stat().st_size for path in record.paths),
        digest_of=lambda record: content_hash(record.paths),
    )
    kept, problems = [], []
    for group in groups:
        first, *others = sorted(group, key=lambda record: (-_STRICTNESS.index(record.split), record.id))
        kept.append(first)
        message = f"the same files as scene {first.id!r}, which was kept"
        problems += [Problem("duplicate", other.paths[-1], message) for other in others]
    return kept, problems


def _merge_places(records: Sequence[SceneRecord]) -> list[SceneRecord]:
    """Give scenes with the same HDR picture one place, and every place one split."""
    groups = _group_by_content(
        records,
        size_of=lambda record: (record.paths[-1].stat().st_size,),
        digest_of=lambda record: file_digest(record.paths[-1]),
    )
    leader: dict[str, str] = {}

    def lead(place: str) -> str:
        while place in leader:
            place = leader[place]
        return place

    for group in groups:
        first, *others = sorted({lead(record.place) for record in group})
        leader |= dict.fromkeys(others, first)
    splits: dict[str, Split | None] = {}
    for record in records:
        place = lead(record.place)
        splits[place] = max(splits.get(place), record.split, key=_STRICTNESS.index)
    return [replace(record, place=lead(record.place), split=splits[lead(record.place)]) for record in records]


def _group_by_content(
    records: Sequence[SceneRecord],
    *,
    size_of: Callable[[SceneRecord], tuple[int, ...]],
    digest_of: Callable[[SceneRecord], str],
) -> list[list[SceneRecord]]:
    """Records of equal content; only files of equal size are read to know it."""
    groups = []
    for of_size in _group(records, size_of):
        groups += [of_size] if len(of_size) == 1 else _group(of_size, digest_of)
    return groups


def _group(records: Sequence[SceneRecord], key_of: Callable[[SceneRecord], _Key]) -> list[list[SceneRecord]]:
    groups: dict[_Key, list[SceneRecord]] = {}
    for record in records:
        groups.setdefault(key_of(record), []).append(record)
    return list(groups.values())
