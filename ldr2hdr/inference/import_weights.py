"""Turn released weights of another project into a checkpoint: ``ldr2hdr import-weights KIND FILE -o CKPT``."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from ldr2hdr.backbones.importers.expandnet import import_expandnet
from ldr2hdr.backbones.importers.hdrcnn import import_hdrcnn
from ldr2hdr.backbones.importers.hdrunet import import_hdrunet
from ldr2hdr.backbones.importers.imported import ImportedBackbone
from ldr2hdr.build import build_learner
from ldr2hdr.configuration.folders import CONF_DIR
from ldr2hdr.io.files import replacing

_SUFFIX: Final = ".ckpt"


class _Kind(NamedTuple):
    """Importer of a kind, the loss that its network was trained with, and where that differs from ``conf/loss``."""

    importer: Callable[[Path], ImportedBackbone]
    loss: str
    loss_settings: Mapping[str, bool | float]


_KINDS: Final[Mapping[str, _Kind]] = {
    "expandnet": _Kind(import_expandnet, "expandnet", {}),
    "hdrcnn": _Kind(import_hdrcnn, "hdrcnn", {"highlights_only": True}),
    "hdrunet": _Kind(import_hdrunet, "tanh_l1", {}),
}


class WrittenCheckpoint(NamedTuple):
    """Checkpoint that was imported.

    Attributes:
        path: The checkpoint.
        num_parameters: Of its network.
        citation: The paper to cite for the weights.
    """

    path: Path
    num_parameters: int
    citation: str


def import_weights(kind: str, file: Path, out: Path, *, is_forced: bool = False) -> WrittenCheckpoint:
    """Write a checkpoint that ``evaluate``, ``convert`` and ``labels=teacher`` take, of a supervised network.

    It names no camera and no data set: those that the weights were trained on are not ours. Besides what every
    checkpoint has, it holds under ``imported`` the kind, the name and hash of the file, and whom to cite.

    Args:
        kind: ``expandnet``, ``hdrcnn`` or ``hdrunet``.
        file: The weights as their authors released them.
        out: The checkpoint to write, its name ending in ``.ckpt``.
        is_forced: Whether an existing checkpoint may be overwritten.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the kind is unknown, the output exists or has another ending, or the file is damaged, holds
            anything but numbers, or another network.
    """
    if kind not in _KINDS:
        raise ValueError(f"expected weights of {', '.join(_KINDS)}, got {kind!r}")
    if out.suffix != _SUFFIX:
        raise ValueError(f"expected an output whose name ends in {_SUFFIX}, got {out}")
    if out.exists() and not is_forced:
        raise ValueError(f"{out} exists; choose another name, or force to overwrite it")
    imported = _KINDS[kind].importer(file)
    config = _describe(kind, imported)
    learner = build_learner(config)
    learner.get_submodule("model.backbone").load_state_dict(imported.state)
    content = {
        "config": OmegaConf.to_yaml(config, resolve=True),
        "state_dict": {f"learner.{name}": tensor for name, tensor in learner.state_dict().items()},
        "imported": {
            "kind": kind,
            "file": file.name,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "citation": imported.citation,
        },
    }
    with replacing(out) as temporary:
        torch.save(content, temporary)
    return WrittenCheckpoint(out, sum(p.numel() for p in learner.parameters()), imported.citation)


def _describe(kind: str, imported: ImportedBackbone) -> DictConfig:
    """Compose the configuration of a supervised run without cameras and data, as far as a checkpoint is read for it."""
    loss, loss_settings = _KINDS[kind].loss, _KINDS[kind].loss_settings
    overrides = [f"backbone={kind}", "response=none", f"loss={loss}", "algo=supervised"]
    overrides += [f"backbone.{key}={value}" for key, value in imported.settings.items()]
    overrides += [f"loss.{key}={value}" for key, value in loss_settings.items()]
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        run = compose("train", overrides=overrides)
    network = {key: OmegaConf.to_container(run[key], resolve=True) for key in ("response", "backbone", "loss", "algo")}
    return OmegaConf.create({**network, "seed": None, "dataset": {}, "camera": {}})
