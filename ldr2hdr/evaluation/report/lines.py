"""Tables of an evaluation: the rows that belong together, the main system and its opponents."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ldr2hdr.evaluation.comparison.judged import Column, Judged
from ldr2hdr.evaluation.scoring import Summary, fine_tuned, strongest
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.metrics.bootstrap import Interval

REGIONS: Final = {"all": "all pixels", "well_exposed": "well-exposed pixels", "clipped": "clipped pixels"}


class TableKey(NamedTuple):
    """Key of a table.

    Attributes:
        camera_family: As in the scores.
        ranges: As in the scores.
        support: What its systems adapted on, in words; "" if that is not known.
    """

    camera_family: str
    ranges: str
    support: str = ""

    @property
    def title(self) -> str:
        """Return the key in words."""
        return ", ".join(part for part in (self.camera_family, f"{self.ranges} ranges", self.support) if part)


@dataclass(frozen=True)
class ResultTable:
    """Means and differences of one camera family and range.

    Attributes:
        key: Camera family, range and support.
        means: Of every system.
        differences: Of the main system and its opponents.
        hidden: Stages of fine-tuning that are not the strongest one of this table.
    """

    key: TableKey
    means: Sequence[Summary]
    differences: Sequence[Summary]
    hidden: frozenset[Stage]

    @property
    def stages(self) -> list[Stage]:
        """Return the systems at their stages, in order of appearance."""
        return list(dict.fromkeys(row.stage for row in self.means))

    @property
    def main(self) -> Stage | None:
        """Return the stage that is compared with others; None without differences."""
        return self.differences[0].stage if self.differences else None

    @property
    def opponents(self) -> list[Stage]:
        """Return the stages that the main one is compared with, in order of appearance."""
        return list(dict.fromkeys(row.opponent for row in self.differences if row.opponent is not None))

    @property
    def compared(self) -> list[Stage]:
        """Return the main stage and its opponents; without differences, all that are not hidden."""
        if self.main is None:
            return [stage for stage in self.stages if stage not in self.hidden]
        return list(dict.fromkeys([self.main, *self.opponents]))

    def interval(self, stage: Stage, metric: str, region: str) -> Interval | None:
        """Return the mean of a stage; None if it has none."""
        rows = ((row.stage, row.metric, row.region, row.interval) for row in self.means)
        return next((interval for *found, interval in rows if found == [stage, metric, region]), None)


def split_tables(
    means: Sequence[Summary], differences: Sequence[Summary], *, support: str = ""
) -> dict[TableKey, ResultTable]:
    """Return one table per camera family and range, in order of appearance.

    Args:
        means: Of one evaluation.
        differences: Of the same.
        support: What its systems adapted on, in words.
    """
    tuned = fine_tuned(means)
    best = strongest(means, tuned)
    tables = {}
    for group in dict.fromkeys((row.camera_family, row.ranges) for row in means):
        chosen = [[row for row in rows if row[1:3] == group] for rows in (means, differences)]
        key = TableKey(*group, support)
        tables[key] = ResultTable(key, chosen[0], chosen[1], frozenset(tuned - {best.get(group)}))
    return tables


def place_means(judged: Judged, key: TableKey, *, metric: str, region: str) -> Mapping[Stage, Mapping[str, float]]:
    """Return the mean of each place by stage; a place whose pictures lack the region is left out."""
    means: dict[Stage, dict[str, float]] = {}
    for stage in judged.stages():
        groups: dict[str, list[float]] = {}
        for picture, value in judged.scores.get(Column(stage, metric, region), {}).items():
            if (picture.camera_family, picture.ranges) == key[:2] and not math.isnan(value):
                groups.setdefault(picture.place, []).append(value)
        means[stage] = {place: math.fsum(values) / len(values) for place, values in groups.items()}
    return means
