"""Evaluation as its files hold it: scores of each picture, and their protocol."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ldr2hdr.evaluation.comparison.support import Support, read_support
from ldr2hdr.evaluation.results import read_scores
from ldr2hdr.evaluation.stages import Stage


class Picture(NamedTuple):
    """Query picture of an evaluation.

    Attributes:
        camera_family: As in the scores.
        ranges: As in the scores.
        camera: As in the scores.
        place: As in the scores.
        picture: As in the scores.
        repeat: Counts the tasks that show the same place by the same camera, from 0.
    """

    camera_family: str
    ranges: str
    camera: str
    place: str
    picture: int
    repeat: int = 0


class Column(NamedTuple):
    """Column of scores of every picture: one metric of one system at one stage on one region."""

    stage: Stage
    metric: str
    region: str


@dataclass(frozen=True)
class Judged:
    """Evaluation, picture by picture.

    Attributes:
        folder: Where it lies.
        protocol: What its scores mean; nested keys are joined by dots.
        versions: Of the packages that computed them.
        scores: By column and picture; NaN where a picture lacks the region.
        support: What its systems adapted on.
    """

    folder: Path
    protocol: Mapping[str, Any]
    versions: Mapping[str, Any]
    scores: Mapping[Column, Mapping[Picture, float]]
    support: Support = field(default_factory=Support)

    def stages(self) -> list[Stage]:
        """Return the systems at their stages, in order of appearance."""
        return list(dict.fromkeys(column.stage for column in self.scores))

    def metrics(self) -> list[str]:
        """Return the names of the metrics, in order of appearance."""
        return list(dict.fromkeys(column.metric for column in self.scores))

    def pictures(self) -> dict[Picture, None]:
        """Return the pictures of which there is any score, in order of appearance."""
        return dict.fromkeys(picture for column in self.scores.values() for picture in column)


def read_judged(folder: Path) -> Judged:
    """Read the ``results.json`` and ``scores.csv`` of an evaluation.

    Raises:
        FileNotFoundError: If one of them is missing.
        ValueError: If one of them is not what ``ldr2hdr.evaluate`` writes.
    """
    about, scores = folder / "results.json", folder / "scores.csv"
    for path in (about, scores):
        if not path.is_file():
            raise FileNotFoundError(f"no evaluation in {folder}: it lacks {path.name}, which ldr2hdr.evaluate writes")
    try:
        content = json.loads(about.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{about} is not JSON: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("protocol"), dict):
        raise ValueError(f"{about} is not a results.json of ldr2hdr: it needs the key protocol")
    protocol = dict(content["protocol"])
    versions = {**content.get("versions", {}), **protocol.pop("versions", {})}
    support = read_support(content.get("config"))
    return Judged(folder, _flatten(protocol), versions, _read_columns(scores), support)


def _flatten(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _read_columns(path: Path) -> dict[Column, dict[Picture, float]]:
    columns: dict[Column, dict[Picture, float]] = {}
    for score in read_scores(path):
        column = columns.setdefault(Column(score.stage, score.metric, score.region), {})
        picture = Picture(score.camera_family, score.ranges, score.camera, score.place, score.picture)
        while picture in column:
            picture = picture._replace(repeat=picture.repeat + 1)
        column[picture] = score.value
    return columns
