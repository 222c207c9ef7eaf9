"""Models around a network that can put all they learned of one camera into the network itself."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import nn

from ldr2hdr.tasks import Statistics


class FoldedNetwork(NamedTuple):
    """A network that predicts for one camera without what its learner put around it, and the statistics it needs."""

    network: nn.Module
    statistics: Statistics


@runtime_checkable
class Foldable(Protocol):
    """A model that can be left away once it has adapted."""

    def fold(self, statistics: Any) -> FoldedNetwork:  # noqa: ANN401 (each model has contexts of its own)
        """A copy of the network that predicts as this model does with this context."""
