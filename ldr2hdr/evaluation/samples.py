"""Sampled pictures of an evaluation as files: the photograph, the truth and the reconstructions."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from ldr2hdr.evaluation.scoring import System
from ldr2hdr.evaluation.stages import Stage, read_stage
from ldr2hdr.io import write_image
from ldr2hdr.io.files import write_json
from ldr2hdr.metrics.hdr import blacken_diverged, evaluate_pictures
from ldr2hdr.tasks import Shots, Task

INDEX: Final = "index.json"
_LDR, _TRUTH = "ldr.png", "truth.exr"


class SampledTask(NamedTuple):
    """Task whose first query picture is kept, and the table that it belongs to."""

    camera_family: str
    ranges: str
    task: Task


@dataclass(frozen=True)
class Output:
    """Reconstruction of a sample by one system.

    Attributes:
        stage: System and stage of adaptation.
        path: EXR of sensor exposure.
        scores: Metrics on all pixels; a metric without a value is left out.
    """

    stage: Stage
    path: Path
    scores: dict[str, float]


@dataclass(frozen=True)
class Sample:
    """Query picture of an evaluation, kept.

    Attributes:
        camera_family: As in the scores.
        ranges: As in the scores.
        camera: As in the scores.
        place: As in the scores.
        seed: Seed of the evaluation's tasks.
        ldr: PNG of the photograph.
        truth: EXR of its true sensor exposure.
        outputs: What the systems made of it, in the order of the tables.
    """

    camera_family: str
    ranges: str
    camera: str
    place: str
    seed: int
    ldr: Path
    truth: Path
    outputs: tuple[Output, ...]


def write_samples(
    folder: Path, systems: Sequence[System], tasks: Iterable[SampledTask], *, seed: int, device: torch.device | str
) -> int:
    """Reconstruct the first query picture of each task by every system and keep the pictures.

    Sensor exposure is kept as EXR in half floats, photographs as 8-bit PNG, one folder for each task; ``index.json``
    says what is where.

    Args:
        folder: Where to; made if missing.
        systems: As for ``score_tasks``: the same systems make the same pictures.
        tasks: What to keep.
        seed: Seed of the tasks, recorded.
        device: Where the systems are.

    Returns:
        Number of samples.
    """
    folder.mkdir(exist_ok=True)
    records = []
    for number, (camera_family, ranges, task) in enumerate(tasks):
        name = f"{number:03d}"
        (folder / name).mkdir(exist_ok=True)
        outputs = _write_pictures(folder / name, systems, task, device)
        labels = {"camera_family": camera_family, "ranges": ranges, "camera": task.camera}
        records.append({"folder": name, **labels, "place": task.query_places[0], "outputs": outputs})
    write_json(folder / INDEX, {"seed": seed, "samples": records})
    return len(records)


def read_samples(folder: Path) -> list[Sample]:
    """Read the index of ``write_samples``.

    Raises:
        ValueError: If it is not what ``write_samples`` writes.
        FileNotFoundError: If it is missing, or names a picture that is.
    """
    path = folder / INDEX
    if not path.is_file():
        raise FileNotFoundError(f"no samples at {path}; `python -m ldr2hdr.evaluate samples=2` writes them")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        samples = [_sample(folder, record, int(content["seed"])) for record in content["samples"]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is not an index of samples as ldr2hdr.evaluate writes it: {error!r}") from None
    for sample in samples:
        for picture in (sample.ldr, sample.truth, *(output.path for output in sample.outputs)):
            if not picture.is_file():
                raise FileNotFoundError(f"{path} names a picture that is missing: {picture}")
    return samples


def _write_pictures(
    folder: Path, systems: Sequence[System], task: Task, device: torch.device | str
) -> list[dict[str, Any]]:
    """Write the pictures of one task; returns what the index says of the outputs."""
    support, query = task.support.to(device), task.query.to(device)
    first = Shots(query.ldr[:1], query.exposure[:1])
    write_image(folder / _LDR, first.ldr[0].cpu())
    write_image(folder / _TRUTH, first.exposure[0].cpu())
    outputs: list[dict[str, Any]] = []
    for system in systems:
        for stage, predictor in system.predictors(support):
            with torch.no_grad():
                # all of the query, as when it was judged
                pred = blacken_diverged(predictor(query.ldr))[:1]
                scores = evaluate_pictures(pred, first)
            file = f"{len(outputs):02d}.exr"
            write_image(folder / file, pred[0].cpu())
            outputs.append({**stage._asdict(), "file": file, "scores": _scores_on_all(scores)})
    return outputs


def _scores_on_all(scores: dict[tuple[str, str], Tensor]) -> dict[str, float]:
    values = {metric: column.item() for (metric, region), column in scores.items() if region == "all"}
    return {metric: value for metric, value in values.items() if math.isfinite(value)}


def _sample(folder: Path, record: dict[str, Any], seed: int) -> Sample:
    here = folder / _plain(record["folder"])
    labels = {key: str(record[key]) for key in ("camera_family", "ranges", "camera", "place")}
    outputs = tuple(
        Output(
            read_stage(output),
            here / _plain(output["file"]),
            {str(metric): float(value) for metric, value in output["scores"].items()},
        )
        for output in record["outputs"]
    )
    return Sample(**labels, seed=seed, ldr=here / _LDR, truth=here / _TRUTH, outputs=outputs)


def _plain(name: str) -> str:
    """Return a name that leads nowhere else."""
    if name != Path(name).name or name in ("", ".."):
        raise ValueError(f"expected the name of something beside the index, got {name!r}")
    return name
