"""Pixel norm and SiLU by the compiled kernels: torch's own numbers, to the second derivative."""

from collections.abc import Callable

import pytest
import torch
from derivatives import all_derivatives, assert_same_derivatives
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from ldr2hdr.layers import pixel_norm
from ldr2hdr.layers.pixel_norm import EPS, KernelSiLU, PixelNorm, PixelNormSiLU, pixel_norm_silu

# 16 is known to the compiler, the others are not; 130 is beyond one block of the vector units and of the sums
CHANNELS = (1, 3, 16, 24, 130)
DTYPES = (torch.float64, torch.float32)
every_width = pytest.mark.parametrize("channels", CHANNELS)
every_type = pytest.mark.parametrize("dtype", DTYPES)


def stock(features: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    length = (features.square().mean(dim=1, keepdim=True) + EPS).sqrt()
    return F.silu(features / length * gain + bias)


def inputs_of(
    channels: int, dtype: torch.dtype, generator: torch.Generator, size: tuple[int, int, int] = (2, 5, 7)
) -> tuple[Tensor, ...]:
    batch, height, width = size
    features = 2 * torch.randn(batch, channels, height, width, generator=generator, dtype=torch.float64)
    gain, bias = torch.randn(2, channels, 1, 1, generator=generator, dtype=torch.float64)
    return features.to(dtype), gain.to(dtype), bias.to(dtype)


@every_type
@every_width
def test_norm_and_silu_have_torchs_derivatives(
    either_way: None, channels: int, dtype: torch.dtype, generator: torch.Generator
) -> None:
    assert_same_derivatives(pixel_norm_silu, stock, inputs_of(channels, dtype, generator))


@every_type
@every_width
def test_silu_has_torchs_derivatives(
    either_way: None, channels: int, dtype: torch.dtype, generator: torch.Generator
) -> None:
    assert_same_derivatives(KernelSiLU(), F.silu, inputs_of(channels, dtype, generator)[:1])


@pytest.mark.parametrize("channels", [1, 3, 16])
def test_derivatives_agree_with_finite_differences(channels: int, generator: torch.Generator) -> None:
    inputs = [tensor.requires_grad_() for tensor in inputs_of(channels, torch.float64, generator, size=(1, 2, 3))]
    assert gradcheck(pixel_norm_silu, inputs)
    assert gradgradcheck(pixel_norm_silu, inputs)
    assert gradcheck(KernelSiLU(), inputs[:1])
    assert gradgradcheck(KernelSiLU(), inputs[:1])


@every_type
def test_sums_over_many_pixels_keep_their_digits(dtype: torch.dtype, generator: torch.Generator) -> None:
    """20 000 pixels: the gradients of gain and bias are sums over all of them."""
    assert_same_derivatives(pixel_norm_silu, stock, inputs_of(16, dtype, generator, size=(1, 100, 200)))


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 1, 64), (1, 65, 1), (0, 4, 4)])
def test_pictures_of_any_size(size: tuple[int, int, int], generator: torch.Generator) -> None:
    assert_same_derivatives(pixel_norm_silu, stock, inputs_of(16, torch.float64, generator, size=size))
    assert_same_derivatives(KernelSiLU(), F.silu, inputs_of(16, torch.float64, generator, size=size)[:1])


@pytest.mark.parametrize("layout", ["strided", "transposed", "expanded"])
def test_pictures_in_any_layout(layout: str, generator: torch.Generator) -> None:
    features, gain, bias = inputs_of(16, torch.float64, generator, size=(2, 8, 8))
    changed = {
        "strided": features[:, :, ::2, 1:],
        "transposed": features.transpose(2, 3),
        "expanded": features[:1, :, :1].expand(2, 16, 8, 8),
    }[layout]
    torch.testing.assert_close(pixel_norm_silu(changed, gain, bias), stock(changed, gain, bias), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(KernelSiLU()(changed), F.silu(changed), rtol=1e-12, atol=1e-14)


@every_type
@pytest.mark.parametrize("scale", [0.0, 1e-8, 1e8])
def test_tiny_and_huge_features(scale: float, dtype: torch.dtype, generator: torch.Generator) -> None:
    features, gain, bias = inputs_of(16, dtype, generator)
    assert_same_derivatives(pixel_norm_silu, stock, (features * scale, gain, bias))


@every_type
def test_silu_far_from_zero_is_the_identity_or_nothing(dtype: torch.dtype) -> None:
    gain, bias = torch.full((1, 1, 1), 1e4, dtype=dtype), torch.zeros(1, 1, 1, dtype=dtype)
    features = torch.tensor([5.0, -5.0], dtype=dtype).view(2, 1, 1, 1)
    activated = pixel_norm_silu(features, gain, bias)
    assert activated.flatten().tolist() == pytest.approx([1e4, 0], rel=1e-5)
    for ours, theirs in zip(
        all_derivatives(KernelSiLU(), [features * 1e4]), all_derivatives(F.silu, [features * 1e4]), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@every_type
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_so_and_in_its_pixel(either_way: None, bad: float, dtype: torch.dtype) -> None:
    features = torch.ones(1, 16, 2, 2, dtype=dtype)
    features[0, 3, 1, 0] = bad
    features.requires_grad_()
    gain, bias = torch.ones(16, 1, 1, dtype=dtype).requires_grad_(), torch.zeros(16, 1, 1, dtype=dtype).requires_grad_()
    activated = pixel_norm_silu(features, gain, bias)
    spoilt = activated.isnan().any(dim=1)[0]
    assert spoilt.tolist() == [[False, False], [True, False]]
    first = torch.autograd.grad(activated.sum(), [features, gain, bias], create_graph=True)
    assert first[0].isnan().any(dim=1)[0].tolist() == spoilt.tolist()
    assert first[1].isnan().any()
    second = torch.autograd.grad(first[0].sum() + first[1].sum(), [features, gain])
    assert second[0].isnan().any(dim=1)[0].tolist() == spoilt.tolist()
    assert second[1].isnan().any()


def test_a_norm_is_the_same_alone_and_with_its_activation(generator: torch.Generator) -> None:
    features, gain, bias = inputs_of(24, torch.float64, generator)
    norm = PixelNorm(24).double()
    with torch.no_grad():
        norm.gain.copy_(gain)
        norm.bias.copy_(bias)
    joined = PixelNormSiLU(norm)
    assert joined.gain is norm.gain
    torch.testing.assert_close(joined(features), F.silu(norm(features)), rtol=1e-12, atol=1e-14)


def test_a_third_derivative_is_refused_instead_of_wrong() -> None:
    features = torch.ones(1, 16, 1, 1, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(KernelSiLU()(features).square().sum(), features, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), features, create_graph=True)
    with pytest.raises(RuntimeError, match="twice at most"):
        torch.autograd.grad(second.sum(), features)


def test_without_kernels_there_is_a_third_derivative(
    monkeypatch: pytest.MonkeyPatch, generator: torch.Generator
) -> None:
    """Failed, although the error above says so."""
    monkeypatch.setattr(pixel_norm, "usable_kernels", lambda _: None)
    inputs = inputs_of(3, torch.float64, generator, (1, 2, 2))

    def third(function: Callable[..., Tensor]) -> Tensor:
        leaves = [part.clone().requires_grad_() for part in inputs]
        found = function(*leaves)
        for _ in range(3):
            (found,) = torch.autograd.grad(found.pow(3).sum(), leaves[0], create_graph=True)
        return found

    torch.testing.assert_close(third(pixel_norm_silu), third(stock), rtol=1e-9, atol=1e-12)


def test_tensors_of_several_types_are_refused(generator: torch.Generator) -> None:
    features, gain, bias = inputs_of(16, torch.float32, generator)
    with pytest.raises(TypeError, match=r"torch\.float32"):
        pixel_norm_silu(features, gain.double(), bias)
