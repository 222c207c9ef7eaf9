"""Weights of HDRUNet: the ``pretrained_model.pth`` of its repository."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ldr2hdr.backbones.importers.archives import read_torch_state
from ldr2hdr.backbones.importers.entries import Layer, read_layers
from ldr2hdr.backbones.importers.imported import ImportedBackbone

_CITATION: Final = (
    "Chen, Liu, Zhang, Qiao, Dong: HDRUNet: Single Image HDR Reconstruction with Denoising and Dequantization, "
    "CVPR workshops 2021"
)
_FIRST: Final = "conv_first"
_BLOCKS: Final = {"recon_trunk1": ("down", 2), "recon_trunk2": ("bottom", 8), "recon_trunk3": ("up", 2)}


def import_hdrunet(path: Path) -> ImportedBackbone:
    """Read the ``.pth`` file of a state dict; our network gives the same picture, with ``linearisation=published``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or holds another network.
    """
    width, state = read_layers(path, read_torch_state(path), first=_FIRST, layers=_layers)
    num_blocks = [number for _, number in _BLOCKS.values()]
    return ImportedBackbone({"width": width, "num_blocks": num_blocks, "linearisation": "published"}, state, _CITATION)


def _layers(width: int) -> Iterator[Layer]:
    half = width // 2
    yield Layer(_FIRST, "stem", 3, width, 3)
    for theirs, ours in {
        "HR_conv1": "first",
        "down_conv1": "to_half",
        "down_conv2": "to_quarter",
        "HR_conv2": "last",
    }.items():
        yield Layer(theirs, ours, width, width, 3)
    yield Layer("conv_last", "out", width, 3, 3)
    for theirs, ours in {"up_conv1.0": "from_quarter.0", "up_conv2.0": "from_half.0"}.items():
        yield Layer(theirs, ours, width, 4 * width, 3)
    for step, side in enumerate((3, 1, 1)):
        name = f"condition.shared.{2 * step}"
        yield Layer(f"cond_first.{2 * step}", name, width if step else 3, width, side)
    for theirs, ours, sides in (
        ("CondNet1", "full", (1, 1)),
        ("CondNet2", "half", (3, 1)),
        ("CondNet3", "quarter", (3, 3)),
    ):
        yield Layer(f"{theirs}.0", f"condition.at_{ours}.0", width, width, sides[0])
        yield Layer(f"{theirs}.2", f"condition.at_{ours}.2", width, half, sides[1])
    for step, (side, after) in enumerate(((3, width), (3, width), (1, width), (1, 3))):
        yield Layer(f"mask_est.{2 * step}", f"mask.{2 * step}", width if step else 3, after, side)
    yield from _modulation("SFT_layer1", "modulate_first", width)
    yield from _modulation("SFT_layer2", "modulate_last", width)
    for theirs, (ours, number) in _BLOCKS.items():
        for block in range(number):
            yield from _block(f"{theirs}.{block}", f"{ours}.{block}", width)


def _block(theirs: str, ours: str, width: int) -> Iterator[Layer]:
    for their_number, our_number in (("1", "first"), ("2", "second")):
        yield Layer(f"{theirs}.conv{their_number}", f"{ours}.{our_number}", width, width, 3)
        yield from _modulation(f"{theirs}.sft{their_number}", f"{ours}.modulate_{our_number}", width)


def _modulation(theirs: str, ours: str, width: int) -> Iterator[Layer]:
    half = width // 2
    for part in ("scale", "shift"):
        yield Layer(f"{theirs}.SFT_{part}_conv0", f"{ours}.{part}.0", half, half, 1)
        yield Layer(f"{theirs}.SFT_{part}_conv1", f"{ours}.{part}.2", half, width, 1)
