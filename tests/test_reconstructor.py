"""The network is its backbone behind its response stage, and the support reaches the response stage alone."""

from collections.abc import Iterable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from ldr2hdr.backbones.base import AbstractConvolutionalBackbone
from ldr2hdr.backbones.unet import UNet
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.response.base import AbstractPointwiseResponse, AbstractResponse
from ldr2hdr.response.local import LocalRidgeResponse
from ldr2hdr.response.ridge import InverseGammaResponse, RidgeResponse
from ldr2hdr.tasks import WHOLE, Shots, Window


class Mean(NamedTuple):
    exposure: Tensor


class Gain(AbstractPointwiseResponse[Mean, Tensor]):
    """A response stage that takes the mean exposure of the support for its gain, and 1 without support."""

    num_solved = 0

    def sufficient_statistics(self, support: Shots) -> Mean:
        return Mean(support.exposure.mean())

    def weights(self, statistics: Mean | None) -> Tensor:
        self.num_solved += 1
        return torch.ones(()) if statistics is None else statistics.exposure

    def linearize(
        self, part: Tensor, weights: Tensor, *, global_statistics: None = None, window: Window = WHOLE
    ) -> Tensor:
        return weights * part


class Sum(AbstractConvolutionalBackbone):
    """A backbone whose output tells both of its inputs."""

    def forward(self, ldr: Tensor, linear: Tensor) -> Tensor:
        return 10 * ldr + linear


def test_the_backbone_sees_the_picture_and_its_linearisation() -> None:
    model = Reconstructor(Gain(), Sum())
    ldr = torch.full((2, 3, 4, 5), 0.5)
    statistics = model.sufficient_statistics(Shots(ldr, 6 * ldr))
    assert statistics == Mean(torch.tensor(3.0))
    assert torch.equal(model(ldr), torch.full_like(ldr, 5.5))
    assert torch.equal(model(ldr, statistics), torch.full_like(ldr, 6.5))


def test_a_response_stage_may_need_no_support() -> None:
    ldr = torch.full((1, 3, 4, 5), 0.5)
    assert Reconstructor(InverseGammaResponse(), Sum()).sufficient_statistics(Shots(ldr, ldr)) is None


def test_a_bound_network_is_solved_once() -> None:
    model = Reconstructor(Gain(), Sum())
    ldr = torch.full((1, 3, 4, 5), 0.5)
    bound = model.bind(Mean(torch.tensor(3.0)))
    prepared = bound.prepare([ldr], (4, 5))
    for _ in range(2):
        assert torch.equal(bound(ldr), torch.full_like(ldr, 6.5))
        assert torch.equal(bound.reconstruct(ldr, prepared=prepared, window=WHOLE), torch.full_like(ldr, 6.5))
    assert model.response.num_solved == 1
    assert torch.equal(model.bind()(ldr), torch.full_like(ldr, 5.5))


@pytest.mark.parametrize("response", [InverseGammaResponse, RidgeResponse, LocalRidgeResponse])
@pytest.mark.parametrize("has_support", [True, False])
def test_a_bound_network_is_the_network_with_its_statistics(
    response: type[AbstractResponse], has_support: bool, generator: torch.Generator
) -> None:
    model = Reconstructor(response(), UNet((4, 8)))
    ldr = torch.rand(3, 3, 24, 20, generator=generator)
    statistics = model.sufficient_statistics(Shots(ldr[:2], 2 * ldr[:2].square())) if has_support else None
    bound = model.bind(statistics)
    assert torch.equal(bound(ldr[2:]), model(ldr[2:], statistics))
    bound.double()
    assert bound(ldr[2:].double()).dtype == torch.float64  # weights are moved with the parameters


def test_a_part_is_told_from_the_whole_by_the_response_stage() -> None:
    class Brightest(AbstractResponse[None, Tensor, Tensor]):
        """A response stage that divides by the brightest level of the picture, and adds the row."""

        def sufficient_statistics(self, support: Shots) -> None:
            return None

        def weights(self, statistics: None) -> Tensor:
            return torch.tensor(1000.0)

        def global_statistics(self, strips: Iterable[Tensor], size: tuple[int, int]) -> Tensor:
            return max(strip.max() for strip in strips) + size[0] + size[1]

        def linearize(
            self, part: Tensor, weights: Tensor, *, global_statistics: Tensor | None = None, window: Window = WHOLE
        ) -> Tensor:
            return part / global_statistics + weights + window[0].start + 100 * window[1].stop

    bound = Reconstructor(Brightest(), Sum()).bind()
    prepared = bound.prepare([torch.full((1, 3, 2, 5), level) for level in (0.2, 1.0, 0.6)], (6, 5))
    assert prepared.response == 12.0
    part = bound.reconstruct(torch.full((1, 3, 4, 3), 0.6), prepared=prepared, window=(slice(2, 6), slice(2, 5)))
    assert torch.allclose(part, torch.full((1, 3, 4, 3), 10 * 0.6 + 0.05 + 1000 + 2 + 500))


def test_neither_a_pointwise_stage_nor_convolutions_read_the_whole() -> None:
    class Unread:
        def __iter__(self) -> None:
            raise AssertionError("the strips were read")

    bound = Reconstructor(InverseGammaResponse(2.0), Sum()).bind()
    prepared = bound.prepare(Unread(), (10, 10))
    ldr = torch.full((1, 3, 4, 5), 0.5)
    window = (slice(0, 4), slice(0, 5))
    assert torch.equal(bound.reconstruct(ldr, prepared=prepared, window=window), bound(ldr))


def test_only_a_backbone_with_a_head_gives_features() -> None:
    model = Reconstructor(InverseGammaResponse(), Sum())
    assert not hasattr(model, "head")
    with pytest.raises(AttributeError, match="Sum does not give its features"):
        model.features(torch.zeros(1, 3, 4, 5))
