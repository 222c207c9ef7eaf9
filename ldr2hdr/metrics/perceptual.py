"""Metrics of optional packages that model a viewer; they are imported when first used."""

import importlib
import importlib.metadata
import math
from types import ModuleType
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.metrics import colorvideovdp

CVVDP_DISPLAY: Final = "standard_hdr_linear"
"""1500 cd/m2 in a room of 10 lux, at 75 pixels per degree."""


def flip(pred: Float[Tensor, "*b 3 h w"], target: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b"]:
    """HDR-FLIP: the difference seen on flipping between the pictures, at the worst of several exposures.

    The exposures are taken from the reference, so a factor common to both pictures does not matter.

    Args:
        pred: Reconstruction, linear, finite and non-negative.
        target: Reference in the same unit.

    Returns:
        Mean over pixels per picture, 0 for equal ones to 1; NaN where the reference is black.

    Raises:
        ModuleNotFoundError: If the package is not installed.

    References:
        Andersson et al., Computer Graphics Forum 2021.
    """
    evaluator = _import_flip()
    means = []
    for reference, test in zip(*(x.reshape(-1, *x.shape[-3:]).double().cpu() for x in (target, pred)), strict=True):
        white = reference.max()
        if white == 0:
            means.append(math.nan)
            continue
        # it ends the process on a reference darker than its own floor, so both get the same brightness first
        arrays = [np.ascontiguousarray((x / white).movedim(0, -1).float().numpy()) for x in (reference, test)]
        means.append(evaluator.evaluate(*arrays, "HDR", applyMagma=False)[1])
    return pred.new_tensor(means).reshape(pred.shape[:-3])


def flip_version() -> str:
    """Name and version of the package behind :func:`flip`.

    Raises:
        ModuleNotFoundError: If it is not installed.
    """
    _import_flip()
    return f"flip-evaluator {importlib.metadata.version('flip-evaluator')}"


def cvvdp(
    pred: Float[Tensor, "*b 3 h w"], target: Float[Tensor, "*b 3 h w"], *, display_name: str = CVVDP_DISPLAY
) -> Float[Tensor, "*b"]:
    """ColorVideoVDP: quality in just-objectionable differences, 10 for equal pictures.

    It hardly sees a wrong exposure of the whole picture.

    Args:
        pred: Reconstruction in cd/m2; what the display cannot show is clipped.
        target: Reference in cd/m2.
        display_name: One of the package's displays of linear light.

    Returns:
        JOD per picture, at most 10; one less is worse to three viewers of four.

    Raises:
        ModuleNotFoundError: If the package, or something it needs, is not installed.
        ValueError: If it knows no such display.

    References:
        Mantiuk et al., SIGGRAPH 2024.
    """
    metric = colorvideovdp.load(display_name, pred.device)
    pairs = [picture.reshape(-1, *picture.shape[-3:]).float() for picture in (pred, target)]
    # picture by picture: as a batch they would share one video buffer, and memory grows with it
    jods = [metric.predict(test, reference, dim_order="CHW")[0] for test, reference in zip(*pairs, strict=True)]
    return torch.stack(jods).to(pred.dtype).reshape(pred.shape[:-3])


def cvvdp_version(display_name: str = CVVDP_DISPLAY) -> str:
    """Return what ColorVideoVDP asks to be quoted beside its figures: its version and the display.

    Raises:
        ModuleNotFoundError: If it is not installed.
        ValueError: If it knows no such display.
    """
    return str(colorvideovdp.load(display_name, torch.device("cpu")).get_info_string()).strip('"')


def _import_flip() -> ModuleType:
    try:
        return importlib.import_module("flip_evaluator")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "the metric flip needs flip-evaluator, which is not installed: pip install 'ldr2hdr[perceptual]'"
        ) from None
