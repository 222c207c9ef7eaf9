"""Options of commands that write HDR files, and the check of a name before the work that it takes."""

import argparse
import os
from pathlib import Path
from typing import Final

_FORMATS: Final = ("exr", "hdr", "ultrahdr", "avif", "jxl", "tiff")


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of what is written, where it is computed, and whether over existing files."""
    parser.add_argument("--format", choices=_FORMATS, help="kind of the files in a folder (default: exr)")
    parser.add_argument("--preview", action="store_true", help="write a tone-mapped JPEG beside each file")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1")
    parser.add_argument("--force", action="store_true", help="overwrite existing files")


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
