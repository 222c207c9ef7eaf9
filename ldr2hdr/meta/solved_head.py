"""Networks whose last layer is solved for on a support, in closed form, and not adapted by steps."""

import copy
from abc import abstractmethod
from typing import NamedTuple, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.meta.folding import FoldedNetwork, statistics_of
from ldr2hdr.tasks import Shots, Statistics


@runtime_checkable
class SolvableHead(Protocol):
    """Last layer that is linear in the logarithm of what it gives."""

    conv: nn.Conv2d

    def render(self, log_factor: Tensor, linear: Tensor) -> Tensor:
        """Return the prediction for an output of the convolution."""

    def log_factor(self, exposure: Tensor, linear: Tensor) -> Tensor:
        """Return the output of the convolution that would give a prediction."""


@runtime_checkable
class SolvableNetwork(Protocol):
    """Network that shows the features which its last layer sees."""

    head: SolvableHead

    def features(self, ldr: Tensor, statistics: Statistics) -> tuple[Tensor, Tensor]:
        """Return features ``(B, C, H, W)`` for the head, and the linearised pictures."""


class HeadStatistics(NamedTuple):
    """Statistics for a solved head: the support itself, and those of the network's closed-form part."""

    of_network: Statistics
    support: Shots


class AbstractSolvedHead(nn.Module):
    """Network with a last layer that a support gives.

    Args:
        network: A `SolvableNetwork`.
        algo: Name of the learner, for its error.

    Raises:
        ValueError: If the network is no `SolvableNetwork`.
    """

    def __init__(self, network: nn.Module, *, algo: str) -> None:
        super().__init__()
        if not isinstance(network, SolvableNetwork):
            raise ValueError(
                f"algo={algo} needs a network that gives the features of its last layer, as backbone=unet, "
                f"backbone=resnet and backbone=context do; this {type(network).__name__} does not"
            )
        self.network = network

    @property
    def solvable(self) -> SolvableNetwork:
        """Return the network by its contract."""
        return cast(SolvableNetwork, self.network)

    def sufficient_statistics(self, support: Shots) -> HeadStatistics:
        """Keep the support itself: its features depend on the parameters."""
        return HeadStatistics(statistics_of(self.network, support), support)

    @abstractmethod
    def last_layer(self, statistics: HeadStatistics) -> Float[Tensor, "3 c_plus_1"]:
        """Return weights and bias of each channel that the support gives."""

    @torch.no_grad()
    def fold(self, statistics: HeadStatistics) -> FoldedNetwork:
        """Return the network with the solved last layer in the place of its own."""
        return FoldedNetwork(self.with_last_layer(self.last_layer(statistics)), statistics.of_network)

    @torch.no_grad()
    def with_last_layer(self, solved: Float[Tensor, "3 c_plus_1"]) -> nn.Module:
        """Return a copy of the network with these weights and bias of each channel."""
        network = copy.deepcopy(self.network)
        conv = cast(SolvableNetwork, network).head.conv
        conv.weight.copy_(solved[:, :-1].view_as(conv.weight))
        torch.as_tensor(conv.bias).copy_(solved[:, -1])
        return network
