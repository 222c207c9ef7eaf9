"""Doubling and joining: torch's own numbers, a linear map whose adjoint is the other half."""

import pytest
import torch
from derivatives import assert_same_derivatives
from torch.autograd import gradcheck, gradgradcheck

from ldr2hdr.layers.resampling import ClosedUpsampleConcat, UpsampleConcat


def pictures(fine: int, coarse: int, size: tuple[int, int, int], dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    batch, height, width = size
    shapes = (batch, fine, 2 * height, 2 * width), (batch, coarse, height, width)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("channels", [(1, 1), (3, 16), (24, 130)], ids=str)
def test_torchs_derivatives(either_way: None, channels: tuple[int, int], dtype: torch.dtype) -> None:
    inputs = pictures(*channels, (2, 3, 5), dtype)
    assert_same_derivatives(ClosedUpsampleConcat(), UpsampleConcat(), inputs)


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 1, 4), (0, 2, 2)], ids=str)
def test_pictures_of_any_size(either_way: None, size: tuple[int, int, int]) -> None:
    assert_same_derivatives(ClosedUpsampleConcat(), UpsampleConcat(), pictures(4, 2, size, torch.float64))


def test_a_value_goes_where_it_should(either_way: None) -> None:
    fine, coarse = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2)
    coarse[0, 0, 1, 0] = 7.0
    fine[0, 0, 0, 3] = 5.0
    joined = ClosedUpsampleConcat()(fine, coarse)
    assert joined[0, 0].nonzero().tolist() == [[0, 3]]
    assert joined[0, 1].nonzero().tolist() == [[2, 0], [2, 1], [3, 0], [3, 1]]


def test_derivatives_agree_with_finite_differences() -> None:
    inputs = [tensor.requires_grad_() for tensor in pictures(2, 3, (1, 2, 1), torch.float64)]
    assert gradcheck(ClosedUpsampleConcat(), inputs)
    assert gradgradcheck(ClosedUpsampleConcat(), inputs)


def test_pictures_in_any_layout() -> None:
    fine, coarse = pictures(4, 2, (2, 4, 4), torch.float64)
    fine, coarse = fine.transpose(2, 3), coarse[:, :1].expand(2, 2, 4, 4)
    assert torch.equal(ClosedUpsampleConcat()(fine, coarse), UpsampleConcat()(fine, coarse))


@pytest.mark.parametrize("fine", [(1, 2, 7, 8), (1, 2, 8, 7), (1, 2, 6, 8)], ids=str)
def test_sizes_that_do_not_fit_are_refused(either_way: None, fine: tuple[int, ...]) -> None:
    with pytest.raises(RuntimeError, match="must match"):
        ClosedUpsampleConcat()(torch.zeros(fine), torch.zeros(1, 3, 4, 4))
