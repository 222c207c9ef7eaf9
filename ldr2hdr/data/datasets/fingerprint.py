"""Hash of a file's content, which does not change when the file is renamed."""

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

_NUM_DIGITS = 32


def content_hash(paths: Iterable[Path]) -> str:
    """Hash of the files' contents in this order, 32 hex digits; each file is read once per process.

    Raises:
        OSError: If a file cannot be read.
    """
    joined = "".join(file_digest(path) for path in paths)
    return hashlib.sha256(joined.encode()).hexdigest()[:_NUM_DIGITS]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, remembered until the file changes.

    Raises:
        OSError: If the file cannot be read.
    """
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@functools.cache
def _digest(path: Path, size: int, modified_ns: int) -> str:
    del size, modified_ns  # part of the key only
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
