"""Checkpoints from strangers: read without running code, and believed only where ``conf/`` agrees."""

import hashlib
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

# What is built to read a checkpoint, and so what its configuration decides to run.
_NETWORK_KEYS: Final = ("response", "backbone", "loss", "algo")
# Groups whose options are put inside those of another one
_NESTED_GROUPS: Final = {"algo": ("inner_optimizer",)}
_LEARNER_PREFIX: Final = "learner."


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
    """Read a checkpoint that ``ldr2hdr.train`` wrote; nothing but tensors and plain values is unpickled.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, holds code, or is no checkpoint of ldr2hdr.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at ckpt={path}; train one by `python -m ldr2hdr.train`")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"ckpt={path} is no checkpoint, or holds more than tensors and is refused") from error
    except (RuntimeError, OSError, EOFError, KeyError, ValueError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"ckpt={path} is not a readable checkpoint: {reason}") from error
    if not isinstance(content, dict) or not {"config", "state_dict"} <= content.keys():
        raise ValueError(f"ckpt={path} is not a checkpoint of ldr2hdr: it needs the keys config and state_dict")
    text = content["config"]
    if not isinstance(text, str) or "${" in text:
        raise ValueError(f"ckpt={path} is refused: its configuration must be YAML without interpolations")
    try:
        config = cast(DictConfig, OmegaConf.create(text))
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"ckpt={path} holds a configuration that is not YAML: {reason}") from error
    state = {name.removeprefix(_LEARNER_PREFIX): value for name, value in content["state_dict"].items()}
    return Checkpoint(path, config, state)


def require_known_classes(checkpoint: Checkpoint, conf_dir: str | Path) -> None:
    """Refuse a checkpoint whose network is described by anything but the classes that ``conf/`` names.

    The network is built from that description, and ``_target_`` may name any function of Python: a checkpoint from
    a stranger could run what it likes.

    Raises:
        ValueError: If it names another one.
    """
    described = OmegaConf.to_container(checkpoint.config)
    for key in _NETWORK_KEYS:
        files = [file for group in (key, *_NESTED_GROUPS.get(key, ())) for file in Path(conf_dir, group).glob("*.yaml")]
        options = [OmegaConf.to_container(OmegaConf.load(file)) for file in files]
        node = described.get(key) if isinstance(described, dict) else None
        unknown = sorted(set(_targets(node)) - set(_targets(options)))
        if unknown or not isinstance(node, dict):
            raise ValueError(
                f"ckpt={checkpoint.path} is refused: its {key} must be one that conf/{key}/ names, "
                f"got {', '.join(unknown) or 'none'}"
            )


def checkpoint_hash(path: str | Path) -> str:
    """Content hash that names a checkpoint in result files."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _targets(node: object) -> Iterator[str]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and "_target_" in node:
        yield str(node["_target_"])
    for child in children:
        yield from _targets(child)
