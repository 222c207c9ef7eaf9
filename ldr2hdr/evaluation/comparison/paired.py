"""Paired differences of two evaluations, or why there are none."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.evaluation.comparison.judged import Column, Judged, Picture, read_judged
from ldr2hdr.evaluation.comparison.support import Support
from ldr2hdr.evaluation.stages import Stage, find_stage
from ldr2hdr.metrics.bootstrap import Interval, bootstrap_difference, is_undecided
from ldr2hdr.metrics.catalogue import METRICS
from ldr2hdr.metrics.suite import ScoreName

Verdict: TypeAlias = Literal["better", "worse", "different", "small", "undecided"]

# It reads neither theta nor support, so its scores are a fingerprint of the pictures and of the metrics' code
_WITNESS: Final = Stage("LDR input")
# dB or stops: far above the rounding of another machine, far below what another crop or camera makes
_WITNESS_TOLERANCE: Final = 0.02
# of a protocol, what does not decide a score
_NOT_OF_SCORES: Final = "intervals"


class Difference(NamedTuple):
    """Mean over places of ``A - B`` in one metric on one region.

    Attributes:
        stage_a: System of the first evaluation, at its stage.
        stage_b: System of the second.
        camera_family: Cameras of the pictures.
        ranges: Parameter ranges of these cameras.
        metric: Metric, with its alignment.
        region: Part of the pictures.
        interval: Mean and 95 % interval.
        verdict: Whether A is better or worse; ``different`` where neither direction is; ``small`` where the
            difference is there, but below what people can be relied on to agree with; or ``undecided``.
    """

    stage_a: Stage
    stage_b: Stage
    camera_family: str
    ranges: str
    metric: str
    region: str
    interval: Interval
    verdict: Verdict


class Comparison(NamedTuple):
    """Two evaluations side by side.

    Attributes:
        differences: One for each pair of systems, camera family, range, metric and region whose scores differ.
        identical: Pairs of systems whose scores agree in every digit; they have no differences.
        only_a: Pictures that the first evaluation alone has; no difference counts them.
        only_b: Pictures that the second alone has.
        notes: What else a reader should know, such as versions that differ.
    """

    differences: list[Difference]
    identical: list[tuple[Stage, Stage]]
    only_a: list[Picture]
    only_b: list[Picture]
    notes: list[str]


class _Paired(NamedTuple):
    """Scores of two systems on the same pictures."""

    camera_family: str
    ranges: str
    metric: str
    region: str
    places: list[str]
    a: Float[Tensor, " n"]
    b: Float[Tensor, " n"]


def compare_results(
    a: Path, b: Path, *, pairs: Sequence[tuple[str, str]] | None = None, seed: int = 0, num_resamples: int = 2000
) -> Comparison:
    """Compare two evaluations picture by picture.

    Only pictures and metrics that both have count. Whether pictures of one name are the same pictures is seen from
    the scores of the unprocessed LDR input, which every evaluation has.

    Args:
        a: Folder with ``results.json`` and ``scores.csv``, as ``ldr2hdr.evaluate`` writes them.
        b: The other one.
        pairs: Display names of a system of A and of one of B to compare; None for all that both have.
        seed: Seed of the bootstrap.
        num_resamples: Resamples drawn.

    Returns:
        Differences ``A - B``, and what they leave out.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is not what an evaluation writes, the protocols define something differently, the tasks
            are of another kind, pictures of one name are not the same, no picture is in both, or a system of a pair
            is not there.
    """
    first, second = read_judged(a), read_judged(b)
    _require_same_protocol(first, second)
    _require_same_task(first, second)
    in_a, in_b = first.pictures(), second.pictures()
    shared = [picture for picture in in_a if picture in in_b]
    _require_same_pictures(first, second, shared)
    chosen = _common_stages(first, second) if pairs is None else _find_pairs(first, second, pairs)
    differences, identical = [], []
    for pair in chosen:
        paired = list(_pair_up(first, second, pair, shared))
        if all(torch.equal(row.a.nan_to_num(), row.b.nan_to_num()) for row in paired):
            identical.append(pair)
        else:
            differences += [_difference(pair, row, seed=seed, num_resamples=num_resamples) for row in paired]
    return Comparison(
        [row for row in differences if row.interval.num_scenes > 0 and any(row.interval[:3])],
        identical,
        [picture for picture in in_a if picture not in in_b],
        [picture for picture in in_b if picture not in in_a],
        _notes(first, second),
    )


def _require_same_protocol(first: Judged, second: Judged) -> None:
    different = [
        f"{key}: {value!r} in A, {second.protocol[key]!r} in B"
        for key, value in first.protocol.items()
        if key != _NOT_OF_SCORES and value != second.protocol.get(key, value)
    ]
    if different:
        raise ValueError(
            f"{first.folder} and {second.folder} were judged by different protocols, so their scores cannot be set "
            f"side by side; evaluate one of them again. They differ in {'; '.join(different)}"
        )


def _require_same_task(first: Judged, second: Judged) -> None:
    in_a, in_b = first.support.task, second.support.task
    if in_a and in_b and in_a != in_b:
        raise ValueError(
            f"{first.folder} was judged on {in_a}, {second.folder} on {in_b}: these are not the same pictures; "
            "evaluate both with the same task"
        )


def _require_same_pictures(first: Judged, second: Judged, shared: Sequence[Picture]) -> None:
    if not shared:
        raise ValueError(f"{first.folder} and {second.folder} have no picture in common; give both the same tasks")
    columns = [column for column in first.scores if column.stage == _WITNESS and column in second.scores]
    if not columns:
        raise ValueError(
            f"{first.folder} and {second.folder} need scores of '{_WITNESS}' in one metric, which show that pictures "
            "of one name are the same"
        )
    for column in columns:
        for picture in shared:
            in_a, in_b = (judged.scores[column].get(picture, math.nan) for judged in (first, second))
            # undefined in one alone is another region, so another picture
            is_same = (math.isnan(in_a) and math.isnan(in_b)) or abs(in_a - in_b) <= _WITNESS_TOLERANCE
            if not is_same:
                raise ValueError(
                    f"pictures of one name are not the same: {column.metric} of '{_WITNESS}' on {column.region} is "
                    f"{in_a:.4g} in A and {in_b:.4g} in B for {' / '.join(map(str, picture))}; evaluate both with "
                    "the same seed, dataset, camera and task"
                )


def _common_stages(first: Judged, second: Judged) -> list[tuple[Stage, Stage]]:
    common = [(stage, stage) for stage in first.stages() if stage in second.stages() and stage != _WITNESS]
    if not common:
        raise ValueError(f"no system is in both: A has {_names(first)}; B has {_names(second)}; name a pair to compare")
    return common


def _find_pairs(first: Judged, second: Judged, pairs: Sequence[tuple[str, str]]) -> list[tuple[Stage, Stage]]:
    return [(_find(first, name_a), _find(second, name_b)) for name_a, name_b in pairs]


def _find(judged: Judged, name: str) -> Stage:
    stage = find_stage(judged.stages(), name)
    if stage is None:
        raise ValueError(f"{judged.folder} has no system {name!r}; it has {_names(judged)}")
    return stage


def _names(judged: Judged) -> str:
    return ", ".join(map(str, judged.stages()))


def _pair_up(first: Judged, second: Judged, pair: tuple[Stage, Stage], shared: Sequence[Picture]) -> Iterator[_Paired]:
    groups: dict[tuple[str, str], list[Picture]] = {}
    for picture in shared:
        groups.setdefault((picture.camera_family, picture.ranges), []).append(picture)
    for group, pictures in groups.items():
        places = [picture.place for picture in pictures]
        for column, scores in first.scores.items():
            other = second.scores.get(Column(pair[1], column.metric, column.region))
            if column.stage != pair[0] or other is None:
                continue
            a, b = (
                torch.tensor([values.get(picture, math.nan) for picture in pictures], dtype=torch.float64)
                for values in (scores, other)
            )
            yield _Paired(*group, column.metric, column.region, places, a, b)


def _difference(pair: tuple[Stage, Stage], row: _Paired, *, seed: int, num_resamples: int) -> Difference:
    interval = bootstrap_difference(
        row.a, row.b, row.places, generator=torch.Generator().manual_seed(seed), num_resamples=num_resamples
    )
    return Difference(
        *pair, row.camera_family, row.ranges, row.metric, row.region, interval, _verdict(row.metric, interval)
    )


def _verdict(metric: str, interval: Interval) -> Verdict:
    if is_undecided(interval):
        return "undecided"
    known = METRICS.get(ScoreName.parse(metric).metric)
    if known is None or known.better == "neither":
        return "different"
    if is_undecided(interval, smallest=known.least_difference):
        return "small"
    return "better" if (interval.mean > 0) == (known.better == "higher") else "worse"


def _notes(first: Judged, second: Judged) -> list[str]:
    """Return the versions and supports that differ, and metrics that one lacks."""
    notes = [
        f"{package} is {first.versions.get(package)} in A and {second.versions.get(package)} in B"
        for package in dict.fromkeys([*first.versions, *second.versions])
        if first.versions.get(package) != second.versions.get(package)
    ]
    for what, in_a, in_b in zip(Support._fields, first.support, second.support, strict=True):
        if in_a != in_b and in_a and in_b:
            notes.append(f"systems adapted on other {what}: {in_a} in A, {in_b} in B")
    for name, own, other in (("A", first, second), ("B", second, first)):
        alone = [metric for metric in own.metrics() if metric not in other.metrics()]
        if alone:
            notes.append(f"only {name} has {', '.join(alone)}")
    return notes
