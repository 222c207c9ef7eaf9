"""Folders of configurations: ``conf/`` of this package, and those of packages that bring parts of their own.

A package says so in its ``pyproject.toml``; what is installed is searched by Hydra and its checkpoints are believed::

    [project.entry-points."ldr2hdr.conf"]
    mypackage = "mypackage.conf"

Torch is not imported here: ``--help`` needs the folders and no network.
"""

import os
import re
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.utils import to_absolute_path
from omegaconf import DictConfig, OmegaConf

# An installed package carries conf/ inside; a checkout, and what is installed from one in place, has it beside.
_INSIDE: Final = Path(__file__).resolve().parent.parent / "conf"
CONF_DIR: Final = str(_INSIDE if _INSIDE.is_dir() else _INSIDE.parent.parent / "conf")

_GROUP: Final = "ldr2hdr.conf"
# Keys whose relative paths are meant from where the command was given
_PATHS: Final = ("paths.cache_dir", "dataset.root", "ckpt", "init_ckpt", "supervised_ckpt", "resume", "replay")
_NO_PATH: Final = "last"
_PLAIN: Final = re.compile(r"[\w./-]*", re.ASCII)
# Backslashes before a quote, or before the one that will be put at the end
_BACKSLASHES: Final = re.compile(r"(\\*)('|$)")


def registered_folders() -> dict[str, Path]:
    """Return the folders of the packages that registered one, by the name they did so under.

    Raises:
        ValueError: If a registered folder is not there.
    """
    return {entry.name: _folder(entry) for entry in entry_points(group=_GROUP)}


def search_registered_folders() -> None:
    """Let Hydra find the options in registered folders, after those of ``conf/``."""
    Plugins.instance().register(_RegisteredFolders)


def stay_where_started(config: DictConfig) -> None:
    """Make relative paths absolute where Hydra has gone to the run's folder, by ``hydra.job.chdir=true``.

    Otherwise each run would decode the panoramas anew, to a cache of its own.
    """
    if not HydraConfig.get().job.chdir:
        return
    for key in _PATHS:
        path = OmegaConf.select(config, key)
        if path is not None and path != _NO_PATH:
            OmegaConf.update(config, key, to_absolute_path(path))


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Put quotes around what is there, and has a name that Hydra would read as more: a sweep's ``0_algo=maml,x=1``."""
    return [_quoted(argument) for argument in arguments]


def _quoted(argument: str) -> str:
    key, _, value = argument.partition("=")
    # options, such as --config-dir, are taken as they are; of a list too long for a name, Path.exists may raise
    if key.startswith("-") or _PLAIN.fullmatch(value) or not os.path.exists(value):
        return argument
    escaped = _BACKSLASHES.sub(lambda found: 2 * found[1] + ("\\'" if found[2] else ""), value)
    return f"{key}='{escaped}'"


class _RegisteredFolders(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the folders."""
        for name, folder in registered_folders().items():
            search_path.append(provider=name, path=f"file://{folder}")


def _folder(entry: EntryPoint) -> Path:
    """Find the folder without importing its package, which may import torch."""
    package, *inside = entry.value.split(".")
    spec = find_spec(package)
    for place in (spec and spec.submodule_search_locations) or ():
        folder = Path(place, *inside)
        if folder.is_dir():
            return folder
    raise ValueError(f"the entry point {entry.name} = {entry.value!r} of {_GROUP} names no folder of a package")
