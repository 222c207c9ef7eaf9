"""The folder of a sweep."""

from pathlib import Path
from typing import Final

from ldr2hdr.training.sweeps.job import OVERRIDES, Job, read_job

# Hydra's own sweeper leaves the first; ours the second, whatever the sweeper
_SIGNS: Final = ("multirun.yaml", "summary.csv")


def is_sweep(folder: Path) -> bool:
    """Return whether a folder holds the jobs of a sweep and is none itself."""
    if (folder / OVERRIDES).is_file():
        return False
    return any((folder / name).is_file() for name in _SIGNS) or bool(_job_folders(folder))


def read_sweep(folder: Path) -> list[Job]:
    """Read all jobs that were started, by number.

    Raises:
        ValueError: If there is none, or a file is not what it should be.
    """
    jobs = [read_job(found, number=number) for number, found in enumerate(_job_folders(folder))]
    if not jobs:
        raise ValueError(
            f"expected the folder of a sweep, found no {OVERRIDES} in any folder of {folder}; "
            "a sweep is made by `python -m ldr2hdr.train -m ...`"
        )
    return sorted(jobs, key=lambda job: job.record.number)


def _job_folders(folder: Path) -> list[Path]:
    """List folders at any depth: the name of a job's folder is made of its overrides, which may hold slashes."""
    found = [path.parent.parent for path in folder.rglob(OVERRIDES)]
    return sorted(found, key=lambda path: (_leading_number(folder, path), str(path)))


def _leading_number(folder: Path, path: Path) -> int:
    digits = path.relative_to(folder).parts[0].partition("_")[0]
    return int(digits) if digits.isdecimal() else 0
