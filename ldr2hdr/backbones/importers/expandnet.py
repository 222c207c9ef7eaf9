"""Weights of ExpandNet: the ``weights.pth`` of its repository."""

from pathlib import Path
from typing import Final

from ldr2hdr.backbones.importers.archives import read_torch_state
from ldr2hdr.backbones.importers.entries import Entries, take_layers
from ldr2hdr.backbones.importers.imported import ImportedBackbone

_CITATION: Final = (
    "Marnerides, Bashford-Rogers, Hatchett, Debattista: ExpandNet: A Deep Convolutional Neural Network for High "
    "Dynamic Range Expansion from Low Dynamic Range Content, Eurographics 2018"
)
_FIRST: Final = "local_net.0.0"


def import_expandnet(path: Path) -> ImportedBackbone:
    """Read a state dict; our network gives the same relative picture, with ``output=relative``.

    Args:
        path: The ``.pth`` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, or an entry is missing, unknown or of another shape.
    """
    entries = Entries(path, read_torch_state(path))
    width = entries.shape(f"{_FIRST}.weight", num_dims=4)[0]
    names, shapes = _layers(width)
    state = take_layers(entries, names, shapes)
    entries.require_none_left()
    return ImportedBackbone({"width": width, "output": "relative"}, state, _CITATION)


def _layers(width: int) -> tuple[dict[str, str], dict[str, tuple[int, ...]]]:
    """Our names and the shapes of the weights, by the names in the file."""
    names: dict[str, str] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    local = ((_FIRST, 3, width), ("local_net.1.0", width, 2 * width))
    for step, (theirs, before, after) in enumerate(local):
        names[theirs], shapes[theirs] = f"local.{2 * step}", (after, before, 3, 3)
    for branch, ours, num_activated in (("mid_net", "dilated", 3), ("glob_net", "whole", 6)):
        for step in range(num_activated + 1):
            # the last convolution of a branch has no activation, and no container of its own
            theirs = f"{branch}.{step}" + (".0" if step < num_activated else "")
            is_global_end = branch == "glob_net" and step == num_activated
            side = 4 if is_global_end else 3
            names[theirs] = f"{ours}.{2 * step}"
            shapes[theirs] = (width, 3 if step == 0 else width, side, side)
    for theirs, ours, before, after in (
        ("end_net.0.0", "fuse.0", 4 * width, width),
        ("end_net.1", "head.conv", width, 3),
    ):
        names[theirs], shapes[theirs] = ours, (after, before, 1, 1)
    return names, shapes
