"""Packages that are needed for some formats only."""

import importlib
from pathlib import Path
from types import ModuleType

from ldr2hdr.io.errors import ImageError


def import_optional(package: str, *, extra: str, path: Path) -> ModuleType:
    """Import a package of an optional extra.

    Args:
        package: Its module.
        extra: The extra of this project that brings it.
        path: Of the picture that needs it, for messages.

    Raises:
        ImageError: If it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImageError(
            f"expected the package {package} for this format, it is not installed; "
            f"pip install 'ldr2hdr[{extra}]': {path}"
        ) from error
