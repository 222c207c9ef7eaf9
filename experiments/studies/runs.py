"""The trained networks that studies share: one folder per run, made by the parts of the real entry point."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from ldr2hdr.build import CONF_DIR, build_training
from ldr2hdr.io.files import write_json

# what a run of a minute can do without: validation, which nothing is chosen by, and a progress bar
_QUIET = (
    *("~callbacks.best", "~callbacks.manifest", "~callbacks.progress", "logger=csv", "num_threads=1"),
    *("+trainer.limit_val_batches=0", "+trainer.enable_progress_bar=false"),
)


@dataclass(frozen=True)
class Run:
    """One network to train.

    Attributes:
        name: Of the method, in tables.
        seed: Of the initial weights and the tasks.
        overrides: What ``ldr2hdr.train`` is told on its command line.
        folder: Where it is kept; named by the overrides, so that studies that ask for the same network share it.
    """

    name: str
    seed: int
    overrides: tuple[str, ...]
    folder: Path

    @property
    def ckpt(self) -> Path:
        """Theta after the last step."""
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def record(self) -> Path:
        """Path of the run's cost; written once it is whole."""
        return self.folder / "run.json"


def make_run(name: str, seed: int, overrides: Sequence[str], *, out: Path, teacher: Run | None = None) -> Run:
    """Give a run its folder; ``{teacher}`` in an override becomes the checkpoint of the teacher."""
    digest = hashlib.sha256("\n".join(sorted(overrides)).encode()).hexdigest()[:12]
    ckpt = "" if teacher is None else str(teacher.ckpt)
    filled = (*(text.replace("{teacher}", ckpt) for text in overrides), f"seed={seed}")
    return Run(name, seed, filled, out / "runs" / digest / f"seed{seed}")


def merge(common: Sequence[str], own: Sequence[str]) -> list[str]:
    """Overrides of all runs and of one; ``backbone=...`` of the one takes the place of all that begins with it.

    Example:
        >>> merge(["backbone=unet", "backbone.widths=[4,8]", "seed=1"], ["backbone=resnet"])
        ['seed=1', 'backbone=resnet']
    """
    keys = [text.partition("=")[0] for text in own]
    kept = [text for text in common if not any(_is_of(text.partition("=")[0], key) for key in keys)]
    return [*kept, *own]


def train(run: Run) -> bool:
    """Train, unless that was done; whether there was anything to do."""
    if run.record.exists():
        return False
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("train", overrides=[*run.overrides, *_QUIET, f"paths.output_dir={run.folder}"])
    start = time.process_time()
    training = build_training(cfg)
    training.trainer.fit(training.module, training.datamodule)
    model = training.module.learner.model
    about = {
        "overrides": run.overrides,
        "cpu_s": round(time.process_time() - start, 1),
        "steps": training.trainer.global_step,
        "skipped_tasks": training.module.num_skipped_tasks,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    write_json(run.record, about)
    return True


def read_record(run: Run) -> dict[str, Any]:
    """Description that a whole run has of itself."""
    return json.loads(run.record.read_text(encoding="utf-8"))


def _is_of(key: str, group: str) -> bool:
    return key == group or key.startswith(f"{group}.")
