"""The one exception type of the package: a picture that cannot be read or written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ImageError(ValueError):
    """A picture is missing, broken, of the wrong kind or cannot be stored.

    The message names the file, what was expected and what came.
    """


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn whatever happens between a file and its array into an `ImageError` that names the file."""
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # decoders let through whatever damage makes them trip over
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ImageError(f"the picture cannot be read ({reason}): {path}") from error
