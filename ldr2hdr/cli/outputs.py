"""Check that a file may be written, before the work that it takes."""

import os
from pathlib import Path


def require_writable(out: Path, *, option: str, what: str, is_forced: bool) -> None:
    """Check the name of a file to write.

    Args:
        out: The file.
        option: That it was given by, for messages.
        what: It is, for messages, such as ``a camera profile``.
        is_forced: Overwrite one that exists.

    Raises:
        OSError: If it could not be written.
    """
    if out.is_dir():
        raise IsADirectoryError(f"expected {option} to be the name of {what}, got a folder: {out}")
    if (out.exists() or out.is_symlink()) and not is_forced:  # a link to nothing does not exist
        raise FileExistsError(f"refusing to overwrite {out}; use --force, or another name")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"the folder {out.parent} to write {out.name} to does not exist; create it first")
    if not os.access(out.parent, os.W_OK):
        raise PermissionError(f"the folder {out.parent} to write {out.name} to is read-only; choose another")
