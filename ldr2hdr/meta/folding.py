"""Contract of a model beside its prediction: statistics of a support, and folding into the network within."""

from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

from torch import nn

from ldr2hdr.tasks import Shots, Statistics


class _WithStatistics(Protocol):
    def sufficient_statistics(self, support: Shots) -> Statistics:
        """Reduce a support to what the model's closed-form part needs of it."""


def statistics_of(model: nn.Module, support: Shots) -> Statistics:
    """Reduce a support to what the closed-form part of a model needs of it."""
    return cast(_WithStatistics, model).sufficient_statistics(support)


class FoldedNetwork(NamedTuple):
    """A network that predicts for one camera without what its learner put around it, and the statistics it needs."""

    network: nn.Module
    statistics: Statistics


@runtime_checkable
class Foldable(Protocol):
    """A model that can be left away once it has adapted."""

    def fold(self, statistics: Any) -> FoldedNetwork:  # noqa: ANN401 (each model has statistics of its own)
        """Return a copy of the network that predicts as this model does with these statistics.

        They are None without support; a learner whose `single_shot` is the network within is not asked for that.
        """
