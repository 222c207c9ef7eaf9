"""Progress on the terminal: outer steps and epochs as they are, and metrics by their whole names."""

import math
from collections.abc import Iterable
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn
from rich.text import Text


class StepProgress(ProgressBar):
    """One bar for the whole training; Lightning's counts the batches of an epoch, and knows no last epoch here."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: _Bar | None = None
        self._is_on = True

    def disable(self) -> None:
        """Show nothing, as on all processes but the first."""
        self._is_on = False

    def enable(self) -> None:
        """Show again."""
        self._is_on = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin at the step that the run resumed from."""
        if self._is_on:
            self._bar = _Bar(total=count_steps(trainer), done=_num_done(trainer))
            self._bar.start()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count epochs from 1."""
        self._describe(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Count the step."""
        self._show(trainer, pl_module)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say why the bar stands still."""
        if self._bar is not None:
            self._bar.describe("validation")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show what validation gave."""
        self._describe(trainer)
        self._show(trainer, pl_module)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Leave the last state on the screen, also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _describe(self, trainer: L.Trainer) -> None:
        if self._bar is not None:
            total = count_steps(trainer)
            last = "" if total is None else f"/{max(1, math.ceil(total / trainer.num_training_batches))}"
            self._bar.describe(f"epoch {trainer.current_epoch + 1}{last}")

    def _show(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._bar is not None:
            metrics = {key: value for key, value in self.get_metrics(trainer, pl_module).items() if key != "v_num"}
            self._bar.show(_num_done(trainer), metrics)


def count_steps(trainer: L.Trainer) -> int | None:
    """Return how many outer steps a training has by what it is limited to; None without a limit."""
    limits = [trainer.max_steps]
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        limits.append(trainer.max_epochs * int(trainer.num_training_batches))
    return min((limit for limit in limits if limit >= 0), default=None)


def _num_done(trainer: L.Trainer) -> int:
    """Return the steps done, at the end of a step including it; the callbacks' turn comes before it is completed."""
    progress: Any = trainer.fit_loop.epoch_loop.batch_progress
    return int(progress.total.processed)


class _Bar(Progress):
    """Bar, and under it the metrics, none of which is cut."""

    def __init__(self, *, total: int | None, done: int) -> None:
        step, rate = TextColumn("step"), TextColumn("{task.fields[rate]}")
        columns = (TextColumn("{task.description}"), BarColumn(), step, MofNCompleteColumn())
        self._metrics: dict[str, Any] = {}
        super().__init__(*columns, TimeElapsedColumn(), TimeLeftColumn(), rate, console=Console())
        self._first = done
        self._task = self.add_task("", total=total, completed=done, rate="")

    def describe(self, words: str) -> None:
        """Set what stands before the bar."""
        self.update(self._task, description=words)

    def show(self, done: int, metrics: dict[str, Any]) -> None:
        """Set the step and the metrics."""
        self._metrics = metrics
        seconds = self.tasks[0].elapsed or 0.0
        rate = f"{(done - self._first) / seconds:.2f}/s" if seconds > 0 else ""
        self.update(self._task, completed=done, rate=rate)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the bar, then the metrics."""
        yield from super().get_renderables()
        if self._metrics:
            yield Columns([Text(f"{key}: {_number(value)}", no_wrap=True) for key, value in self._metrics.items()])


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
