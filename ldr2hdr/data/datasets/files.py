"""Files in the folders of a set, and those that belong together: by name, never by sorted position."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ldr2hdr.data.datasets.record import Problem

LDR_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
HDR_SUFFIXES: Final = (".hdr", ".exr")


class Keyed(NamedTuple):
    """Files by key, and those left out because another has their key."""

    files: dict[str, Path]
    problems: tuple[Problem, ...]


def check_root(root: Path | str | None, layout: Sequence[str], *, key: str = "dataset.root") -> Path:
    """Return the folder of a set, after a look at whether it is one.

    Args:
        root: The folder; None is none.
        layout: Patterns of which one at least must match a file.
        key: Of the configuration, for messages.

    Raises:
        ValueError: If there is no such folder, or nothing in it matches.
    """
    if root is None or not Path(root).is_dir():
        raise ValueError(f"expected the folder of a data set, found none: {key}={root}")
    folder = Path(root)
    if not any(next(folder.glob(pattern), None) for pattern in layout):
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise ValueError(f"expected {' or '.join(layout)} below the folder, found {found}: {key}={root}")
    return folder


def list_files(folder: Path, suffixes: Sequence[str], *, is_recursive: bool = False) -> list[Path]:
    """List files of these suffixes in any case, sorted, without hidden ones; empty if there is no folder."""
    found = folder.rglob("*") if is_recursive else folder.glob("*")
    return sorted(
        path for path in found if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    )


def list_folders(folder: Path) -> list[Path]:
    """List folders in a folder, sorted, without hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def by_key(files: Iterable[tuple[str, Path]]) -> Keyed:
    """Arrange files by key; of two with one key the first is kept."""
    kept: dict[str, Path] = {}
    problems = []
    for key, path in files:
        if key in kept:
            problems.append(Problem("duplicate", path, f"{kept[key].name} has the same name {key!r} and was taken"))
        else:
            kept[key] = path
    return Keyed(kept, tuple(problems))


def by_stem(files: Iterable[Path], *, prefix: str = "") -> Keyed:
    """Arrange files by stem less a prefix; those without it are not looked at."""
    return by_key((path.stem.removeprefix(prefix), path) for path in files if path.stem.startswith(prefix))


def find_orphans(groups: Mapping[str, Mapping[str, Path]]) -> tuple[Problem, ...]:
    """Find files whose key is not in every group.

    Args:
        groups: Files by key, by the name of the group.
    """
    problems = []
    for name, files in groups.items():
        for key, path in files.items():
            missing = [other for other, others in groups.items() if other != name and key not in others]
            if missing:
                problems.append(Problem("orphan", path, f"no file of the name {key!r} in {', '.join(missing)}"))
    return tuple(problems)
