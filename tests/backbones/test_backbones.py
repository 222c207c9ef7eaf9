"""Laws that every backbone obeys; a new one is one line here."""

from collections.abc import Callable

import pytest
import torch
from second_derivatives import along_a_direction
from torch import nn

from ldr2hdr.backbones.blocks import norm_layer
from ldr2hdr.backbones.context import ContextFeatures
from ldr2hdr.backbones.resnet import ResNet
from ldr2hdr.backbones.unet import UNet

BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "unet": lambda norm="pixel": UNet((4, 8, 16), norm=norm),
    "resnet": lambda norm="pixel": ResNet(4, 2, norm=norm),
    "context": lambda norm="pixel": ContextFeatures((4, 8), num_learned=3, hidden=4, context_px=16, norm=norm),
}
every_backbone = pytest.mark.parametrize("name", BACKBONES)


def trained(name: str, norm: str = "pixel") -> nn.Module:
    """A network that is past its first step: a fresh head is zero."""
    torch.manual_seed(0)
    net = BACKBONES[name](norm=norm)
    nn.init.normal_(net.head.conv.weight, std=0.1)
    return net


@every_backbone
@pytest.mark.parametrize(("height", "width"), [(32, 32), (17, 31), (1, 1), (5, 64)])
def test_any_size_goes_in_and_comes_out(name: str, height: int, width: int, generator: torch.Generator) -> None:
    ldr = torch.rand(2, 3, height, width, generator=generator)
    exposure = trained(name)(ldr, ldr**2.2)
    assert exposure.shape == ldr.shape
    assert bool((exposure >= 0).all())


@every_backbone
def test_a_fresh_network_returns_its_linear_input(name: str, generator: torch.Generator) -> None:
    ldr = torch.rand(1, 3, 16, 16, generator=generator)
    torch.testing.assert_close(BACKBONES[name]()(ldr, ldr**2.2), ldr**2.2, atol=1e-6, rtol=1e-5)


@every_backbone
def test_the_output_is_not_bounded_by_white(name: str) -> None:
    net = trained(name)
    nn.init.constant_(net.head.conv.bias, 5.0)
    white = torch.ones(1, 3, 16, 16)
    assert net(white, white).max() > 50


@every_backbone
@pytest.mark.parametrize("norm", ["pixel", "group", "none"])
def test_a_picture_does_not_depend_on_its_batch(name: str, norm: str, generator: torch.Generator) -> None:
    net = trained(name, norm)
    ldr = torch.rand(3, 3, 16, 16, generator=generator)
    together, alone = net(ldr, ldr), net(ldr[1:2], ldr[1:2])
    torch.testing.assert_close(together[1:2], alone, atol=1e-6, rtol=1e-5)
    assert not list(net.buffers()), "running statistics would leak from task to task"


@every_backbone
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_pictures_have_finite_gradients(name: str, value: float) -> None:
    net = trained(name)
    ldr = torch.full((1, 3, 16, 16), value)
    net(ldr, ldr).add(1e-3).log().mean().backward()
    assert all(bool(p.grad.isfinite().all()) for p in net.parameters() if p.grad is not None)


@every_backbone
def test_second_derivatives_agree_with_finite_differences(name: str, generator: torch.Generator) -> None:
    net = trained(name).double()
    ldr = torch.rand(1, 3, 8, 8, generator=generator, dtype=torch.float64) * 0.8 + 0.1
    exact, measured = along_a_direction(lambda: torch.mean(net(ldr, ldr).log() ** 2), net.head.conv.weight, generator)
    torch.testing.assert_close(exact, measured, atol=1e-7, rtol=1e-5)


def test_pixel_norm_gives_unit_mean_square(generator: torch.Generator) -> None:
    features = torch.randn(2, 8, 5, 5, generator=generator) * 7
    squares = norm_layer("pixel", 8)(features).square().mean(dim=1)
    torch.testing.assert_close(squares, torch.ones(2, 5, 5), atol=1e-4, rtol=0)


def test_bad_arguments_name_their_key() -> None:
    with pytest.raises(ValueError, match=r"backbone\.widths"):
        UNet((16,))
    with pytest.raises(ValueError, match=r"backbone\.width"):
        ResNet(0)
    with pytest.raises(ValueError, match=r"backbone\.norm"):
        norm_layer("batch", 8)
