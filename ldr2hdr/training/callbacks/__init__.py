"""Callbacks that write and show what a run is, and that watch it."""

from ldr2hdr.training.callbacks.bad_tensors import BadTensorWatch
from ldr2hdr.training.callbacks.manifest import (
    RunManifest,
    describe_run,
    provenance,
    read_manifest,
    theta_hash,
)

__all__ = [
    "BadTensorWatch",
    "RunManifest",
    "describe_run",
    "provenance",
    "read_manifest",
    "theta_hash",
]
