"""Watch for the layer that gives the first number that is not finite."""

import functools

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


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
