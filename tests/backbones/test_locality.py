"""How far networks look is measured as their layers add up to it, and those of the whole picture are found out."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ldr2hdr.backbones.base import AbstractConvolutionalBackbone
from ldr2hdr.backbones.expandnet import ExpandNet
from ldr2hdr.backbones.hdrcnn import HDRCNN
from ldr2hdr.backbones.hdrunet import HDRUNet
from ldr2hdr.backbones.locality import Locality
from ldr2hdr.backbones.resnet import ResNet
from ldr2hdr.backbones.unet import UNet

BACKBONES: dict[str, Callable[[], AbstractConvolutionalBackbone]] = {
    "unet": lambda: UNet((3, 4, 5)),
    "unet without norm": lambda: UNet((3, 4, 5), norm="none"),
    "resnet": lambda: ResNet(3, 2),
    "hdrcnn": lambda: HDRCNN(width=1 / 64),
    "hdrunet": lambda: HDRUNet(width=3),
}


class Convolutions(AbstractConvolutionalBackbone):
    """Convolutions of both inputs; ``multiple`` says that nothing is down-sampled."""

    multiple = 1

    def __init__(self, kernels: list[tuple[int, int]]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Conv2d(3, 3, kernel, padding="same") for kernel in kernels))

    def forward(self, ldr: Tensor, linear: Tensor) -> Tensor:
        return self.layers(ldr + linear)


@pytest.mark.parametrize(
    ("kernels", "reach"),
    [([(1, 1)], 0), ([(3, 3)] * 5, 5), ([(7, 1), (5, 3)], 5), ([(1, 9)], 4), ([(3, 3)] * 100, 100)],
)
def test_the_halo_of_convolutions_is_the_sum_of_their_radii(kernels: list[tuple[int, int]], reach: int) -> None:
    backbone = Convolutions(kernels)
    for parameter in backbone.parameters():
        nn.init.zeros_(parameter)  # what a fresh layer ignores, a trained one may look at
    assert backbone.locality() == Locality(multiple=1, halo=reach)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_halo_of_a_unet_is_what_its_layers_add_up_to(depth: int) -> None:
    reach = 2
    for _ in range(depth):
        reach = -(-reach // 2) + 2  # pooled, rounded up to whole cells, and two convolutions
    for _ in range(depth):
        reach = 2 * reach + 2
    backbone = UNet((2, 3, 4, 5)[: depth + 1])
    multiple = 2**depth
    assert backbone.locality() == Locality(multiple, -(-reach // multiple) * multiple)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_no_gradient_comes_from_beyond_the_halo(backbone: str, generator: torch.Generator) -> None:
    net = BACKBONES[backbone]().double()
    with torch.no_grad():
        for parameter in net.parameters():  # fresh networks ignore their features
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    multiple, halo = net.locality()
    ldr = torch.rand(1, 3, 2 * halo + 5 * multiple, multiple, generator=generator, dtype=torch.float64)
    ldr.requires_grad_()
    tile = slice(halo + 2 * multiple, halo + 3 * multiple)
    net(ldr, ldr.square())[:, :, tile].sum().backward()
    rows = ldr.grad.abs().sum(dim=(0, 1, 3)).nonzero()[:, 0]
    assert rows.min() >= tile.start - halo
    assert rows.max() < tile.stop + halo


@pytest.mark.parametrize("make", [lambda: UNet((3, 4), norm="group"), lambda: ResNet(8, 1, norm="group"), ExpandNet])
def test_a_network_of_the_whole_picture_has_no_halo(make: Callable[[], AbstractConvolutionalBackbone]) -> None:
    assert make().locality() is None
