"""Weights of ExpandNet: the ``weights.pth`` of its repository."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ldr2hdr.backbones.importers.archives import read_torch_state
from ldr2hdr.backbones.importers.entries import Layer, read_layers
from ldr2hdr.backbones.importers.imported import ImportedBackbone

_CITATION: Final = (
    "Marnerides, Bashford-Rogers, Hatchett, Debattista: ExpandNet: A Deep Convolutional Neural Network for High "
    "Dynamic Range Expansion from Low Dynamic Range Content, Eurographics 2018"
)
_FIRST: Final = "local_net.0.0"


def import_expandnet(path: Path) -> ImportedBackbone:
    """Read the ``.pth`` file of a state dict; our network gives the same relative picture, with ``output=relative``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or holds another network.
    """
    width, state = read_layers(path, read_torch_state(path), first=_FIRST, layers=_layers)
    return ImportedBackbone({"width": width, "output": "relative"}, state, _CITATION)


def _layers(width: int) -> Iterator[Layer]:
    yield Layer(_FIRST, "local.0", 3, width, 3)
    yield Layer("local_net.1.0", "local.2", width, 2 * width, 3)
    for branch, ours, num_activated in (("mid_net", "dilated", 3), ("glob_net", "whole", 6)):
        for step in range(num_activated + 1):
            # the last convolution of a branch has no activation, and no container of its own
            theirs = f"{branch}.{step}" + (".0" if step < num_activated else "")
            is_global_end = branch == "glob_net" and step == num_activated
            yield Layer(theirs, f"{ours}.{2 * step}", width if step else 3, width, 4 if is_global_end else 3)
    yield Layer("end_net.0.0", "fuse.0", 4 * width, width, 1)
    yield Layer("end_net.1", "head.conv", width, 3, 1)
