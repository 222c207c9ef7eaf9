"""Systems at their stages of adaptation: the columns that a score is filed under, and their one display name."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

SINGLE_SHOT: Final = "single-shot"
ADAPTED: Final = "adapted"
FINE_TUNED: Final = "fine-tuned"
# The display name, which files of before the columns have instead of them
_DISPLAYED: Final = re.compile(
    rf"(?P<system>.*), ({SINGLE_SHOT}|(?P<verb>{ADAPTED}|{FINE_TUNED}), (?P<steps>\d+) steps?)", re.DOTALL
)
_WITH_RATE: Final = re.compile(r"(?P<system>.*) lr (?P<lr>[\d.e+-]+)", re.DOTALL)


class Stage(NamedTuple):
    """System at a stage of adaptation.

    Attributes:
        system: Name of the system.
        verb: ``single-shot``, ``adapted`` or ``fine-tuned``; "" for a system that has no stages.
        steps: Number of inner steps; None where there are none.
        lr: Inner learning rate, where it is not the one trained with.
    """

    system: str
    verb: str = ""
    steps: int | None = None
    lr: float | None = None

    @property
    def words(self) -> str:
        """Return the stage without the name of the system.

        Example:
            >>> Stage("maml", "adapted", 1).words, Stage("maml", "single-shot").words, Stage("LDR input").words
            ('adapted, 1 step', 'single-shot', '')
        """
        count = [] if self.steps is None else [f"{self.steps} step{'' if self.steps == 1 else 's'}"]
        return ", ".join(filter(None, [self.verb, *count]))

    def __str__(self) -> str:
        """Return the name in tables and charts.

        Example:
            >>> str(Stage("maml", "adapted", 3)), str(Stage("supervised", "fine-tuned", 1, 0.1)), str(Stage("fit"))
            ('maml, adapted, 3 steps', 'supervised lr 0.1, fine-tuned, 1 step', 'fit')
        """
        rate = "" if self.lr is None else f" lr {self.lr:g}"
        return ", ".join(filter(None, [self.system + rate, self.words]))


def read_stage(record: Mapping[str, Any]) -> Stage:
    """Read the columns of a stage from a row of a file.

    Args:
        record: Row with ``system``, ``verb``, ``steps`` and ``lr``, numbers as numbers or text; or a row of a file of
            before these columns, whose ``system`` is the display name.

    Raises:
        KeyError: If a column is missing.
        ValueError: If a number is none.

    Example:
        >>> read_stage({"system": "maml, adapted, 3 steps"})
        Stage(system='maml', verb='adapted', steps=3, lr=None)
    """
    if "verb" not in record:
        return _parse(str(record["system"]))
    steps = None if record["steps"] in (None, "") else int(record["steps"])
    lr = None if record["lr"] in (None, "") else float(record["lr"])
    return Stage(str(record["system"]), str(record["verb"]), steps, lr)


def find_stage(stages: Iterable[Stage], name: str) -> Stage | None:
    """Return the stage of this display name, None if there is none."""
    return next((stage for stage in stages if str(stage) == name), None)


def _parse(name: str) -> Stage:
    found = _DISPLAYED.fullmatch(name)
    if found is None:
        return Stage(name)
    if found["verb"] is None:
        return Stage(found["system"], SINGLE_SHOT)
    rate = _WITH_RATE.fullmatch(found["system"]) if found["verb"] == FINE_TUNED else None
    system, lr = (found["system"], None) if rate is None else (rate["system"], float(rate["lr"]))
    return Stage(system, found["verb"], int(found["steps"]), lr)
