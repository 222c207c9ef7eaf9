"""Manifest of a run: configuration, commit, versions, machine and data before the first step, and its outcome."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, cast

import lightning as L
import torch
import yaml
from torch import Tensor, nn

from ldr2hdr.data.loading.datamodule import VAL_NAMES
from ldr2hdr.data.loading.packing import as_batch
from ldr2hdr.io.files import write_json
from ldr2hdr.tasks import TaskBatch
from ldr2hdr.training.earlier import upgrade_config

_PACKAGES = ("ldr2hdr", "torch", "lightning", "learn2learn", "hydra-core", "numpy", "opencv-python-headless", "OpenEXR")
# Of the pixels of each part of a batch
_NUM_HASHED: Final = 2000


class RunManifest(L.Callback):
    """Write what a run is made of before its first step, and what came out after its last.

    That is the configuration with its seed, the commit, versions, the machine and hashes of the data; then hashes of
    theta and of all tasks in their order. A run that is resumed in its folder keeps its manifest, and is noted there.

    Args:
        path: The JSON file.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._tasks = ""
        self._resumed_at: int | None = None

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Know the step that the run goes on from."""
        self._resumed_at = checkpoint["global_step"]

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the manifest, on the first process only."""
        if not trainer.is_global_zero:
            return
        config = str(getattr(pl_module, "run_config", ""))
        about = {**describe_run(trainer), "seed": (yaml.safe_load(config) or {}).get("seed"), "config": config}
        about["composed"] = str(getattr(pl_module, "composed_config", ""))
        if self._resumed_at is not None and self.path.is_file():
            resumed = {"step": self._resumed_at, **about}
            about = read_manifest(self.path)
            about["resumed"] = [*about.get("resumed", ()), resumed]
        write_json(self.path, about)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: object, batch: TaskBatch, batch_idx: int
    ) -> None:
        """Add the tasks of this step to the hash of all."""
        self._tasks = _sha256(self._tasks, _digest(batch))

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add what came out, on the first process only; also if a run was resumed that had nothing left to do."""
        if trainer.is_global_zero and self.path.is_file():
            theta = theta_hash(cast(nn.Module, pl_module.learner).state_dict())
            final = {"step": trainer.global_step, "theta_sha256": theta, "tasks_sha256": self._tasks}
            write_json(self.path, {**read_manifest(self.path), "final": final})

    def state_dict(self) -> dict[str, Any]:
        """The hash of the tasks so far; of those of the first process, if there are several."""
        return {"tasks": self._tasks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with it."""
        self._tasks = state_dict["tasks"]


def describe_run(trainer: L.Trainer, datamodule: L.LightningDataModule | None = None) -> dict[str, Any]:
    """Describe all but the configuration that decides what comes out of a run.

    Args:
        trainer: Of the run.
        datamodule: Whose data are described; None for the trainer's.
    """
    machine = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "processes": trainer.world_size,
        "device": trainer.strategy.root_device.type,
    }
    data = _hash_first_tasks(datamodule or getattr(trainer, "datamodule", None))
    return {**provenance(), "machine": machine, "data": data}


def read_manifest(path: Path) -> dict[str, Any]:
    """Read what a run wrote about itself.

    Raises:
        ValueError: If there is no such file, or it is no manifest.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"expected the folder of a run, found no {path}") from None
    except ValueError as error:
        raise ValueError(f"{path} is not a manifest of ldr2hdr.train: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(key), str) for key in ("config", "composed")):
        raise ValueError(f"{path} is not a manifest of ldr2hdr.train: it has no configuration")
    return content | {key: upgrade_config(content[key]) for key in ("config", "composed")}


def theta_hash(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of a state dict: names, types, shapes and every bit, whatever the order.

    Example:
        >>> one, zero = torch.ones(1), torch.zeros(1)
        >>> theta_hash({"a": one, "b": zero}) == theta_hash({"b": zero, "a": one})
        True
        >>> theta_hash({"a": zero}) == theta_hash({"a": -zero})
        False
    """
    parts = ((name, f"{value.dtype} {tuple(value.shape)}", _bytes(value)) for name, value in sorted(state.items()))
    return _sha256(*(piece for part in parts for piece in part))


def provenance() -> dict[str, Any]:
    """The commit (with ``+`` if files were changed since; None outside a checkout) and the versions that ran."""
    root = Path(__file__).resolve().parent
    describe = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(describe, capture_output=True, text=True, check=False)
        commit = done.stdout.strip() if done.returncode == 0 else None
    except FileNotFoundError:  # git is not installed
        commit = None
    return {"commit": commit, "versions": {name: _version(name) for name in _PACKAGES}}


def _version(package: str) -> str | None:
    """Version of a package; None if it is not installed, as learn2learn need not be."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _hash_first_tasks(datamodule: Any) -> dict[str, str]:  # noqa: ANN401 - TaskDataModule, or None
    """Hash of the first task of each set: a change of the data, or of what is made of them, shows in its pixels."""
    if datamodule is None:
        return {}
    hashes = {}
    for name, tasks in zip(("train", *VAL_NAMES), (datamodule.train_tasks, *datamodule.val_tasks), strict=True):
        hashes[name] = _digest(datamodule.transfer_batch_to_device(as_batch([tasks[0]]), torch.device("cpu"), 0))
    return hashes


def _digest(batch: TaskBatch) -> str:
    """Hash of the names and of some of the pixels: all of them would have to be copied from a GPU."""
    tensors = [picture for shots in (batch.support, batch.query) for picture in (shots.ldr, shots.exposure)]
    pixels = torch.cat([tensor.flatten()[:: max(1, tensor.numel() // _NUM_HASHED)] for tensor in tensors])
    return _sha256(repr((batch.cameras, batch.query_places)), _bytes(pixels))


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _sha256(*parts: str | bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        whole.update(len(raw).to_bytes(8, "little") + raw)
    return whole.hexdigest()
