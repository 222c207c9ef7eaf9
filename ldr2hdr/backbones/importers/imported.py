"""Result of an importer."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ImportedBackbone:
    """Weights under the names of one of our backbones.

    Attributes:
        settings: Parameters of the backbone, as in its file of ``conf/backbone``, that the weights ask for.
        state: The backbone's state dict.
        citation: The paper to cite, with its authors and year.
    """

    settings: Mapping[str, int | float | str | list[int]]
    state: Mapping[str, Tensor]
    citation: str
