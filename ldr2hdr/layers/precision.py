"""Precision of what must not be computed in 16 bits."""

import torch
from torch import Tensor


def full_precision(like: Tensor) -> torch.autocast:
    """Compute in the precision of the data, whatever the network runs in; there is no solver for 16 bits."""
    return torch.autocast(like.device.type, enabled=False)
