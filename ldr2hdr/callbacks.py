"""What a run writes about itself, and what watches it."""

import functools
import json
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ldr2hdr.io.files import replacing

_PACKAGES = ("ldr2hdr", "torch", "lightning", "learn2learn", "hydra-core", "numpy", "opencv-python-headless", "OpenEXR")


class RunManifest(L.Callback):
    """Write the configuration, commit and versions of a run before its first step.

    Args:
        path: The JSON file.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the manifest, on the first process only."""
        if trainer.is_global_zero:
            write_json(self.path, {**provenance(), "config": getattr(pl_module, "run_config", None)})


class BadTensorWatch(L.Callback):
    """Stop at the first layer that gives NaN or infinity, and name it with what it was given.

    Slow: every layer's output is looked at. Backward passes are what ``trainer.detect_anomaly`` is for.
    """

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Watch every layer; the inner loop's copies of the network are watched with it."""
        for name, layer in pl_module.named_modules():
            if not list(layer.children()):
                self._handles.append(layer.register_forward_hook(functools.partial(_require_finite, name)))

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Watch no more."""
        while self._handles:
            self._handles.pop().remove()


def _require_finite(name: str, layer: nn.Module, inputs: tuple[object, ...], output: object) -> None:
    """Forward hook: raise if an output is not finite."""
    for tensor in output if isinstance(output, tuple) else (output,):
        if isinstance(tensor, Tensor) and not torch.isfinite(tensor).all():
            given = [_describe(f"input {i}", value) for i, value in enumerate(inputs) if isinstance(value, Tensor)]
            held = [_describe(key, value) for key, value in layer.named_parameters()]
            raise FloatingPointError(
                f"{name} ({type(layer).__name__}) gave the first number that is not finite; {'; '.join(given + held)}"
            )


def _describe(what: str, tensor: Tensor) -> str:
    finite = tensor[torch.isfinite(tensor)]
    largest = f"largest {finite.abs().max():.3g}" if finite.numel() else "nothing finite"
    return f"{what} {tuple(tensor.shape)}: {tensor.numel() - finite.numel()} bad, {largest}"


def provenance() -> dict[str, Any]:
    """The commit (with ``+`` if files were changed since; None outside a checkout) and the versions that ran."""
    root = Path(__file__).resolve().parent
    describe = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(describe, capture_output=True, text=True, check=False)
        commit = done.stdout.strip() if done.returncode == 0 else None
    except FileNotFoundError:  # git is not installed
        commit = None
    return {"commit": commit, "versions": {name: version(name) for name in _PACKAGES}}


def write_json(path: Path, content: object) -> None:
    """Write JSON under a temporary name, then rename."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
