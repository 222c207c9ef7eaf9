"""Configuration and checkpoints of a run, for loggers that keep more than numbers."""

import hashlib
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import lightning as L
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint

from ldr2hdr.io.torch_files import read_torch
from ldr2hdr.training.callbacks.judging import showing_loggers
from ldr2hdr.training.callbacks.manifest import provenance
from ldr2hdr.training.loggers.surviving import KeptCheckpoint

_NAMES: Final = ("best", "last")  # W&B gives the alias latest to what comes last
_log = logging.getLogger(__name__)


class RunKeeper(L.Callback):
    """Hand the configuration to the loggers when training begins, and the checkpoints when it ended.

    Args:
        checkpoints: Folder of ``last.ckpt`` and ``best.ckpt``.
    """

    def __init__(self, checkpoints: str) -> None:
        self.checkpoints = Path(checkpoints)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the configuration."""
        if trainer.is_global_zero:
            config = yaml.safe_load(_run_config(pl_module)) or {}
            for logger in showing_loggers(trainer):
                logger.show_config(config)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Hand over the checkpoints, with what sets them apart."""
        loggers = [logger for logger in showing_loggers(trainer) if logger.keeps_checkpoints]
        if not trainer.is_global_zero or not loggers:
            return
        for checkpoint in self._checkpoints(trainer, _run_config(pl_module)):
            for logger in loggers:
                logger.keep_checkpoint(checkpoint)

    def _checkpoints(self, trainer: L.Trainer, run_config: str) -> Iterator[KeptCheckpoint]:
        run = {"config_sha256": hashlib.sha256(run_config.encode()).hexdigest(), "commit": provenance()["commit"]}
        for name in _NAMES:
            path = self.checkpoints / f"{name}.ckpt"
            progress = _progress(trainer, path) if path.is_file() else None
            if progress is not None:
                yield KeptCheckpoint(name, path, {**run, **progress})


def _run_config(pl_module: L.LightningModule) -> str:
    return str(getattr(pl_module, "run_config", ""))


def _progress(trainer: L.Trainer, path: Path) -> dict[str, Any] | None:
    """Return how far a checkpoint's training was, and how good that is; None for a file that does not say.

    A training that got to its end is not lost to a file that came to harm; what cannot be read is not kept.
    """
    try:
        content = read_torch(path, str(path), is_mapped=True)
    except ValueError as error:
        _log.warning("not handed to the loggers: %s", error)
        return None
    step = content.get("global_step") if isinstance(content, dict) else None
    if step is None:
        _log.warning("not handed to the loggers: %s says of no outer step", path)
        return None
    about: dict[str, Any] = {"outer_step": step}
    if step == trainer.global_step:
        about["metrics"] = {name: value.item() for name, value in trainer.callback_metrics.items()}
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and Path(callback.best_model_path) == path and callback.monitor:
            score = callback.best_model_score
            about |= {"monitor": callback.monitor, "score": math.nan if score is None else float(score)}
    return about
