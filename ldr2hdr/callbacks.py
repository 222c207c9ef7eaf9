"""What a run writes about itself."""

import json
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning as L

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
