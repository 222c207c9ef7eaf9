"""The task (w - a)^2 / 2 on which everything is known: one learned number, and pictures that are a constant."""

import torch
from torch import Tensor, nn

from ldr2hdr.tasks import Shots, TaskBatch

W0, A, B, LR = 0.7, 2.0, -1.5, 0.3
STEPS = (0, 1, 2, 5)


class Constant(nn.Module):
    """Predicts one learned number everywhere."""

    def __init__(self, value: float = W0) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(value, dtype=torch.float64))

    def sufficient_statistics(self, support: Shots) -> None:
        """No closed-form part."""

    def forward(self, ldr: Tensor, statistics: None = None) -> Tensor:
        return self.w.expand_as(ldr)


def half_square(pred: Tensor, target: Tensor) -> Tensor:
    return 0.5 * (pred - target).square().mean()


def shots(target: float, count: int = 2) -> Shots:
    exposure = torch.full((count, 3, 4, 4), target, dtype=torch.float64)
    return Shots(torch.zeros_like(exposure), exposure)


def adapted(steps: int, start: float = W0) -> float:
    return A + (1 - LR) ** steps * (start - A)


def batch(targets: list[float]) -> TaskBatch:
    support = torch.stack([shots(target).exposure for target in targets])
    return TaskBatch(
        Shots(torch.zeros_like(support), support),
        Shots(torch.zeros_like(support), support),
        query_places=(("place",) * 2,) * len(targets),
        cameras=tuple(f"camera {i}" for i in range(len(targets))),
    )
