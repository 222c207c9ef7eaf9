"""Job of a sweep: its overrides, its end and its scores."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

import yaml

from ldr2hdr.io.files import replacing
from ldr2hdr.training.sweeps.curves import METRICS, LoggedPoint, read_curves

RECORD: Final = "job.json"
OVERRIDES: Final = ".hydra/overrides.yaml"

Status = Literal["completed", "failed", "running", "unknown"]


@dataclass(frozen=True)
class Record:
    """Record of a job in its folder, written before it starts and when it has ended.

    Attributes:
        number: In the sweep, from 0.
        overrides: As typed, such as ``algo=fomaml``.
        status: ``running`` also if the process was killed; ``unknown`` without a record.
        seconds: From start to end; None before that.
        objective: What the sweeper was given; None without.
        optimized_metric: Which metric that is.
        error: Why it failed, in a line; "" if it did not.
        traceback: All of it.
    """

    number: int
    overrides: Sequence[str]
    status: Status
    seconds: float | None = None
    objective: float | None = None
    optimized_metric: str | None = None
    error: str = ""
    traceback: str = ""

    def write(self, folder: Path) -> None:
        """Write ``job.json``, whole or not at all."""
        with replacing(folder / RECORD) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


class Reached(NamedTuple):
    """A validation metric without inner steps and after as many as were logged; None if nothing was."""

    before: float | None
    last: float | None
    best: float | None


@dataclass(frozen=True)
class Job:
    """A job as it is found.

    Attributes:
        folder: Where it ran.
        record: What it left.
        curves: What it logged, by name, such as ``val/pu_psnr@3``.
    """

    folder: Path
    record: Record
    curves: Mapping[str, Sequence[LoggedPoint]]

    @property
    def settings(self) -> dict[str, str]:
        """Return the overrides by key.

        Example:
            >>> Job(Path("a"), Record(0, ["algo=maml", "+x='a=b'"], "failed"), {}).settings
            {'algo': 'maml', 'x': "'a=b'"}
        """
        pairs = (override.partition("=") for override in self.record.overrides)
        return {key.lstrip("+"): value for key, _, value in pairs}

    def adapted(self, metric: str) -> Sequence[LoggedPoint]:
        """Return the curve of ``val/pu_psnr`` after the most inner steps that were logged."""
        steps = [int(name.rpartition("@")[2]) for name in self.curves if _is_after_steps(name, metric)]
        return self.curves[f"{metric}@{max(steps)}"] if steps else ()

    def reached(self, metric: str, *, is_more_better: bool) -> Reached:
        """Sum up the curves of a metric."""
        before, after = self.curves.get(f"{metric}@0", ()), self.adapted(metric)
        choose = max if is_more_better else min
        return Reached(
            before[-1].value if before else None,
            after[-1].value if after else None,
            choose(point.value for point in after) if after else None,
        )


def read_job(folder: Path, *, number: int) -> Job:
    """Read the folder of a job.

    Args:
        folder: The folder, with ``.hydra/overrides.yaml``.
        number: Of the job, if it left no record.

    Raises:
        ValueError: If a file is not what it should be.
    """
    metrics = next((folder / name for name in METRICS if (folder / name).is_file()), None)
    return Job(folder, _read_record(folder, number), {} if metrics is None else read_curves(metrics))


def _read_record(folder: Path, number: int) -> Record:
    path = folder / RECORD
    if path.is_file():
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if content["status"] not in get_args(Status):
                raise ValueError(f"expected a status of {get_args(Status)}, got {content['status']!r}")
            return Record(**content)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path} is not the record of a sweep's job: {error}") from None
    path = folder / OVERRIDES
    overrides = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(overrides, list):
        raise ValueError(f"{path}: expected a list of overrides, got {overrides!r}")
    return Record(number, [str(override) for override in overrides], "unknown")


def _is_after_steps(name: str, metric: str) -> bool:
    stem, _, after = name.rpartition("@")
    return stem == metric and after.isdecimal()
