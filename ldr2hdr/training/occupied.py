"""Folder that holds a run already: no other begins there unasked.

Nothing that takes seconds to import is imported here: Hydra needs the guard at each start.
"""

import shlex
import sys
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Final

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

_TRACES: Final = ("checkpoints/*.ckpt", "csv/metrics.csv")


class RunGuard(Callback):
    """Callback of Hydra that refuses a folder before Hydra writes to it; `main` does so for the jobs of sweeps."""

    def on_run_start(self, config: DictConfig, **kwargs: object) -> None:
        """Stop if a run would be lost.

        Raises:
            SystemExit: If so; Hydra itself would swallow an error.
        """
        if config.get("resume") is not None:
            return
        try:
            require_free_folder(Path(config.hydra.run.dir), ckpt=config.ckpt, overwrite=config.overwrite)
        except ValueError as error:
            sys.stderr.write(f"{error}\n")
            raise SystemExit(1) from None


def require_free_folder(folder: Path, *, ckpt: str | None, overwrite: bool) -> None:
    """Refuse to begin a run where another one is.

    Args:
        folder: Of the run that begins.
        ckpt: What it resumes from: ``last``, or a file, which of this folder does no harm.
        overwrite: Whether the other one may be lost.

    Raises:
        ValueError: If it would be lost, with what to type instead.
    """
    goes_on = ckpt == "last" or (ckpt is not None and Path(ckpt).resolve().is_relative_to(folder.resolve()))
    if overwrite or goes_on:
        return
    found = sorted(chain.from_iterable(folder.glob(trace) for trace in _TRACES))
    if found:
        raise ValueError(
            f"{folder} holds a run already ({_names(folder, found)}): {resume_argument(folder)} goes on with it, "
            "another hydra.run.dir (of a sweep, hydra.sweep.dir) keeps both, overwrite=true begins anew and loses it"
        )


def resume_argument(folder: Path) -> str:
    """Return the argument that goes on with the run of a folder, as a shell reads it.

    Example:
        >>> print(resume_argument(Path("outputs/a")), resume_argument(Path("out/lr=1, b")))
        resume=outputs/a 'resume=out/lr=1, b'
    """
    return shlex.quote(f"resume={folder}")  # for the rest see `quote_paths`


def _names(folder: Path, files: Iterable[Path]) -> str:
    return ", ".join(path.relative_to(folder).as_posix() for path in files)
