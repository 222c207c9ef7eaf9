"""Convolution closed under differentiation: torch's own numbers, for any stride and size."""

import pytest
import torch
from derivatives import assert_same_derivatives
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from ldr2hdr.layers.convolution import ClosedConv2d, can_close

# kernel, stride, padding
GEOMETRIES = [
    (3, 1, 1),
    (3, 1, 0),
    (1, 1, 0),
    (1, 2, 0),
    (1, 1, 1),
    (4, 2, 1),
    (3, 2, 1),
    (2, 3, 0),
    ((3, 1), (1, 2), (1, 0)),
]
every_geometry = pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)


def layer_of(geometry: tuple, channels: tuple[int, int], dtype: torch.dtype, *, has_bias: bool = True) -> ClosedConv2d:
    torch.manual_seed(0)
    kernel, stride, padding = geometry
    return ClosedConv2d(*channels, kernel, stride, padding, bias=has_bias).to(dtype)


def as_function(layer: ClosedConv2d):
    def convolve(features: Tensor, *parameters: Tensor) -> Tensor:
        names = ("weight", "bias")
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=False)), (features,))

    return convolve


def stock(layer: ClosedConv2d):
    def convolve(features: Tensor, *parameters: Tensor) -> Tensor:
        return F.conv2d(features, *parameters, stride=layer.stride, padding=layer.padding)

    return convolve


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("has_bias", [True, False])
@every_geometry
def test_torchs_derivatives(geometry: tuple, has_bias: bool, dtype: torch.dtype, generator: torch.Generator) -> None:
    layer = layer_of(geometry, (3, 5), dtype, has_bias=has_bias)
    features = torch.randn(2, 3, 7, 9, generator=generator, dtype=torch.float64).to(dtype)
    assert_same_derivatives(as_function(layer), stock(layer), [features, *layer.parameters()])


@pytest.mark.parametrize("channels", [(1, 3), (16, 24), (130, 1)])
def test_any_number_of_channels(channels: tuple[int, int], generator: torch.Generator) -> None:
    layer = layer_of((3, 1, 1), channels, torch.float64)
    features = torch.randn(1, channels[0], 5, 4, generator=generator, dtype=torch.float64)
    assert_same_derivatives(as_function(layer), stock(layer), [features, *layer.parameters()])


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2)])
def test_pictures_smaller_than_the_kernel(size: tuple[int, int], generator: torch.Generator) -> None:
    layer = layer_of((3, 1, 1), (2, 2), torch.float64)
    features = torch.randn(1, 2, *size, generator=generator, dtype=torch.float64)
    assert_same_derivatives(as_function(layer), stock(layer), [features, *layer.parameters()])


@pytest.mark.parametrize("geometry", [(3, 1, 1), (4, 2, 1), (1, 1, 0)], ids=str)
def test_derivatives_agree_with_finite_differences(geometry: tuple, generator: torch.Generator) -> None:
    layer = layer_of(geometry, (2, 2), torch.float64)
    features = torch.randn(1, 2, 5, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    inputs = [features, *(parameter.detach().requires_grad_() for parameter in layer.parameters())]
    assert gradcheck(as_function(layer), inputs)
    assert gradgradcheck(as_function(layer), inputs)


def test_a_third_derivative_is_made_of_the_same_operations(generator: torch.Generator) -> None:
    layer = layer_of((3, 2, 1), (2, 3), torch.float64)
    features = torch.randn(1, 2, 5, 5, generator=generator, dtype=torch.float64)

    def third(function) -> Tensor:
        x, w, b = (tensor.detach().clone().requires_grad_() for tensor in (features, *layer.parameters()))
        (first,) = torch.autograd.grad(function(x, w, b).pow(4).sum(), w, create_graph=True)
        (second,) = torch.autograd.grad(first.pow(2).sum(), x, create_graph=True)
        return torch.autograd.grad(second.pow(2).sum(), w)[0]

    torch.testing.assert_close(third(as_function(layer)), third(stock(layer)), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("frozen", ["features", "weight", "bias"])
def test_what_needs_no_gradient_gets_none(frozen: str, generator: torch.Generator) -> None:
    """As in ANIL, where most layers are frozen in the inner loop, and in every first layer."""
    layer = layer_of((3, 1, 1), (2, 2), torch.float64)
    features = torch.randn(1, 2, 4, 4, generator=generator, dtype=torch.float64)
    tensors = {"features": features, "weight": layer.weight.detach(), "bias": layer.bias.detach()}
    gradients = []
    for function in (as_function(layer), stock(layer)):
        leaves = {name: tensor.clone().requires_grad_(name != frozen) for name, tensor in tensors.items()}
        wanted = [leaf for name, leaf in leaves.items() if name != frozen]
        first = torch.autograd.grad(function(*leaves.values()).pow(3).sum(), wanted, create_graph=True)
        gradients.append(torch.autograd.grad(sum(part.pow(2).sum() for part in first), wanted))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_an_empty_batch_gives_an_empty_one() -> None:
    layer = layer_of((3, 1, 1), (2, 5), torch.float32)
    assert layer(torch.empty(0, 2, 4, 4)).shape == (0, 5, 4, 4)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.ConvTranspose2d(4, 4, 3),
        nn.Linear(4, 4),
    ],
    ids=["groups", "dilation", "reflect", "same", "transposed", "linear"],
)
def test_what_it_does_not_compute_is_left(layer: nn.Module) -> None:
    assert not can_close(layer)
    assert can_close(nn.Conv2d(4, 4, 3, padding=1))
