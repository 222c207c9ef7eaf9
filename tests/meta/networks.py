"""Small real networks, and tasks for them, in double precision."""

import torch
from torch import nn

from ldr2hdr.backbones.resnet import ResNet
from ldr2hdr.backbones.unet import UNet
from ldr2hdr.losses import LogL1
from ldr2hdr.meta.base import AbstractMetaLearner, TaskGradient
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.response.base import AbstractPointwiseResponse
from ldr2hdr.response.prior import PriorResponse
from ldr2hdr.response.ridge import InverseGammaResponse, RidgeResponse
from ldr2hdr.tasks import Shots, TaskBatch

BACKBONES = ("unet", "resnet")
RESPONSES = ("none", "ridge", "prior")
LOSS = LogL1(charbonnier=0.1)


def reconstructor(backbone: str = "unet", response: str = "none", *, norm: str = "pixel") -> Reconstructor:
    """A network past its first step: a fresh head is zero."""
    torch.manual_seed(0)
    net = UNet((4, 6), norm=norm) if backbone == "unet" else ResNet(4, 1, norm=norm)
    stage: AbstractPointwiseResponse
    if response == "prior":
        stage = PriorResponse()
    else:
        stage = InverseGammaResponse() if response == "none" else RidgeResponse(num_knots=5)
    model = Reconstructor(stage, net).double()
    with torch.no_grad():
        torch._foreach_add_(list(net.parameters()), [0.1 * torch.randn_like(p) for p in net.parameters()])
    return model


def shots(seed: int, count: int = 2, crop_px: int = 8) -> Shots:
    """Pictures of one mapping: a gamma with another gain for each seed."""
    ldr = torch.rand(count, 3, crop_px, crop_px, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Shots(ldr, (1 + 0.3 * seed) * ldr**2 + 0.01)


def batch(num_tasks: int) -> TaskBatch:
    support, query = (
        [shots(seed, count) for seed in range(offset, offset + num_tasks)] for offset, count in ((0, 2), (10, 1))
    )
    stacked = [
        Shots(torch.stack([s.ldr for s in part]), torch.stack([s.exposure for s in part])) for part in (support, query)
    ]
    return TaskBatch(*stacked, query_places=(("place",),) * num_tasks, cameras=("camera",) * num_tasks)


def gradient_of(learner: AbstractMetaLearner) -> TaskGradient:
    return learner.task_gradient(shots(1), shots(2, count=1))


def flat(tensors: tuple[torch.Tensor, ...] | list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def relative_error(found: TaskGradient, expected: TaskGradient) -> float:
    difference = flat(found.gradient) - flat(expected.gradient)
    return (difference.norm() / flat(expected.gradient).norm()).item()


def state_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}
