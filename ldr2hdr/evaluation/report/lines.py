"""Which rows and systems of an evaluation belong together: one table, its main system, what that is compared with."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ldr2hdr.evaluation.comparison.judged import Column, Judged
from ldr2hdr.evaluation.scoring import Summary, strongest
from ldr2hdr.metrics.bootstrap import Interval

REGIONS: Final = {"all": "all pixels", "well_exposed": "well-exposed pixels", "clipped": "clipped pixels"}
_STEPS: Final = re.compile(r"(?P<system>.*), (?P<verb>adapted|fine-tuned), (?P<steps>\d+) steps?")


class TableKey(NamedTuple):
    """What one table is about.

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
        """In words."""
        return ", ".join(part for part in (self.camera_family, f"{self.ranges} ranges", self.support) if part)


class Stage(NamedTuple):
    """A learned system after inner steps."""

    system: str
    verb: str
    steps: int


@dataclass(frozen=True)
class ResultTable:
    """Means and differences of one camera family and range.

    Attributes:
        key: Which.
        means: Of every system.
        differences: Of the main system and its opponents.
        hidden: Fine-tuned systems that are not the strongest one of this table.
    """

    key: TableKey
    means: Sequence[Summary]
    differences: Sequence[Summary]
    hidden: frozenset[str]

    @property
    def systems(self) -> list[str]:
        """In order of appearance."""
        return list(dict.fromkeys(row.system for row in self.means))

    def interval(self, system: str, metric: str, region: str) -> Interval | None:
        """Mean of a system; None if it has none."""
        rows = ((row.system, row.metric, row.region, row.interval) for row in self.means)
        return next((interval for *found, interval in rows if found == [system, metric, region]), None)

    def pairs(self) -> dict[str, tuple[str, str]]:
        """Both systems of each difference, by its name."""
        names = {row.system for row in self.differences}
        return {f"{a} - {b}": (a, b) for a in self.systems for b in self.systems if f"{a} - {b}" in names}

    @property
    def main(self) -> str | None:
        """The system that is compared with others; None without differences."""
        return next((main for main, _ in self.pairs().values()), None)

    @property
    def compared(self) -> list[str]:
        """The main system and its opponents; without differences, all that are not hidden."""
        pairs = self.pairs()
        if not pairs:
            return [system for system in self.systems if system not in self.hidden]
        return list(dict.fromkeys(system for pair in pairs.values() for system in pair))


def split_tables(
    means: Sequence[Summary], differences: Sequence[Summary], *, support: str = ""
) -> dict[TableKey, ResultTable]:
    """One table per camera family and range, in order of appearance.

    Args:
        means: Of one evaluation.
        differences: Of the same.
        support: What its systems adapted on, in words.
    """
    fine_tuned = {row.system for row in means if (stage := parse_stage(row.system)) and stage.verb == "fine-tuned"}
    best = strongest(means, fine_tuned)
    tables = {}
    for group in dict.fromkeys((row.camera_family, row.ranges) for row in means):
        chosen = [[row for row in rows if row[1:3] == group] for rows in (means, differences)]
        key = TableKey(*group, support)
        tables[key] = ResultTable(key, chosen[0], chosen[1], frozenset(fine_tuned - {best.get(group, "")}))
    return tables


def parse_stage(name: str) -> Stage | None:
    """Take the name of a learned system apart; None for others.

    Example:
        >>> parse_stage("maml, adapted, 3 steps")
        Stage(system='maml', verb='adapted', steps=3)
    """
    found = _STEPS.fullmatch(name)
    return Stage(found["system"], found["verb"], int(found["steps"])) if found else None


def place_means(judged: Judged, key: TableKey, *, metric: str, region: str) -> Mapping[str, Mapping[str, float]]:
    """Mean of each place by system; a place whose pictures lack the region is left out."""
    means: dict[str, dict[str, float]] = {}
    for system in judged.systems():
        groups: dict[str, list[float]] = {}
        for picture, value in judged.scores.get(Column(system, metric, region), {}).items():
            if (picture.camera_family, picture.ranges) == key[:2] and not math.isnan(value):
                groups.setdefault(picture.place, []).append(value)
        means[system] = {place: math.fsum(values) / len(values) for place, values in groups.items()}
    return means
