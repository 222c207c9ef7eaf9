"""Whole files and the last step, even of a run that is killed, pre-empted or out of disk space."""

import io
import logging
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, Protocol, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_only

from ldr2hdr.io.files import replacing
from ldr2hdr.training.checkpoints import LAST, PREVIOUS, TO_RESUME_FROM
from ldr2hdr.training.occupied import resume_argument

# Slurm sends the second before a job's time is up, or the third, which Windows has not, by `--signal=USR1@60`
_SIGNALS: Final = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))
_EXIT_CODE_OF_SIGNAL: Final = 128
_log = logging.getLogger(__name__)


class WholeFiles(TorchCheckpointIO):
    """Write checkpoints whole or not at all, and keep the last but one.

    Lightning's own writes to the system's temporary folder, from where a file is copied, not renamed, to another disk:
    a process that is killed then leaves half a checkpoint. A disk that is full does not stop the run, for the next
    checkpoint may fit.

    Attributes:
        unwritten: Why, for each file whose latest write failed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unwritten: dict[Path, str] = {}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        """Write beside the target, wait for the disk, rename; what is there stays if that fails."""
        path = Path(path)
        content = io.BytesIO()
        torch.save(checkpoint, content)  # into memory: torch ends the process when a file takes no more
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                _write_through(temporary, content.getbuffer())
                if path.name == LAST and path.is_file():
                    _keep_previous(path)
        except OSError as error:
            self.unwritten[path] = str(error)
            step = checkpoint.get("global_step")
            kept = f"{path} stays as it was" if path.is_file() else "there is none yet"
            _log.warning("the checkpoint after step %s was not written: %s; %s, training goes on", step, error, kept)
        else:
            self.unwritten.pop(path, None)


class Stopped(SystemExit):
    """Exit because a signal asked for the end of the run, with the code that shells give such a process."""


class Voter(Protocol):
    """Part of the `MetaModule` that shares a signal with the other processes, with the gradient of a step."""

    wants_stop: bool
    is_stop_agreed: bool


class LastCheckpoint(Checkpoint):
    """Keep ``last.ckpt``, from which a run goes on as if nothing had happened, and stop when a signal asks for it.

    It is written between two steps, when all that the steps before have logged is on disk: after every epoch, after
    every ``every_n_steps`` steps, and before a signal's stop.

    Args:
        dirpath: Folder of the checkpoints.
        every_n_steps: Steps that a killed run loses at most.

    Raises:
        ValueError: If ``every_n_steps`` is not positive.
    """

    def __init__(self, dirpath: str, *, every_n_steps: int = 100) -> None:
        if every_n_steps < 1:
            raise ValueError(f"callbacks.last.every_n_steps must be positive, got {every_n_steps}")
        self.path = Path(dirpath) / LAST
        self.every_n_steps = every_n_steps
        self._saved_at = 0
        self._asked_by: int | None = None
        self._listener: int | None = None

    @rank_zero_only
    def clear(self) -> None:
        """Delete what an earlier run of the same folder left to resume from."""
        for name in TO_RESUME_FROM:
            self.path.with_name(name).unlink(missing_ok=True)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT, SIGTERM and SIGUSR1 for requests to stop at the end of the step.

        Around ``trainer.fit``, not inside it: loader processes are then forked with these handlers, so that Ctrl-C,
        which a terminal sends to all of them, leaves them alive until the last step is done. In a thread, where no
        signal is received, this does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._ask_to_stop) for number in _SIGNALS}
        self._listener = os.getpid()
        try:
            yield
        finally:
            self._listener = None
            for number, handler in before.items():
                signal.signal(number, handler)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Know what the run resumed from, and take SIGTERM back."""
        self._saved_at = num_batches(trainer)
        if self._listener is not None:
            # Lightning's handler, put before ours, calls a collective from wherever the signal finds the process
            signal.signal(signal.SIGTERM, self._ask_to_stop)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Save, and stop if any process was asked to: one of several does so when all know, a step later."""
        voter, is_asked = cast(Voter, pl_module), self._asked_by is not None
        is_due = batch_idx > 0 and num_batches(trainer) % self.every_n_steps == 0
        is_end = voter.is_stop_agreed if trainer.world_size > 1 else is_asked
        voter.wants_stop = is_asked
        if is_due or is_end:
            self._save(trainer)
        if is_end:
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save."""
        self._save(trainer)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Leave out the batch that was fetched and not begun: Lightning would count it as done."""
        if "loops" not in checkpoint:  # weights alone, by a callback that was asked for
            return
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for counts in (progress["total"], progress["current"]):
            if counts["started"] == counts["completed"] < counts["ready"]:
                counts["ready"] = counts["completed"]
                progress["is_last_batch"] = False

    def _save(self, trainer: L.Trainer) -> None:
        is_trial: bool = trainer.fast_dev_run  # type: ignore[attr-defined]
        if is_trial or self._saved_at == num_batches(trainer):
            return
        trainer.save_checkpoint(self.path, weights_only=False)
        files = trainer.strategy.checkpoint_io
        if not (isinstance(files, WholeFiles) and self.path in files.unwritten):
            self._saved_at = num_batches(trainer)

    def _stop(self, trainer: L.Trainer) -> None:
        """Raise on all processes; that of the first one alone is an error, lest a launcher kills it for the others'."""
        number = self._asked_by or signal.SIGTERM
        if not trainer.is_global_zero:
            raise Stopped(0)
        _log.warning(
            "%s: stopped; the last checkpoint is of step %d; go on by `python -m ldr2hdr.train %s`",
            *(signal.Signals(number).name, self._saved_at, resume_argument(self.path.parent.parent)),
        )
        raise Stopped(_EXIT_CODE_OF_SIGNAL + number)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._listener:  # a loader process
            return
        if number == signal.SIGINT:
            if self._asked_by == signal.SIGINT:
                raise KeyboardInterrupt
            os.write(2, b"\nstopping after this step and its validation; Ctrl-C again stops at once\n")
        self._asked_by = number


def num_batches(trainer: L.Trainer) -> int:
    """Steps that a run has done, before it was resumed and after, those without a finite task included."""
    return trainer.fit_loop.epoch_loop.batch_progress.total.completed


def _write_through(path: Path, content: memoryview) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _keep_previous(path: Path) -> None:
    """Give the file a second name: the first one is never missing."""
    previous = path.with_name(PREVIOUS)
    with replacing(previous) as second:
        try:
            os.link(path, second)
        except OSError:  # a file system without second names
            shutil.copyfile(path, second)
