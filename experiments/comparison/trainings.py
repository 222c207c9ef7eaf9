"""Train what is missing, as the command line would, one system after the other in this process."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from hydra import compose, initialize_config_dir

from ldr2hdr.build import CONF_DIR, build_training, load_learner
from ldr2hdr.io.files import write_json

_RECORD = "training.json"
# without validation, which nothing is chosen by
_QUIET: Final = (
    *("~callbacks.best", "~callbacks.panels", "~callbacks.progress"),
    *("+trainer.limit_val_batches=0", "+trainer.enable_progress_bar=false"),
)


class Trained(NamedTuple):
    """A system that is trained.

    Attributes:
        ckpt: Its last checkpoint.
        num_parameters: Of network and response stage.
        cpu_s: Seconds of processor time.
        commit: At which it was trained.
    """

    ckpt: Path
    num_parameters: int
    cpu_s: float
    commit: str | None = None


def train_missing(
    systems: Mapping[str, Any],
    *,
    budget: Sequence[str],
    folder: Path,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Trained]:
    """Train every system that is not trained yet, in this order; a run that was cut goes on from its last checkpoint.

    Args:
        systems: By name; ``overrides`` of each come before the budget's, which are the same for all.
        budget: Overrides.
        folder: Each system has a folder in it.
        tell: Called with a line when a system is trained.

    Raises:
        ValueError: If a system was trained with other overrides.
    """
    return {
        str(name): _train(folder / str(name), [*system.overrides, *budget], tell=tell)
        for name, system in systems.items()
    }


def _train(folder: Path, overrides: list[str], *, tell: Callable[[str], None]) -> Trained:
    record, ckpt = folder / _RECORD, folder / "checkpoints" / "last.ckpt"
    found = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else None
    if found is not None and found["overrides"] != overrides:
        raise ValueError(
            f"{folder} was trained with {found['overrides']}, comparison.yaml asks for {overrides}; "
            "choose another --out, or remove the folder"
        )
    if found is None:
        # Hydra's own parser of a value: a path may hold an equals sign
        going_on = [f"ckpt='{ckpt}'"] if ckpt.is_file() else []
        cpu_s = _fit([*overrides, *going_on], folder)
        learner, _ = load_learner(ckpt)
        found = {
            "overrides": overrides,
            "num_parameters": sum(parameter.numel() for parameter in learner.model.parameters()),
            "cpu_s": round(cpu_s, 1),
            "resumed": bool(going_on),
        }
        write_json(record, found)
        tell(f"{folder.name}: {found['num_parameters']} parameters, {found['cpu_s']:.0f} s of one core")
    commit = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["commit"]
    return Trained(ckpt, found["num_parameters"], found["cpu_s"], commit)


def _fit(overrides: Sequence[str], folder: Path) -> float:
    """Train one system; seconds of processor time."""
    started = time.process_time()
    folder.mkdir(parents=True, exist_ok=True)
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("train", overrides=[*overrides, *_QUIET, f"paths.output_dir='{folder}'"])
    training = build_training(cfg)
    training.trainer.fit(training.module, training.datamodule, ckpt_path=cfg.ckpt, weights_only=True)
    return time.process_time() - started
