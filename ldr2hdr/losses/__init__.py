"""Losses between predicted and true sensor exposure ``(B, 3, H, W)``, non-negative and unbounded.

The distances are smooth (Charbonnier) by default: the kink of an absolute value has no second derivative, which a
meta-gradient needs. With ``charbonnier=0`` they are the plain L1 of the papers.
"""

from ldr2hdr.losses.encoded import PU21L1, LogL1, MuLawL1, TanhL1
from ldr2hdr.losses.likelihood import HighlightLikelihood
from ldr2hdr.losses.published import ClippedTarget, ExpandNetLoss, HDRCNNLoss

__all__ = [
    "PU21L1",
    "ClippedTarget",
    "ExpandNetLoss",
    "HDRCNNLoss",
    "HighlightLikelihood",
    "LogL1",
    "MuLawL1",
    "TanhL1",
]
