"""Callbacks for runs in processes of their own: they record the tasks of each step, and let things happen at one."""

import json
import os
import signal
import time
from pathlib import Path

import lightning as L


class RecordTasks(L.Callback):
    """Add a line for each step that was taken: its number and its tasks; a step taken twice has two."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        step = trainer.fit_loop.epoch_loop.batch_progress.total.completed
        with (self.folder / f"tasks{trainer.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps([step, batch.cameras, batch.query_places]) + "\n")


class Signal(L.Callback):
    """Send this process a signal in the midst of a step: after the meta-gradient, before anything is logged."""

    def __init__(self, step: int, name: str, rank: int = 0) -> None:
        self.step, self.number, self.rank = step, signal.Signals[name], rank

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        is_step = trainer.fit_loop.epoch_loop.batch_progress.total.completed == self.step
        if is_step and trainer.global_rank == self.rank:
            os.kill(os.getpid(), self.number)
            time.sleep(0.01)
