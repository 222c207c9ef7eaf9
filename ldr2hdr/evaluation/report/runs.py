"""Folders that a report is made from: evaluations, training runs and sweeps."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from ldr2hdr.evaluation.comparison.judged import Judged, read_judged
from ldr2hdr.evaluation.report.lines import ResultTable, TableKey, split_tables
from ldr2hdr.evaluation.results import Results, read_results
from ldr2hdr.evaluation.samples import INDEX, Sample, read_samples
from ldr2hdr.training.sweeps.curves import METRICS, LoggedPoint, read_curves
from ldr2hdr.training.sweeps.folder import is_sweep, read_sweep
from ldr2hdr.training.sweeps.job import Job
from ldr2hdr.training.sweeps.table import name_job, varying_keys

_RESULTS: Final = "results.json"


@dataclass(frozen=True)
class Evaluation:
    """A folder of ``ldr2hdr.evaluate``.

    Attributes:
        name: Unique in the report.
        folder: Where it lies.
        about: Commit, versions, configuration, protocol.
        results: Means and differences.
        judged: Scores of each picture.
        samples: Pictures that were kept.
    """

    name: str
    folder: Path
    about: Mapping[str, Any]
    results: Results
    judged: Judged
    samples: Sequence[Sample] = field(default=())

    @property
    def shots(self) -> int | None:
        """Support pictures K that its systems adapted on; None if the configuration does not say."""
        return self.judged.support.shots

    @cached_property
    def tables(self) -> Mapping[TableKey, ResultTable]:
        """Return the results by table."""
        return split_tables(*self.results, support=self.judged.support.words)


@dataclass(frozen=True)
class Training:
    """A folder of ``ldr2hdr.train``.

    Attributes:
        name: Unique in the report.
        folder: Where it lies.
        about: Commit, versions, configuration; empty without a manifest.
        curves: What the CSV logger wrote, by name, such as ``val/pu_psnr@5``.
    """

    name: str
    folder: Path
    about: Mapping[str, Any]
    curves: Mapping[str, Sequence[LoggedPoint]]


@dataclass(frozen=True)
class Sweep:
    """A folder of ``ldr2hdr.train -m``.

    Attributes:
        name: Unique in the report.
        folder: Where it lies.
        jobs: All that were started, also those that failed.
    """

    name: str
    folder: Path
    jobs: Sequence[Job]


class Runs(NamedTuple):
    """Runs found in the folders; one may hold an evaluation and a training, and a sweep's jobs are trainings too."""

    evaluations: list[Evaluation]
    trainings: list[Training]
    sweeps: list[Sweep]


def read_runs(folders: Iterable[Path]) -> Runs:
    """Read every folder.

    Raises:
        FileNotFoundError: If a folder is missing, or a file of an evaluation.
        ValueError: If a folder holds neither an evaluation nor a training run, or a file is not what it should be.
    """
    runs = Runs([], [], [])
    unique = list(dict.fromkeys(folder.resolve() for folder in folders))
    for folder, name in zip(unique, name_runs(unique), strict=True):
        if not folder.is_dir():
            raise FileNotFoundError(f"expected the folder of a run, got no folder at {folder}")
        if is_sweep(folder):
            sweep = Sweep(name, folder, read_sweep(folder))
            runs.sweeps.append(sweep)
            runs.trainings.extend(_trainings(sweep, is_only=len(unique) == 1))
            continue
        metrics = next((folder / path for path in METRICS if (folder / path).is_file()), None)
        has_results = (folder / _RESULTS).is_file()
        if has_results:
            runs.evaluations.append(_read_evaluation(folder, name))
        if metrics is not None:
            runs.trainings.append(Training(name, folder, _read_manifest(folder), read_curves(metrics)))
        if metrics is None and not has_results:
            raise ValueError(
                f"{folder} holds neither {_RESULTS} (of ldr2hdr.evaluate) nor csv/metrics.csv (of ldr2hdr.train); "
                "give the folder of a run or of a sweep itself"
            )
    return runs


def name_runs(folders: Sequence[Path]) -> list[str]:
    """Name each folder by the last part of its path, and as many before it as part the folders.

    Example:
        >>> name_runs([Path("/a/one/run"), Path("/a/two/run"), Path("/a/eval")])
        ['one/run', 'two/run', 'eval']
    """
    names = []
    for folder in folders:
        others = [other for other in folders if other != folder]
        for count in range(1, len(folder.parts) + 1):
            tail = folder.parts[-count:]
            if all(other.parts[-count:] != tail for other in others):
                break
        names.append("/".join(tail))
    return names


def _trainings(sweep: Sweep, *, is_only: bool) -> Iterable[Training]:
    """Return the jobs that logged something, named by the settings in which they differ."""
    keys = varying_keys(sweep.jobs)
    for job in sweep.jobs:
        if job.curves:
            name = name_job(job, keys) if is_only else f"{sweep.name}/{name_job(job, keys)}"
            yield Training(name, job.folder, _read_manifest(job.folder), job.curves)


def _read_evaluation(folder: Path, name: str) -> Evaluation:
    results, judged = read_results(folder / _RESULTS), read_judged(folder)
    content = json.loads((folder / _RESULTS).read_text(encoding="utf-8"))
    about = {key: value for key, value in content.items() if key not in ("means", "differences")}
    has_samples = (folder / "samples" / INDEX).is_file()
    samples = read_samples(folder / "samples") if has_samples else []
    return Evaluation(name, folder, about, results, judged, samples)


def _read_manifest(folder: Path) -> Mapping[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        config = yaml.safe_load(content.get("config") or "{}")
    except (ValueError, AttributeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} is not a manifest of ldr2hdr.train: {error}") from None
    return {**content, "config": config}
