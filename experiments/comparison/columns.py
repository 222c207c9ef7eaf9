"""Judge all systems by ``ldr2hdr.evaluate``, column by column, and read what it found."""

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig
from trainings import Trained

from ldr2hdr.evaluation.comparison.judged import Judged, read_judged
from ldr2hdr.evaluation.stages import ADAPTED, FINE_TUNED, SINGLE_SHOT, Stage
from ldr2hdr.io.files import write_json
from ldr2hdr.training.checkpoints import checkpoint_hash

_RECORD = "evaluation.json"


class Entry(NamedTuple):
    """System of the table, by the stages that an evaluation judges.

    Attributes:
        label: In the table.
        before: Its stage without support, which may be its only one.
        after: Its stages after adaptation.
        kind: ``ours``, ``trained``, ``classical`` or ``merge``.
        trained: What training it took; None if none.
    """

    label: str
    before: Stage
    after: tuple[Stage, ...]
    kind: str
    trained: Trained | None = None


def judge_missing(
    study: DictConfig,
    trained: Mapping[str, Trained],
    *,
    folder: Path,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Judged]:
    """Evaluate each column that was not evaluated yet with these settings and checkpoints.

    Args:
        study: The configuration.
        trained: Checkpoints by name.
        folder: Each column has a folder in it, which `ldr2hdr report` can show.
        tell: Called with a line when a column is done.

    Raises:
        subprocess.CalledProcessError: If an evaluation fails; its log says why.
    """
    judged = {}
    checkpoints = {name: checkpoint_hash(system.ckpt) for name, system in trained.items()}
    for column, evaluation in study.columns.items():
        here = folder / re.sub(r"\W+", "_", str(column))
        overrides = [*evaluation.overrides, *study.judging, *_systems(study, with_merges=evaluation.with_merges)]
        settings, record = {"overrides": overrides, "checkpoints": checkpoints}, here / _RECORD
        if not record.is_file() or json.loads(record.read_text(encoding="utf-8"))["settings"] != settings:
            cpu_s = run_module([*overrides, *_checkpoints(study, trained)], here, log=here / "evaluate.log")
            write_json(record, {"settings": settings, "cpu_s": round(cpu_s, 1)})
            tell(f"{column}: judged in {cpu_s:.0f} s of one core")
        judged[str(column)] = read_judged(here)
    return judged


def run_module(overrides: Sequence[str], folder: Path, *, log: Path, module: str = "ldr2hdr.evaluate") -> float:
    """Run ``python -m module`` with its folder and log; seconds of processor time.

    Raises:
        subprocess.CalledProcessError: If it fails; the log says why.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", module, *overrides, f"hydra.run.dir='{folder}'"]
    with log.open("a", encoding="utf-8") as file:
        subprocess.run(command, check=True, stdout=file, stderr=file, env=os.environ | {"OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def list_entries(study: DictConfig, trained: Mapping[str, Trained], stages: Sequence[Stage]) -> list[Entry]:
    """Everything the table has a row for, ours first.

    Args:
        study: The configuration.
        trained: Checkpoints by name.
        stages: All that were judged.
    """
    rows = [_trained_entry(study, str(name), trained[str(name)], stages) for name in study.trained]
    rows.sort(key=lambda entry: entry.kind != "ours")
    rows += [Entry(label, Stage(str(name)), (), "classical") for name, label in study.classical.items()]
    return rows + [Entry(label, Stage(str(name)), (), "merge") for name, label in study.merges.items()]


def _trained_entry(study: DictConfig, name: str, trained: Trained, stages: Sequence[Stage]) -> Entry:
    label = str(study.trained[name].label)
    if name == study.ours:
        return Entry(label, Stage("maml", SINGLE_SHOT), (Stage("maml", ADAPTED, study.steps),), "ours", trained)
    # without a response stage, no step is no support
    after = [stage for stage in stages if (stage.system, stage.verb) == (name, ADAPTED) and stage.steps != 0]
    if name == study.supervised:
        after += [stage for stage in stages if stage.verb == FINE_TUNED]
    return Entry(label, Stage(name, SINGLE_SHOT), tuple(after), "trained", trained)


def _systems(study: DictConfig, *, with_merges: bool) -> list[str]:
    always = ("LDR input", "inverse gamma 2.2", "response fit")
    names: list[Any] = [name for name in study.classical if name not in always]
    return [f"systems=[{','.join([*names, *(study.merges if with_merges else ())])}]"]


def _checkpoints(study: DictConfig, trained: Mapping[str, Trained]) -> list[str]:
    """Ours is what the evaluation compares; the supervised network stands twice, as it is and fine-tuned."""
    others = [f"+others.{name}='{system.ckpt}'" for name, system in trained.items() if name != study.ours]
    supervised = [f"supervised_ckpt='{trained[study.supervised].ckpt}'"] if study.supervised in trained else []
    return [f"ckpt='{trained[study.ours].ckpt}'", *supervised, *others]
