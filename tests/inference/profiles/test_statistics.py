"""Statistics of the model's own shape, from named tensors."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from ldr2hdr.inference.profiles.statistics import rebuild
from ldr2hdr.tasks import Shots, named_tensors


class Pair(NamedTuple):
    first: Tensor
    second: object


def sufficient_statistics(support: Shots) -> Pair:
    return Pair(support.ldr.mean(dim=(1, 2, 3)), Pair(torch.zeros(4), None))


def test_what_depends_on_the_support_may_have_any_size() -> None:
    stored = {"first": torch.arange(7.0), "second.first": torch.arange(4.0)}
    built = rebuild(sufficient_statistics, stored, device=torch.device("cpu"))
    assert isinstance(built, Pair)
    assert built.first.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert named_tensors(built).keys() == stored.keys()


@pytest.mark.parametrize("sizes", [(7, 5), (0, 4)])
def test_what_does_not_is_fixed(sizes: tuple[int, int]) -> None:
    stored = {"first": torch.zeros(sizes[0]), "second.first": torch.zeros(sizes[1])}
    with pytest.raises(ValueError, match=r"expected finite torch.float32 like .* got torch.float32"):
        rebuild(sufficient_statistics, stored, device=torch.device("cpu"))
