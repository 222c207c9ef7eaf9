"""``.env`` in the folder that a command is given in: variables such as LDR2HDR_CACHE or WANDB_API_KEY."""

import os
from collections.abc import Iterator
from pathlib import Path


def load_env_file(path: Path = Path(".env")) -> None:
    """Set the variables of a file that are not set yet; none if there is no such file."""
    if path.is_file():
        for name, value in parse_env(path.read_text(encoding="utf-8")):
            os.environ.setdefault(name, value)


def parse_env(text: str) -> Iterator[tuple[str, str]]:
    r"""Yield the variables of lines such as ``NAME=value``; lines without ``=``, and comments, are passed over.

    Example:
        >>> list(parse_env("# a comment\nexport A=1\n\nB='two words'"))
        [('A', '1'), ('B', 'two words')]
    """
    for line in text.splitlines():
        name, sign, value = line.strip().removeprefix("export ").partition("=")
        if sign and not name.startswith("#"):
            yield name.strip(), value.strip().strip("'\"")
