"""Closing a network's layers: same names, same numbers, other operations."""

import pytest
import torch
from torch import nn

from ldr2hdr.backbones.resnet import ResNet
from ldr2hdr.backbones.unet import UNet
from ldr2hdr.layers.convolution import ClosedConv2d
from ldr2hdr.layers.fast_layers import close_layers
from ldr2hdr.layers.pixel_norm import KernelSiLU, PixelNorm, PixelNormSiLU
from ldr2hdr.layers.resampling import ClosedUpsampleConcat, UpsampleConcat


def closed(network: nn.Module) -> nn.Module:
    close_layers(network)
    return network


def fresh(name: str, norm: str) -> nn.Module:
    torch.manual_seed(0)
    net = UNet((4, 8, 16), norm=norm) if name == "unet" else ResNet(4, 2, norm=norm)
    nn.init.normal_(net.head.conv.weight, std=0.1)
    return net.double()


@pytest.mark.parametrize("norm", ["pixel", "group", "none"])
@pytest.mark.parametrize("name", ["unet", "resnet"])
def test_a_backbone_keeps_its_names_its_parameters_and_its_numbers(
    either_way: None, name: str, norm: str, generator: torch.Generator
) -> None:
    stock, network = fresh(name, norm), fresh(name, norm)
    parameters = dict(network.named_parameters())
    close_layers(network)
    assert list(network.state_dict()) == list(stock.state_dict())
    assert all(parameter is parameters[key] for key, parameter in network.named_parameters())
    ldr = torch.rand(2, 3, 13, 10, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(network(ldr, ldr**2), stock(ldr, ldr**2), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["unet", "resnet"])
def test_nothing_is_left_that_could_be_faster(name: str) -> None:
    network = closed(fresh(name, "pixel"))
    kinds = {type(module) for module in network.modules()}
    assert not kinds & {nn.Conv2d, nn.SiLU, PixelNorm, UpsampleConcat}
    assert {ClosedConv2d, PixelNormSiLU} <= kinds
    assert (ClosedUpsampleConcat in kinds) == (name == "unet")
    assert (KernelSiLU in kinds) == (name == "resnet")


def test_a_state_dict_goes_both_ways() -> None:
    stock, network = fresh("unet", "pixel"), closed(fresh("unet", "pixel"))
    with torch.no_grad():
        torch._foreach_add_(list(stock.parameters()), 0.1)
    network.load_state_dict(stock.state_dict())
    fresh("unet", "pixel").load_state_dict(network.state_dict())


def test_closing_twice_is_closing_once() -> None:
    network = closed(fresh("resnet", "pixel"))
    kinds = [type(module) for module in network.modules()]
    close_layers(network)
    assert [type(module) for module in network.modules()] == kinds


def test_what_it_knows_nothing_better_for_stays() -> None:
    layers = nn.Sequential(
        nn.Conv2d(4, 4, 3, groups=2), PixelNorm(4), nn.ReLU(), nn.GroupNorm(2, 4), nn.SiLU(), PixelNorm(4)
    )
    close_layers(layers)
    expected = [nn.Conv2d, PixelNorm, nn.ReLU, nn.GroupNorm, KernelSiLU, PixelNorm]
    assert [type(layer) for layer in layers] == expected
