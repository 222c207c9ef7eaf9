"""Weights of HDRCNN: ``hdrcnn_params.npz`` and its two siblings, as TensorLayer wrote them."""

from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch import Tensor

from ldr2hdr.backbones.importers.archives import read_npz_list
from ldr2hdr.backbones.importers.entries import Entries
from ldr2hdr.backbones.importers.imported import ImportedBackbone

_CITATION: Final = (
    "Eilertsen, Kronander, Denes, Mantiuk, Unger: HDR image reconstruction from a single exposure using deep CNNs, "
    "SIGGRAPH Asia 2017"
)
_CONVS_PER_STAGE: Final = (2, 2, 3, 3, 3)
_MULTIPLES: Final = (1, 2, 4, 8, 8)
# Features of the paper's first stage
_FIRST_STAGE: Final = 64
# Of TensorLayer's batch norm
_BATCH_NORM_EPS: Final = 1e-5
# Pictures were shown to the encoder with white at 255; to ours, at 1
_WHITE: Final = 255.0
_NORM_PARTS: Final = ("beta", "gamma", "moving_mean", "moving_variance")


class _Layer(NamedTuple):
    """One layer of the archive.

    Attributes:
        theirs: Its name in the published code; the archive has none, only an order.
        ours: Its name in our network.
        kernel: Shape of its kernel: height, width, and channels in and out; of a transposed convolution, out and in.
        num_out: Channels that come out.
        is_encoder: Whether what goes in is in units of 1/255 of ours, and what comes out too.
        is_normed: Whether batch norm follows.
    """

    theirs: str
    ours: str
    kernel: tuple[int, int, int, int]
    num_out: int
    is_encoder: bool = False
    is_normed: bool = False


def import_hdrcnn(path: Path) -> ImportedBackbone:
    """Read an archive, fold its batch norms into the convolutions, and bring it to our units and colour order.

    The network's size is known from the first kernel. No number is lost but by rounding: our network gives the same
    picture, with ``norm=none`` and ``linearisation=published``.

    Args:
        path: The ``.npz`` archive.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the archive is damaged, or an entry is not what the network has at its place.
    """
    arrays = read_npz_list(path)
    first = arrays[0].shape[-1] if arrays and arrays[0].ndim == 4 else 0
    layers = _layers(max(first, 1))
    names = [name for layer in layers for name in _entry_names(layer)]
    if len(arrays) != len(names):
        raise ValueError(f"{path}: expected the {len(names)} arrays of HDRCNN, got {len(arrays)}")
    numbered = [f"params[{number}] ({name})" for number, name in enumerate(names)]
    tensors = {name: torch.tensor(array) for name, array in zip(numbered, arrays, strict=True)}
    entries, places = Entries(path, tensors), iter(numbered)
    state: dict[str, Tensor] = {}
    for layer in layers:
        state |= _take(entries, layer, [next(places) for _ in _entry_names(layer)])
    weight = state["encoder.0.0.weight"]
    state["encoder.0.0.weight"] = weight.flip(1)  # from blue green red
    settings = {"width": first / _FIRST_STAGE, "norm": "none", "linearisation": "published"}
    return ImportedBackbone(settings, state, _CITATION)


def _layers(first: int) -> list[_Layer]:
    """All layers, in the archive's order."""
    sizes = [first * multiple for multiple in _MULTIPLES]
    layers = []
    channels = 3
    for stage, (size, num_convs) in enumerate(zip(sizes, _CONVS_PER_STAGE, strict=True)):
        for conv in range(num_convs):
            theirs, ours = f"encoder/h{stage + 1}/conv_{conv + 1}", f"encoder.{stage}.{2 * conv}"
            layers.append(_Layer(theirs, ours, (3, 3, channels, size), size, is_encoder=True))
            channels = size
    # what goes in is in units of 1/255, what comes out is not
    layers.append(_Layer("encoder/h6/conv", "bottleneck.0", (3, 3, channels, channels), channels, is_normed=True))
    for step, size in enumerate(reversed(sizes)):
        theirs = f"decoder/h{step + 1}/decon2d"
        layers.append(_Layer(theirs, f"up.{step}.0", (4, 4, size, channels), size, is_normed=True))
        theirs = f"decoder/h{step + 2}/fuse_skip_connection"
        layers.append(_Layer(theirs, f"fuse.{step}", (1, 1, 2 * size, size), size))
        channels = size
    layers.append(_Layer("decoder/h7/conv2d", "out", (1, 1, first, 3), 3, is_normed=True))
    layers.append(_Layer("decoder/h7/fuse_skip_connection", "fuse_input", (1, 1, 6, 3), 3))
    return layers


def _entry_names(layer: _Layer) -> list[str]:
    return [f"{layer.theirs}/{part}" for part in ("W", "b", *(_NORM_PARTS if layer.is_normed else ()))]


def _take(entries: Entries, layer: _Layer, names: list[str]) -> dict[str, Tensor]:
    """Weight and bias of one layer, as ours has them."""
    weight = entries.take(names[0], layer.kernel).double().permute(3, 2, 0, 1)
    bias, *norm = (entries.take(name, (layer.num_out,)).double() for name in names[1:])
    if layer.ours == "bottleneck.0":
        weight = weight * _WHITE
    if layer.is_encoder:
        bias = bias / _WHITE
    if norm:
        beta, gamma, mean, variance = norm
        if bool((variance < 0).any()):
            raise ValueError(f"expected no negative variance in {names[-1]}, got {variance.min():.3g}")
        gain = gamma / (variance + _BATCH_NORM_EPS).sqrt()
        # features out: the first side of a convolution's weight, the second of a transposed one's
        weight = weight * (gain[:, None, None] if layer.ours.startswith("up.") else gain[:, None, None, None])
        bias = (bias - mean) * gain + beta
    return {f"{layer.ours}.weight": weight.float().contiguous(), f"{layer.ours}.bias": bias.float()}
