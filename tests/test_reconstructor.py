"""The network is its backbone behind its response stage, and the support reaches the response stage alone."""

import torch
from torch import nn

from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.tasks import Shots


class Gain(nn.Module):
    """A response stage that takes the mean exposure of the support for its gain, and 1 without support."""

    def summarize(self, support):
        return support.exposure.mean()

    def forward(self, ldr, context=None):
        return ldr if context is None else context * ldr


class Sum(nn.Module):
    """A backbone whose output tells both of its inputs."""

    def forward(self, ldr, linear):
        return 10 * ldr + linear


def test_the_backbone_sees_the_picture_and_its_linearisation():
    model = Reconstructor(Gain(), Sum())
    ldr = torch.full((2, 3, 4, 5), 0.5)
    context = model.summarize(Shots(ldr, 6 * ldr))
    assert context == 3.0
    assert torch.equal(model(ldr), torch.full_like(ldr, 5.5))
    assert torch.equal(model(ldr, context), torch.full_like(ldr, 6.5))


def test_a_response_stage_may_need_no_support():
    response = Gain()
    response.summarize = lambda support: None
    ldr = torch.full((1, 3, 4, 5), 0.5)
    assert Reconstructor(response, Sum()).summarize(Shots(ldr, ldr)) is None
