"""A picture in closed form and distortions of it, of which the official implementations' figures are known."""

import math

import pytest
import torch


def make_reference(height, width):
    y, x = torch.meshgrid(
        torch.linspace(0, 1, height, dtype=torch.float64),
        torch.linspace(0, 1, width, dtype=torch.float64),
        indexing="ij",
    )
    base = 10 ** (-1 + 3.5 * x) * (1 + 0.5 * torch.sin(2 * math.pi * 7 * y))
    sun = 3000 * torch.exp(-((x - 0.7) ** 2 + (y - 0.3) ** 2) / 0.005)
    return (torch.stack([base, base * (0.6 + 0.4 * y), base * (0.9 - 0.5 * x)]) + sun).clamp(0.005, 1e4)


def distort(reference):
    rows, columns = (torch.arange(1, size + 1, dtype=torch.float64) for size in reference.shape[-2:])
    return {
        "gain": 0.7 * reference,
        "gamma": 1000 * (reference / 1000) ** 0.8,
        "clip": reference.clamp_max(200),
        "rgb": reference * torch.tensor([1.2, 1.0, 0.8], dtype=torch.float64).view(3, 1, 1),
        "ripple": reference * (1 + 0.1 * torch.sin(12.9898 * columns + 78.233 * rows[:, None])),
    }


@pytest.fixture(scope="session")
def reference():
    """Light in cd/m2, (3, 96, 128)."""
    return make_reference(96, 128)


@pytest.fixture(scope="session")
def distorted(reference):
    """By name: nothing lost but a factor, a tone curve, every highlight, white balance, and noise."""
    return distort(reference)


@pytest.fixture(scope="session")
def large():
    """The same pair on 520 x 640 pixels, which some metrics shrink first."""
    reference = make_reference(520, 640)
    return reference, distort(reference)
