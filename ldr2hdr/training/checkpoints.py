"""Checkpoints from strangers: read without running code, and believed only where ``conf/`` agrees."""

import hashlib
import logging
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc import ErrorDuringImport, locate
from typing import Final, cast

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from ldr2hdr.io.torch_files import read_torch
from ldr2hdr.io.weights import SUFFIX, read_weights
from ldr2hdr.training.earlier import upgrade_config

# What is built to read a checkpoint, and so what its configuration decides to run.
_NETWORK_KEYS: Final = ("response", "backbone", "loss", "algo")
# Groups whose options are put inside those of another one
_NESTED_GROUPS: Final = {"algo": ("algo/inner", "inner_optimizer")}
_LEARNER_PREFIX: Final = "learner."

LAST: Final = "last.ckpt"
PREVIOUS: Final = "previous.ckpt"
"""Name of the file that was ``last.ckpt`` before."""

TO_RESUME_FROM: Final = (LAST, PREVIOUS, "best.ckpt")
"""In this order; a later one if those before are damaged."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """Theta and where it comes from.

    Attributes:
        path: The file.
        config: The resolved configuration of the run.
        learner_state: The meta-learner's state dict.
    """

    path: Path
    config: DictConfig
    learner_state: Mapping[str, Tensor]


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint that ``ldr2hdr.train`` wrote, or weights made of one; nothing but tensors and plain values.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, holds code, or is no checkpoint of ldr2hdr.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at ckpt={path}; train one by `python -m ldr2hdr.train`")
    text, state = read_weights(path) if path.suffix == SUFFIX else _unpickle(path)
    if not isinstance(text, str) or "${" in text:
        raise ValueError(f"ckpt={path} is refused: its configuration must be YAML without interpolations")
    try:
        config = cast(DictConfig, OmegaConf.create(upgrade_config(text)))
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"ckpt={path} holds a configuration that is not YAML: {reason}") from error
    return Checkpoint(path, config, state)


def find_checkpoint(ckpt: str | None, run: Path) -> Path | None:
    """The file to resume from.

    Args:
        ckpt: Its path; ``last`` for that of the run, or none if the run has not got so far; None for none.
        run: Folder of the run.

    Raises:
        ValueError: If the last one is wanted, and all are damaged.
    """
    if ckpt != "last":
        return None if ckpt is None else Path(ckpt)
    damages: list[str] = []
    for path in (run / "checkpoints" / name for name in TO_RESUME_FROM):
        damage = _find_damage(path) if path.is_file() else None
        if damage is not None:
            damages.append(damage)
        elif path.is_file():
            if damages:
                _warn("%s; going on from %s", "; ".join(damages), path)
            return path
    if damages:
        raise ValueError(f"ckpt=last cannot resume: {'; '.join(damages)}; ckpt=null starts anew")
    return None


def require_known_classes(checkpoint: Checkpoint, folders: Iterable[Path], *, trust: Sequence[str] = ()) -> None:
    """Refuse a checkpoint whose network is described by anything but known classes.

    The network is built from that description, and ``_target_`` may name any function of Python: a checkpoint from
    a stranger could run what it likes.

    Args:
        checkpoint: As read.
        folders: Those like ``conf/``: what an option names there in the group of the part is known.
        trust: Packages whose own classes are known too.

    Raises:
        ValueError: If it names another one.
    """
    described, folders = OmegaConf.to_container(checkpoint.config), list(folders)
    for key in _NETWORK_KEYS:
        groups = (key, *_NESTED_GROUPS.get(key, ()))
        files = [file for folder in folders for group in groups for file in Path(folder, group).glob("*.yaml")]
        options = [OmegaConf.to_container(OmegaConf.load(file)) for file in files]
        node = described.get(key) if isinstance(described, dict) else None
        asked = sorted(set(_targets(node)) - set(_targets(options)))
        unknown = [target for target in asked if not _is_class_of(target, trust)]
        if unknown or not isinstance(node, dict):
            package = unknown[0].partition(".")[0] if unknown else ""
            advice = f"; if you know its code, trust=[{package}] (--trust-package {package})" if unknown else ""
            raise ValueError(
                f"ckpt={checkpoint.path} is refused: its {key} must be one that conf/{key}/ names, "
                f"got {', '.join(unknown) or 'none'}{advice}"
            )


def checkpoint_hash(path: str | Path) -> str:
    """Content hash that names a checkpoint in result files."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _is_class_of(target: str, packages: Sequence[str]) -> bool:
    """Whether a target is a class that one of these packages defines, and not just a name that it imports."""
    package = target.partition(".")[0]
    if package not in packages:
        return False
    try:
        named = locate(target)
    except ErrorDuringImport:
        return False
    return isinstance(named, type) and named.__module__.partition(".")[0] == package


def _warn(message: str, *arguments: object) -> None:
    from lightning.pytorch.utilities import rank_zero_only  # half of what loading a photographer's model would take

    rank_zero_only(_log.warning)(message, *arguments)


def _find_damage(path: Path) -> str | None:
    """Return the damage of a checkpoint; torch does not look at its checksums, and a flipped bit would be a weight."""
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
        if part is not None:
            return f"{path} is damaged: the checksum of {part} is wrong"
        read_checkpoint(path)
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError) as error:
        return f"{path} is damaged: {error}"
    return None


def _unpickle(path: Path) -> tuple[object, dict[str, Tensor]]:
    """The configuration and the learner's state dict of a Lightning checkpoint."""
    content = read_torch(path, f"ckpt={path}")
    if not isinstance(content, dict) or not {"config", "state_dict"} <= content.keys():
        raise ValueError(f"ckpt={path} is not a checkpoint of ldr2hdr: it needs the keys config and state_dict")
    state = content["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise ValueError(f"ckpt={path} is not a checkpoint of ldr2hdr: its state_dict must name tensors")
    return content["config"], {name.removeprefix(_LEARNER_PREFIX): value for name, value in state.items()}


def _targets(node: object) -> Iterator[str]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and "_target_" in node:
        yield str(node["_target_"])
    for child in children:
        yield from _targets(child)
