"""The network is its backbone behind its response stage, and the support reaches the response stage alone."""

import torch
from torch import nn

from ldr2hdr.response.reconstructor import Reconstructor
from ldr2hdr.response.ridge import InverseGammaResponse
from ldr2hdr.tasks import Shots


class Gain(nn.Module):
    """A response stage that takes the mean exposure of the support for its gain, and 1 without support."""

    def sufficient_statistics(self, support):
        return support.exposure.mean()

    def forward(self, ldr, statistics=None):
        return ldr if statistics is None else statistics * ldr


class Sum(nn.Module):
    """A backbone whose output tells both of its inputs."""

    def forward(self, ldr, linear):
        return 10 * ldr + linear


def test_the_backbone_sees_the_picture_and_its_linearisation():
    model = Reconstructor(Gain(), Sum())
    ldr = torch.full((2, 3, 4, 5), 0.5)
    statistics = model.sufficient_statistics(Shots(ldr, 6 * ldr))
    assert statistics == 3.0
    assert torch.equal(model(ldr), torch.full_like(ldr, 5.5))
    assert torch.equal(model(ldr, statistics), torch.full_like(ldr, 6.5))


def test_a_response_stage_may_need_no_support():
    response = Gain()
    response.sufficient_statistics = lambda support: None
    ldr = torch.full((1, 3, 4, 5), 0.5)
    assert Reconstructor(response, Sum()).sufficient_statistics(Shots(ldr, ldr)) is None


def test_a_part_is_told_from_the_whole_by_the_response_stage_alone():
    class Brightest(nn.Module):
        """A response stage that divides by the brightest level of the picture, and adds the row."""

        def global_statistics(self, strips, size):
            return max(strip.max() for strip in strips) + size[0] + size[1]

        def linearize(self, part, statistics, *, global_statistics, window):
            return part / global_statistics + statistics + window[0].start + 100 * window[1].stop

    model = Reconstructor(Brightest(), Sum())
    global_statistics = model.global_statistics([torch.full((1, 3, 2, 5), level) for level in (0.2, 1.0, 0.6)], (6, 5))
    assert global_statistics == 12.0
    part = model.reconstruct(
        torch.full((1, 3, 4, 3), 0.6), 1000, global_statistics=global_statistics, window=(slice(2, 6), slice(2, 5))
    )
    assert torch.allclose(part, torch.full((1, 3, 4, 3), 10 * 0.6 + 0.05 + 1000 + 2 + 500))


def test_a_pointwise_stage_does_not_read_the_picture():
    def strips():
        raise AssertionError("the strips were read")
        yield

    model = Reconstructor(InverseGammaResponse(2.0), Sum())
    global_statistics = model.global_statistics(strips(), (10, 10))
    window = (slice(0, 4), slice(0, 5))
    ldr = torch.full((1, 3, 4, 5), 0.5)
    assert torch.equal(model.reconstruct(ldr, global_statistics=global_statistics, window=window), model(ldr))
