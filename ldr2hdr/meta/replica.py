"""Private copy of a model that runs with any parameters."""

import copy
from collections.abc import Callable, Sequence
from typing import cast

from torch import Tensor, nn

from ldr2hdr.tasks import Statistics

_Tensors = dict[str, Tensor | None]


class Replica:
    """Run a model's computation with parameters given from outside; the model itself is never touched.

    ``torch.func.functional_call`` swaps tensors on the module and back at every call, so that two threads would
    disturb each other; a replica belongs to one thread and leaves them there.

    Args:
        model: What is copied; later values of its tensors are fetched by ``refresh``.
        swap: Swaps the layers of the copy for those that differentiate fastest; None leaves them.

    Attributes:
        copy: The copy, with the parameters it was filled with last.
    """

    def __init__(self, model: nn.Module, *, swap: Callable[[nn.Module], None] | None = None) -> None:
        self.model = model
        self.copy = copy.deepcopy(model)
        if swap is not None:
            swap(self.copy)
        self._theta = _slots(model, "_parameters")
        self._parameters = _slots(self.copy, "_parameters")
        self._buffers = _slots(self.copy, "_buffers")
        if len(self._parameters) != len(self._theta):
            raise ValueError("swapping a model's layers must leave its parameters as they are")

    def theta(self) -> list[Tensor]:
        """Return the parameters as they are now; ``model.parameters()`` walks through all modules to find them."""
        return [cast(Tensor, tensors[name]) for (tensors, name), *_ in self._theta]

    def refresh(self) -> None:
        """Take over the model's buffers and its mode."""
        self.copy.train(self.model.training)
        for slots, buffer in zip(self._buffers, self.model.buffers(), strict=True):
            _fill(slots, buffer)

    def fill(self, parameters: Sequence[Tensor]) -> None:
        """Give the copy these parameters, in the order of ``model.parameters()``."""
        for slots, parameter in zip(self._parameters, parameters, strict=True):
            _fill(slots, parameter)

    def __call__(self, parameters: Sequence[Tensor], ldr: Tensor, statistics: Statistics) -> Tensor:
        """Predict with these parameters."""
        self.fill(parameters)
        prediction: Tensor = self.copy(ldr, statistics)
        return prediction


def _slots(model: nn.Module, kind: str) -> list[list[tuple[_Tensors, str]]]:
    """Return the places of each tensor of a model, several for one that is shared; in the order of first appearance."""
    places: dict[int, list[tuple[_Tensors, str]]] = {}
    for module in model.modules():
        tensors: _Tensors = getattr(module, kind)
        for name, tensor in tensors.items():
            if tensor is not None:
                places.setdefault(id(tensor), []).append((tensors, name))
    return list(places.values())


def _fill(slots: list[tuple[_Tensors, str]], tensor: Tensor) -> None:
    for tensors, name in slots:
        tensors[name] = tensor
