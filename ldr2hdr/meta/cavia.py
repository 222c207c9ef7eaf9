"""CAVIA: a few context parameters adapt, and modulate a network that is shared by all tasks."""

import copy
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final, cast

import torch
from torch import Tensor, nn

from ldr2hdr.meta.base import Predictor
from ldr2hdr.meta.folding import FoldedNetwork, statistics_of
from ldr2hdr.meta.inner_loop import InnerLoop, Loss
from ldr2hdr.meta.maml import MAMLLearner
from ldr2hdr.tasks import Shots, Statistics

_CONTEXT: Final = "context"
"""Name of the parameters that adapt."""


class CAVIALearner(MAMLLearner):
    """MAML whose inner loop moves context parameters alone, from zero for every task; the rest is learned.

    They are additional inputs of the network in the form that the paper has for convolutions: a learned linear map
    of them shifts the gains and biases behind its layers. Without support they are zero, and the network is its own.

    Args:
        num_context: Number of context parameters.
        modulates: Which parameters they shift, as patterns of their names; of these, the ones that hold a single
            number per feature.

    The others are those of `MAMLLearner`.

    Raises:
        ValueError: As for `MAMLLearner`, and if something else than the context is to adapt, there is no context, or
            nothing that it could modulate.

    References:
        Zintgraf et al., "Fast Context Adaptation via Meta-Learning", ICML 2019, alg. 1 and sec. 3.3.
        Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI 2018.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        *,
        inner: InnerLoop = InnerLoop(lr=1.0, adapts=(_CONTEXT,)),
        first_order: bool = False,
        single_shot_weight: float = 0.0,
        checkpoint_steps: bool = False,
        num_context: int = 16,
        modulates: Sequence[str] = ("*",),
    ) -> None:
        if list(inner.adapts) != [_CONTEXT]:
            raise ValueError(f"algo.inner.adapts must be [{_CONTEXT}] for algo=cavia, got {list(inner.adapts)}")
        super().__init__(
            Modulated(model, num_context, modulates=modulates),
            loss,
            inner=inner,
            first_order=first_order,
            single_shot_weight=single_shot_weight,
            checkpoint_steps=checkpoint_steps,
        )

    def trainable(self) -> list[nn.Parameter]:
        """Return all but the context parameters, which start at zero for good."""
        adapting = {id(parameter) for parameter in self.adapting()}
        return [parameter for parameter in super().trainable() if id(parameter) not in adapting]

    def single_shot(self) -> Predictor:
        """Predict without support: the network as it is."""
        return cast(Modulated, self.model).network


class Modulated(nn.Module):
    """A network whose gains and biases are shifted by a linear map of context parameters.

    Args:
        network: Maps ``(ldr, statistics)`` to a prediction.
        num_context: Number of context parameters.
        modulates: Patterns of the names of what is shifted.

    Raises:
        ValueError: If there is no context, or no pattern names a parameter with one number per feature.
    """

    def __init__(self, network: nn.Module, num_context: int, *, modulates: Sequence[str]) -> None:
        super().__init__()
        if num_context < 1:
            raise ValueError(f"algo.num_context must be positive, got {num_context}")
        self.network = network
        shifted = {
            name: parameter
            for name, parameter in network.named_parameters()
            if _is_per_feature(parameter) and any(fnmatchcase(name, pattern) for pattern in modulates)
        }
        if not shifted:
            raise ValueError(f"algo.modulates={list(modulates)} names no gain or bias of the network")
        self.sizes = {name: parameter.numel() for name, parameter in shifted.items()}
        self.context = nn.Parameter(torch.zeros(num_context))
        total = sum(self.sizes.values())
        # columns of about unit length: a step of the context is one of the same rate on what it shifts
        self.directions = nn.Parameter(torch.randn(total, num_context) / total**0.5)

    def sufficient_statistics(self, support: Shots) -> Statistics:
        """Return what the network's closed-form part needs of the support."""
        return statistics_of(self.network, support)

    def forward(self, ldr: Tensor, statistics: Statistics = None) -> Tensor:
        """Predict with the shifted gains and biases."""
        prediction: Tensor = torch.func.functional_call(self.network, self._shifted(), (ldr, statistics))
        return prediction

    @torch.no_grad()
    def fold(self, statistics: Statistics) -> FoldedNetwork:
        """Return the network with its gains and biases shifted for good."""
        network = copy.deepcopy(self.network)
        network.load_state_dict(self._shifted(), strict=False)
        return FoldedNetwork(network, statistics)

    def _shifted(self) -> dict[str, Tensor]:
        shifts = torch.split(self.directions @ self.context, list(self.sizes.values()))
        parameters = dict(self.network.named_parameters())
        return {
            name: parameters[name] + shift.view_as(parameters[name])
            for name, shift in zip(self.sizes, shifts, strict=True)
        }


def _is_per_feature(parameter: Tensor) -> bool:
    return parameter.ndim > 0 and len(parameter) == parameter.numel()
