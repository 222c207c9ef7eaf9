"""Networks that are a plain function of the picture."""

from collections.abc import Callable

from torch import Tensor

from ldr2hdr.backbones.base import AbstractConvolutionalBackbone
from ldr2hdr.reconstructor import BoundReconstructor, Reconstructor
from ldr2hdr.response.ridge import InverseGammaResponse


class Plain(AbstractConvolutionalBackbone):
    """A backbone that gives a function of the picture."""

    multiple = 1

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, ldr: Tensor, linear: Tensor) -> Tensor:
        return self.function(ldr)


def plain(function: Callable[[Tensor], Tensor]) -> BoundReconstructor:
    return Reconstructor(InverseGammaResponse(), Plain(function)).bind()
