"""What the README tells people to type is there."""

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from ldr2hdr.build import CONF_DIR

ROOT = Path(CONF_DIR).parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line, comments=True) for line in re.findall(r"^python -m ldr2hdr\..*$", README, re.MULTILINE)]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_research_command_composes(command: list[str]) -> None:
    name = command[2].removeprefix("ldr2hdr.")
    overrides = [word for word in command[3:] if word != "-m"]
    singles = [re.sub(r"=([^\[,]+),.*", r"=\1", word) for word in overrides]  # the first job of a sweep
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        compose(name, overrides=singles)


def test_there_are_commands_to_try() -> None:
    assert len(COMMANDS) >= 4


def _is_there(path: str) -> bool:
    # on GitHub, whose addresses for a workflow and its badge hold its file's name
    hosted = path.removeprefix("../../actions/").removesuffix("/badge.svg")
    return (ROOT / (path if hosted == path else f".github/{hosted}")).exists()


def test_every_file_that_it_names_exists() -> None:
    named = re.findall(r"`((?:ldr2hdr|conf|experiments|tests)/[\w./]*)`|\]\(([\w./]+)\)", README)
    missing = [path for pair in named for path in pair if path and not _is_there(path)]
    assert not missing
