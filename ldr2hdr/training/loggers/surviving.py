"""Base of all loggers: what they are shown, and that training outlives them."""

import functools
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, ParamSpec, TypeVar, cast

import numpy as np
from jaxtyping import UInt8
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import DummyExperiment  # type: ignore[attr-defined]

_GUARDED: Final = (
    *("log_metrics", "log_hyperparams", "log_graph", "after_save_checkpoint", "save", "finalize"),  # by Lightning
    *("show_panel", "show_table", "show_config", "keep_checkpoint"),  # by our callbacks
)
_EXPERIMENT: Final = "experiment"
"""The property that opens the log, where there is one."""
_log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")

Cell = str | int | float | None


class Panel(NamedTuple):
    """One picture of a series.

    Attributes:
        series: What the pictures of a series have in common, such as ``val/task0``.
        step: Outer steps taken.
        picture: 8-bit sRGB codes.
        caption: One line.
    """

    series: str
    step: int
    picture: UInt8[np.ndarray, "h w 3"]
    caption: str


class Table(NamedTuple):
    """Rows of one length under headings; None where a number is undefined."""

    name: str
    step: int
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


class KeptCheckpoint(NamedTuple):
    """A checkpoint, under the name that it has in this run, and what it is."""

    name: str
    path: Path
    about: Mapping[str, Any]


class AbstractSurvivingLogger(Logger, ABC):
    """A mixin before one of Lightning's loggers: a call that raises is reported in one line, and ends the logging.

    All that Lightning and our callbacks call is guarded in each subclass, whether defined there or inherited. Here
    alone any ``Exception`` is caught. Behind these calls lies software that is not ours, with a service process, a
    network, a disk and an account behind it; what it raises is nowhere listed and changes from release to release.
    Nothing of a training's own state is touched in there, so that going on is safe, and none of it is worth a
    training. It would hide bugs of ours as well: the tests read the logs back for that. ``KeyboardInterrupt`` and
    ``SystemExit``, which is how a signal stops a run, are no such exceptions and pass.

    Attributes:
        keeps_checkpoints: Whether ``keep_checkpoint`` does anything.
        is_on: Whether nothing has failed.
    """

    keeps_checkpoints: ClassVar[bool] = False
    is_on: bool = True

    def __init_subclass__(cls) -> None:
        """Guard the calls."""
        super().__init_subclass__()
        for name in _GUARDED:
            setattr(cls, name, _surviving(getattr(cls, name), otherwise=_nothing))
        experiment = getattr(cls, _EXPERIMENT, None)
        if isinstance(experiment, property) and experiment.fget is not None:
            setattr(cls, _EXPERIMENT, property(_surviving(experiment.fget, otherwise=DummyExperiment)))

    @abstractmethod
    def show_panel(self, panel: Panel) -> None:
        """Show a picture."""

    @abstractmethod
    def show_table(self, table: Table) -> None:
        """Show a table."""

    def show_config(self, config: dict[str, Any]) -> None:
        """Show the resolved configuration where it can be searched; it is in the run's manifest anyway."""

    def keep_checkpoint(self, checkpoint: KeptCheckpoint) -> None:
        """Keep a checkpoint with the logs; it is in the run's folder anyway."""

    def give_up(self, error: Exception) -> None:
        """Say so in one line, and log no more."""
        self.is_on = False
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        _log.warning("%s failed and is switched off, training goes on: %s", type(self).__name__, reason)


def _surviving(method: Callable[_P, _T], *, otherwise: Callable[[], _T]) -> Callable[_P, _T]:
    """A method that gives up on its logger instead of raising, and from then on is not called."""

    @functools.wraps(method)
    def attempt(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        logger = cast(AbstractSurvivingLogger, args[0])
        if not logger.is_on:
            return otherwise()
        try:
            return method(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - see AbstractSurvivingLogger
            logger.give_up(error)
            return otherwise()

    return attempt


def _nothing() -> None:
    """Result of a call that failed."""
