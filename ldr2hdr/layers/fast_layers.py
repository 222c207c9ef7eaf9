"""Swap a network's layers for those that an inner loop runs fastest; parameters and their names stay."""

from itertools import pairwise

from torch import nn

from ldr2hdr.layers.convolution import ClosedConv2d, StackedConv2d, can_close
from ldr2hdr.layers.pixel_norm import KernelSiLU, PixelNorm, PixelNormSiLU
from ldr2hdr.layers.resampling import ClosedUpsampleConcat, UpsampleConcat
from ldr2hdr.layers.stacked_norm import StackedNormSiLU


def close_layers(network: nn.Module) -> None:
    """Swap the layers of a network in place; those without a faster form stay as they are.

    The state dict keeps its keys. The numbers agree to rounding, and channels last is the layout of all pictures.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            _join_norms(module, PixelNormSiLU)
    for module in list(network.modules()):
        if can_close(module):
            module.__class__ = ClosedConv2d
        for name, child in module.named_children():
            if type(child) is UpsampleConcat:
                setattr(module, name, ClosedUpsampleConcat())
            elif type(child) is nn.SiLU:
                setattr(module, name, KernelSiLU())


def stack_layers(network: nn.Module) -> None:
    """Swap the layers of a network in place for those that ``torch.func.vmap`` makes the fewest operations of.

    The state dict keeps its keys, and the numbers agree to rounding.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            _join_norms(module, StackedNormSiLU)
        if can_close(module):
            module.__class__ = StackedConv2d


def _join_norms(layers: nn.Sequential, joined: type[PixelNormSiLU | StackedNormSiLU]) -> None:
    for index, (norm, activation) in enumerate(pairwise(layers)):
        if type(norm) is PixelNorm and type(activation) is nn.SiLU:
            layers[index] = joined(norm)
            layers[index + 1] = nn.Identity()
