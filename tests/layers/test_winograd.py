"""Convolutions by Winograd's products: torch's own numbers, for any channels and every even size."""

import threading
from collections.abc import Iterator

import pytest
import torch
from derivatives import TOLERANCE, assert_same_derivatives
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from ldr2hdr.layers import winograd
from ldr2hdr.layers.convolution import ClosedConv2d
from ldr2hdr.layers.kernels import dense, load_kernels
from ldr2hdr.layers.winograd import convolve, data_gradient, weight_gradient, winograd_kernels

ONE = (1, 1)
# One picture and several; a whole panel of channels, less, more, and each number of vectors in one; pieces of tiles
SHAPES = [
    (1, 1, 1, 2, 2),
    (2, 3, 5, 4, 6),
    (3, 6, 16, 8, 2),
    (2, 16, 6, 2, 10),
    (1, 48, 33, 6, 6),
    (2, 16, 48, 64, 32),
    (1, 130, 80, 8, 8),
]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
every_type = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    if load_kernels() is None:
        pytest.skip("this machine has no C compiler")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def inputs_of(shape: tuple[int, ...], dtype: torch.dtype) -> list[Tensor]:
    """Features, kernels, biases and a gradient."""
    pictures, num_in, num_out, height, width = shape
    generator = torch.Generator().manual_seed(0)
    sizes = (pictures, num_in, height, width), (num_out, num_in, 3, 3), (num_out,), (pictures, num_out, height, width)
    return [torch.randn(size, generator=generator, dtype=torch.float64).to(dtype) for size in sizes]


def assert_close(found: Tensor, expected: Tensor) -> None:
    scale = expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE[found.dtype] * scale)


@every_type
@every_shape
def test_torchs_numbers(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    features, weight, bias, gradient = inputs_of(shape, dtype)
    kernels = winograd_kernels(features, weight, bias, stride=ONE, padding=ONE)
    assert kernels is not None
    assert_close(convolve(kernels, features, weight, bias), F.conv2d(features, weight, bias, padding=1))
    assert_close(convolve(kernels, features, weight, None), F.conv2d(features, weight, padding=1))
    of_features = torch.nn.grad.conv2d_input(features.shape, weight, gradient, padding=1)
    assert_close(data_gradient(kernels, gradient, weight), of_features)
    of_weight, of_bias = weight_gradient(kernels, gradient, features)
    assert_close(of_weight, torch.nn.grad.conv2d_weight(features, weight.shape, gradient, padding=1))
    assert_close(of_bias, gradient.sum(dim=(0, 2, 3)))


@every_shape
def test_float32_is_as_exact_as_torchs(shape: tuple[int, ...]) -> None:
    exact = inputs_of(shape, torch.float64)
    features, weight, bias, _ = (part.float() for part in exact)
    kernels = winograd_kernels(features, weight, stride=ONE, padding=ONE)
    assert kernels is not None
    truth = F.conv2d(*(part.double() for part in (features, weight, bias)), padding=1)
    error = (convolve(kernels, features, weight, bias) - truth).norm() / truth.norm()
    assert error < 1e-6


@every_shape
def test_nothing_is_written_beside_the_scratch(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed for a whole panel of channels convolved to less than one, whose copy began behind the scratch."""
    features, weight, bias, gradient = inputs_of(shape, torch.float64)
    guards, make = [], winograd._scratch

    def with_guard(pictures: Tensor, num_in: int, num_out: int) -> tuple[Tensor, int]:
        scratch, most = make(pictures, num_in, num_out)
        guarded = torch.full((scratch.numel() + 100_000,), 7.0, dtype=scratch.dtype)
        guards.append(guarded[scratch.numel() :])
        return guarded, most

    monkeypatch.setattr(winograd, "_scratch", with_guard)
    kernels = winograd_kernels(features, weight, stride=ONE, padding=ONE)
    assert kernels is not None
    convolve(kernels, features, weight, bias)
    data_gradient(kernels, gradient, weight)
    weight_gradient(kernels, gradient, features)
    assert len(guards) == 3
    assert all((guard == 7).all() for guard in guards)


@pytest.mark.parametrize("frozen", [(), (1,), (0, 1)], ids=str)
def test_second_derivatives(frozen: tuple[int, ...]) -> None:
    features, weight, bias, _ = inputs_of((2, 6, 16, 4, 6), torch.float64)
    layer = ClosedConv2d(6, 16, 3, padding=1).double()
    kept = {index: part for index, part in enumerate((features, weight, bias)) if index in frozen}

    def fill(given: tuple[Tensor, ...]) -> list[Tensor]:
        rest = iter(given)
        return [kept[index] if index in kept else next(rest) for index in range(3)]

    def ours(*given: Tensor) -> Tensor:
        x, w, b = fill(given)
        return torch.func.functional_call(layer, {"weight": w, "bias": b}, (x,))

    free = [part for index, part in enumerate((features, weight, bias)) if index not in kept]
    assert_same_derivatives(ours, lambda *given: F.conv2d(*fill(given), padding=1), free)


def test_any_layout_and_the_same_bits_each_time() -> None:
    features, weight, bias, _ = inputs_of((2, 32, 16, 8, 8), torch.float32)
    kernels = winograd_kernels(features, weight, stride=ONE, padding=ONE)
    assert kernels is not None
    first = convolve(kernels, features, weight, bias)
    assert torch.equal(first, convolve(kernels, dense(features), dense(weight), bias))


def test_scratch_is_kept_unless_it_is_large() -> None:
    small, large = torch.empty(1, 16, 8, 8), torch.empty(1, 6, 1024, 1024)
    first, _ = winograd._scratch(small, 16, 16)
    beyond, _ = winograd._scratch(large, 6, 16)
    assert beyond.nbytes > winograd._MOST_KEPT
    assert winograd._scratch(small, 16, 16)[0].data_ptr() == first.data_ptr() != beyond.data_ptr()
    assert winograd._scratch(small.double(), 16, 16)[0].numel() == first.numel()


def test_not_a_number_stays_one() -> None:
    features, weight, bias, _ = inputs_of((1, 16, 16, 8, 8), torch.float32)
    features[0, 3, 4, 4] = torch.nan
    kernels = winograd_kernels(features, weight, stride=ONE, padding=ONE)
    assert kernels is not None
    assert convolve(kernels, features, weight, bias)[0, :, 3:6, 3:6].isnan().all()


def test_what_they_leave_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    features, weight, bias, _ = inputs_of((1, 4, 4, 6, 6), torch.float32)

    def takes(features: Tensor, weight: Tensor, *others: Tensor, stride=ONE, padding=ONE) -> bool:
        return winograd_kernels(features, weight, *others, stride=stride, padding=padding) is not None

    assert takes(features, weight, bias)
    assert not takes(features, weight, bias, stride=(2, 2))
    assert not takes(features, weight, bias, padding=(0, 0))
    assert not takes(features, weight[..., :1], bias)
    assert not takes(features[..., :5], weight, bias)
    assert not takes(features[:0], weight, bias)
    assert not takes(features[:, :3], weight, bias)
    assert not takes(features, weight.double(), bias)
    assert not takes(features.bfloat16(), weight.bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not takes(features, weight, bias)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)  # which torch's convolution shares a picture among
    assert not takes(features, weight, bias)


def test_scratch_is_where_the_pictures_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed: the kernels got an address of torch's own device, which ended the process."""
    monkeypatch.setattr(winograd, "_LOCAL", threading.local())
    pictures = torch.empty(1, 4, 6, 6)
    with torch.device("meta"):
        scratch, _ = winograd._scratch(pictures, 4, 4)
    assert scratch.device == pictures.device


def test_tensors_without_numbers_are_left_to_torch() -> None:
    """Failed, as under torch.export: there is no address, and scratch of this kind was kept for the next call."""
    layer, features = ClosedConv2d(4, 8, 3, padding=1), torch.ones(1, 4, 6, 6)
    expected = layer(features)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert winograd_kernels(mode.from_tensor(features), layer.weight, stride=ONE, padding=ONE) is None
        assert layer(mode.from_tensor(features)).shape == expected.shape
    assert layer(features).equal(expected)
