"""Layers for a stack of tasks: under vmap, torch's own numbers to the second derivative."""

import pytest
import torch
from derivatives import assert_same_derivatives
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ldr2hdr.backbones.resnet import ResNet
from ldr2hdr.backbones.unet import UNet
from ldr2hdr.layers.convolution import StackedConv2d
from ldr2hdr.layers.fast_layers import stack_layers
from ldr2hdr.layers.pixel_norm import PixelNorm
from ldr2hdr.layers.stacked_norm import StackedNormSiLU

TASKS = 3
STOCK_NORM = nn.Sequential(PixelNorm(5), nn.SiLU()).double()
CASES = {
    "norm": (STOCK_NORM, StackedNormSiLU(STOCK_NORM[0]), ("gain", "bias"), ("0.gain", "0.bias")),
    "conv": (nn.Conv2d(5, 4, 3, padding=1), StackedConv2d(5, 4, 3, padding=1), ("weight", "bias"), ("weight", "bias")),
    "strided": (nn.Conv2d(5, 2, 4, 2, 1), StackedConv2d(5, 2, 4, 2, 1), ("weight", "bias"), ("weight", "bias")),
    "unbiased": (nn.Conv2d(5, 4, 1, bias=False), StackedConv2d(5, 4, 1, bias=False), ("weight",), ("weight",)),
}


def random(shape: torch.Size, generator: torch.Generator) -> Tensor:
    return torch.randn(TASKS, *shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("shared", ["nothing", "features", "parameters"])
@pytest.mark.parametrize("name", CASES)
def test_a_stack_has_the_derivatives_of_its_tasks(name: str, shared: str, generator: torch.Generator) -> None:
    stock, stacked, names, stock_names = CASES[name]
    features = random(torch.Size((2, 5, 6, 6)), generator)
    parameters = [random(p.shape, generator) for p in stock.parameters()]
    in_dims = [0, *(0 for _ in parameters)]
    if shared == "features":
        features, in_dims[0] = features[0], None
    if shared == "parameters":
        parameters, in_dims[1:] = [p[0] for p in parameters], [None] * len(parameters)

    def over_stack(features: Tensor, *parameters: Tensor) -> Tensor:
        def one(features: Tensor, *parameters: Tensor) -> Tensor:
            return functional_call(stacked, dict(zip(names, parameters, strict=True)), features)

        return vmap(one, in_dims=tuple(in_dims))(features, *parameters)

    def one_by_one(features: Tensor, *parameters: Tensor) -> Tensor:
        inputs = (features, *parameters)
        rows = []
        for task in range(TASKS):
            mine, *own = (x if dim is None else x[task] for x, dim in zip(inputs, in_dims, strict=True))
            rows.append(functional_call(stock, dict(zip(stock_names, own, strict=True)), mine))
        return torch.stack(rows)

    assert_same_derivatives(over_stack, one_by_one, [features, *parameters])


def test_a_norm_alone_has_the_derivatives_of_torch(generator: torch.Generator) -> None:
    features = random(torch.Size((5, 4, 4)), generator)
    assert_same_derivatives(CASES["norm"][1], STOCK_NORM, [features])
    features.requires_grad_()
    first = torch.autograd.grad(CASES["norm"][1](features).square().sum(), features, create_graph=True)[0]
    second = torch.autograd.grad(first.square().sum(), features, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="differentiated twice at most"):
        second.sum().backward()


@pytest.mark.parametrize("fresh", [lambda: UNet((4, 8, 16)), lambda: ResNet(4, 2)])
def test_a_backbone_keeps_its_names_and_its_numbers(fresh: type[nn.Module], generator: torch.Generator) -> None:
    torch.manual_seed(0)
    stock = fresh().double()
    stacked = fresh().double()
    stack_layers(stacked)
    stacked.load_state_dict(stock.state_dict())
    assert {StackedConv2d, StackedNormSiLU} <= {type(module) for module in stacked.modules()}
    assert not any(type(module) in (nn.Conv2d, PixelNorm) for module in stacked.modules())
    ldr = torch.rand(2, 3, 9, 10, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(stacked(ldr, ldr**2), stock(ldr, ldr**2), rtol=1e-10, atol=1e-12)
