"""Files that the browser sent: stored by names of ours, shown by their owner's."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from ldr2hdr.io import ImageError
from ldr2hdr.io.files import kind_of

# By content, for what an upload is called on disk; RAW is by a name that no bracket has
_SUFFIXES: Final = {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tiff", "HEIC": ".heic", "camera RAW": ".raw"}
_MAX_NAME: Final = 100


class Upload(NamedTuple):
    """A file that the browser sent.

    Attributes:
        path: Where it is; the name is ours.
        name: What its owner calls it: shown, and never used as a path.
    """

    path: Path
    name: str


def accept(save_to: Callable[[Path], None], folder: Path, name: str | None, *, number: int = 0) -> Upload:
    """Store an upload by a name of ours, if it begins as a photograph does.

    Args:
        save_to: Writes it to a path.
        folder: Where to.
        name: What its owner calls it.
        number: Its place among the uploads.

    Raises:
        ImageError: If it is no photograph.
    """
    path, shown = folder / f"{number:02d}", _clean(name)
    save_to(path)
    kind = kind_of(path) if path.stat().st_size else "an empty file"
    if kind not in _SUFFIXES:
        raise ImageError(f"expected a JPEG, PNG, TIFF, HEIC or camera RAW photograph, got {kind}: {shown}")
    return Upload(path.rename(path.with_suffix(_SUFFIXES[kind])), shown)


@contextmanager
def naming(*uploads: Upload) -> Iterator[None]:
    """Let errors name files as their owner does.

    Raises:
        ValueError: For each ValueError or OSError.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        raise ValueError(in_owners_words(str(error), uploads)) from error


def in_owners_words(text: str, uploads: Sequence[Upload]) -> str:
    """Return a text in which uploads have the names that their owner gave them, and their folder is the bracket."""
    # in one pass: an owner's name may be what another upload is called here
    names = {told: name for path, name in uploads for told in (str(path), path.name)}
    names[str(uploads[0].path.parent)] = "the bracket"
    known = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.sub(known, lambda found: names[found[0]], text)


def _clean(name: str | None) -> str:
    """Return the owner's name of a file, fit to be shown and suggested for a download."""
    base = (name or "").replace("\\", "/").rpartition("/")[2]
    return "".join(character for character in base if character.isprintable())[-_MAX_NAME:] or "photograph"
