"""The examination of a whole set, in one pass over its files."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.files import HDR_SUFFIXES, LDR_SUFFIXES
from ldr2hdr.data.datasets.pixels import read_stored
from ldr2hdr.data.datasets.record import Problem, SceneRecord
from ldr2hdr.data.doctor.across import find_copies, find_near_copies, find_thin_splits
from ldr2hdr.data.doctor.facts import SceneFacts
from ldr2hdr.data.doctor.findings import Finding, from_problem
from ldr2hdr.data.doctor.pictures import find_pictures
from ldr2hdr.data.doctor.scene import examine_scene
from ldr2hdr.data.scenes.places import SPLITS, Split
from ldr2hdr.io import ImageError

# Thumbnails kept: the page stays small, whatever the set's size.
_MAX_SOUND_SHOWN: Final = 8
_MAX_FLAGGED_SHOWN: Final = 16
_MAX_CURVES: Final = 32
_SUFFIXES: Final = (*LDR_SUFFIXES, *HDR_SUFFIXES)


class Response(NamedTuple):
    """A camera's response: the median over scenes of log2 sensor exposure for each level."""

    camera: str
    num_scenes: int
    curve: Float[Tensor, "3 256"]


class Diagnosis(NamedTuple):
    """Diagnosis of a set.

    Attributes:
        root: Its folder.
        dataset: Name of the reader.
        is_guessed: Whether the name was.
        num_files: Picture files below the folder, and that of the test set.
        records: Scenes that can be read by their headers.
        split_of: By id.
        scenes: Those whose files are all intact, thumbnails of a part of them only.
        responses: By camera, those of most scenes first.
        findings: In the order of their finding.
    """

    root: Path
    dataset: str
    is_guessed: bool
    num_files: int
    records: tuple[SceneRecord, ...]
    split_of: Mapping[str, Split]
    scenes: tuple[SceneFacts, ...]
    responses: tuple[Response, ...]
    findings: tuple[Finding, ...]

    @property
    def has_errors(self) -> bool:
        """Return whether something would break training."""
        return any(finding.severity == "error" for finding in self.findings)


def list_pictures(root: Path, test_root: Path | None = None) -> list[Path]:
    """List the picture files that `diagnose` decodes, each once."""
    folders = (root,) if test_root is None else (root, test_root)
    return list(dict.fromkeys(path for folder in folders for path in find_pictures(folder, _SUFFIXES)))


def diagnose(
    dataset: AbstractFileDataset,
    *,
    root: Path,
    is_guessed: bool,
    tick: Callable[[Path], None],
    test_root: Path | None = None,
) -> Diagnosis:
    """Decode every picture of a set and compare what belongs together.

    Of each picture a small part is kept until its scene is done, of each scene some numbers and, of the first and the
    doubtful ones, thumbnails; so memory is that of the largest bracket.

    Args:
        dataset: Its reader.
        root: Its folder.
        is_guessed: Whether the reader was.
        tick: Called after each file.
        test_root: Folder of its test set, if it is another.
    """
    records = dataset.records()
    split_of: dict[str, Split] = {record.id: split for split in SPLITS for record in dataset.split(split)}
    owner_of = {path: record for record in records for path in record.paths}
    folders = {path.parent for path in owner_of}
    findings = [_of_reader(problem, owner_of, folders) for problem in dataset.problems()]
    flagged = {finding.path for finding in findings}
    scenes: list[SceneFacts] = []
    num_shown: Counter[bool] = Counter()
    curves: dict[str, list[Tensor]] = {}
    for record in records:
        facts, found = examine_scene(record, tick=tick)
        findings += found
        if facts is None:
            continue
        is_flagged = any(finding.severity != "note" for finding in found)
        limit = _MAX_FLAGGED_SHOWN if is_flagged else _MAX_SOUND_SHOWN
        is_shown = num_shown[is_flagged] < limit
        num_shown[is_flagged] += is_shown
        of_camera = curves.setdefault(record.camera, [])
        if facts.curve is not None and len(of_camera) < _MAX_CURVES:
            of_camera.append(facts.curve)
        scenes.append(facts._replace(curve=None, thumbnails=facts.thumbnails if is_shown else ()))
    pictures = list_pictures(root, test_root)
    findings += _look_at_others([path for path in pictures if path not in owner_of], flagged, tick=tick)
    intact = [scene.record for scene in scenes]
    findings += [*find_copies(intact, split_of), *find_near_copies(scenes, split_of)]
    findings += [*find_thin_splits(root, split_of), *_judge_whole(root, records, scenes)]
    return Diagnosis(
        root=root,
        dataset=dataset.name,
        is_guessed=is_guessed,
        num_files=len(pictures),
        records=records,
        split_of=split_of,
        scenes=tuple(scenes),
        responses=_responses(curves),
        findings=tuple(dict.fromkeys(findings)),
    )


def _of_reader(problem: Problem, owner_of: Mapping[Path, SceneRecord], folders: Set[Path]) -> Finding:
    owner = owner_of.get(problem.path)
    finding = from_problem(problem, scene=None if owner is None else owner.id)
    # where EVs were estimated, the folder holds a scene; otherwise its scene was left out
    is_left_out = problem.kind == "ev_missing" and owner is None and problem.path not in folders
    return finding._replace(severity="warning") if is_left_out else finding


def _look_at_others(paths: Iterable[Path], flagged: set[Path], *, tick: Callable[[Path], None]) -> list[Finding]:
    """Decode pictures that are in no scene; report those that no problem names."""
    findings = []
    for path in paths:
        if path not in flagged:
            message = (
                "the reader does not take it: a name or a place that the layout does not have, or a left-out scene"
            )
            findings.append(Finding("note", "unused", path, message))
        try:
            read_stored(path)
        except (ImageError, OSError) as error:
            # a broken file that is not read breaks nothing, unless it is why its scene was left out
            findings.append(Finding("error" if path in flagged else "warning", "damaged", path, str(error)))
        tick(path)
    return findings


def _judge_whole(root: Path, records: Sequence[SceneRecord], scenes: Sequence[SceneFacts]) -> list[Finding]:
    if not records:
        return [Finding("error", "empty", root, "no scene of the set can be read")]
    pairs = [scene for scene in scenes if scene.exposures and scene.hdr is not None]
    if pairs and not any(scene.is_usable for scene in pairs):
        return [Finding("error", "empty", root, f"of {len(pairs)} scenes with LDR and HDR, none fits")]
    return []


def _responses(curves: Mapping[str, Sequence[Tensor]]) -> tuple[Response, ...]:
    found = [
        Response(camera, len(of_camera), torch.stack(list(of_camera)).double().median(dim=0).values)
        for camera, of_camera in curves.items()
        if of_camera
    ]
    return tuple(sorted(found, key=lambda response: (-response.num_scenes, response.camera)))
