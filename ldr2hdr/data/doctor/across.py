"""Findings across scenes: pictures that are in two places, or in two splits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import torch

from ldr2hdr.data.datasets.fingerprint import file_digest
from ldr2hdr.data.datasets.record import SceneRecord
from ldr2hdr.data.doctor.facts import SceneFacts
from ldr2hdr.data.doctor.findings import Finding
from ldr2hdr.data.scenes.places import SPLITS, Split

# Correlation of signatures. Measured on views of the project's panoramas: copies with 10 % noise, at another scale or
# of half the size are at 0.9988 or more, views of different places at 0.934 or less (12000 pairs), other views of one
# place at 0.90 (99th percentile). Of crops that lack 3 % on each side, half are recognised.
_ALIKE: Final = 0.985
_BLOCK: Final = 1024


def find_copies(records: Sequence[SceneRecord], split_of: Mapping[str, Split]) -> Iterator[Finding]:
    """Find files of the same content: of two splits they are a leak, of one scene a bracket that is none."""
    owners = [(path, record) for record in records for path in record.paths]
    for (first, of_first), (other, of_other) in _pairs_of_equal(owners):
        what = f"the same content as {first.parent.name}/{first.name}"
        splits = split_of[of_first.id], split_of[of_other.id]
        if splits[0] != splits[1]:
            message = f"{what}: one is in {splits[0]}, the other in {splits[1]}"
            yield Finding("error", "leak", other, message, of_other.id)
        elif of_first.id == of_other.id:
            yield Finding("warning", "duplicate", other, f"{what}, at another EV of the same scene", of_other.id)
        elif of_first.place == of_other.place:
            yield Finding("note", "duplicate", other, f"{what}: both scenes are taken as one place", of_other.id)
        else:
            yield Finding("warning", "duplicate", other, f"{what}, of scene {of_first.id}", of_other.id)


def find_near_copies(scenes: Sequence[SceneFacts], split_of: Mapping[str, Split]) -> Iterator[Finding]:
    """Find scenes of two splits whose small pictures correlate, each once, with the one it is most like.

    Blocks keep the memory flat: of n scenes, 1024 x n correlations at a time.
    """
    if not scenes:
        return
    signatures = torch.stack([scene.signature for scene in scenes])
    rank = torch.tensor([SPLITS.index(split_of[scene.record.id]) for scene in scenes])
    for start in range(0, len(scenes), _BLOCK):
        rows = slice(start, start + _BLOCK)
        alike = signatures[rows] @ signatures.T
        # the scene of the later split is reported: train is what it leaked from
        alike[rank[None, :] >= rank[rows, None]] = -1.0
        best, partner = alike.max(dim=1)
        for row in (best > _ALIKE).nonzero().flatten().tolist():
            scene, other = scenes[start + row].record, scenes[int(partner[row])].record
            message = (
                f"scene {scene.id}, in {split_of[scene.id]}, looks like {other.paths[-1].name} of scene {other.id}, "
                f"in {split_of[other.id]}: correlation {best[row].item():.3f}"
            )
            yield Finding("warning", "near_duplicate", scene.paths[-1], message, scene.id)


def find_thin_splits(root: Path, split_of: Mapping[str, Split]) -> Iterator[Finding]:
    """Find splits without scenes, in a set that has any."""
    for split in SPLITS:
        if split_of and split not in split_of.values():
            yield Finding("note", "split", root, f"no scene is in {split}; another seed or other fractions may help")


def _pairs_of_equal(
    owners: Sequence[tuple[Path, SceneRecord]],
) -> Iterator[tuple[tuple[Path, SceneRecord], tuple[Path, SceneRecord]]]:
    """Pair each file with the first of equal content; only files of equal size are read."""
    for of_size in _group(owners, lambda path: path.stat().st_size):
        if len(of_size) > 1:
            for first, *others in _group(of_size, file_digest):
                for other in others:
                    if other[0] != first[0]:
                        yield first, other


def _group(
    owners: Sequence[tuple[Path, SceneRecord]], key_of: Callable[[Path], object]
) -> list[list[tuple[Path, SceneRecord]]]:
    groups: dict[object, list[tuple[Path, SceneRecord]]] = {}
    for owner in owners:
        groups.setdefault(key_of(owner[0]), []).append(owner)
    return list(groups.values())
