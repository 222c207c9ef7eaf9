"""Weights to hand on: the tensors of a trained network and its configuration, in one file that holds no code."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ldr2hdr.io.files import replacing

SUFFIX: Final = ".safetensors"
_FORMAT: Final = "ldr2hdr weights 1"


class Weights(NamedTuple):
    """The content of a file.

    Attributes:
        config: The resolved configuration, as YAML.
        state: The meta-learner's state dict.
    """

    config: str
    state: dict[str, Tensor]


def write_weights(path: Path, weights: Weights) -> None:
    """Write a file whole or not at all.

    Raises:
        ValueError: If its name does not end in ``.safetensors``.
        ImageError: If the folder does not exist.
    """
    if path.suffix != SUFFIX:
        raise ValueError(f"expected a name ending in {SUFFIX}, got {path}")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.state.items()}
    metadata = {"format": _FORMAT, "config": weights.config, "sha256": digest_of(state, weights.config)}
    with replacing(path) as temporary:
        # not by save_file, which lets nobody else read the file, whatever the umask
        temporary.write_bytes(save(state, metadata))


def read_weights(path: Path) -> Weights:
    """Read a file that `write_weights` wrote; what its configuration asks for is for the caller to judge.

    Raises:
        ValueError: If it is damaged, or holds something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"ckpt={path} is damaged, or no weights: {error}") from error
    if metadata.get("format") != _FORMAT:
        raise ValueError(f"ckpt={path} is some other safetensors file, not weights of ldr2hdr")
    config = metadata.get("config", "")
    if metadata.get("sha256") != digest_of(state, config):
        raise ValueError(f"ckpt={path} is refused: its content is not what was written; get the file anew")
    return Weights(config, state)


def digest_of(tensors: Mapping[str, Tensor], about: str) -> str:
    """SHA-256 of a text, and of the names, types, shapes and values of tensors."""
    digest = hashlib.sha256(about.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
