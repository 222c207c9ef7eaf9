"""Sources of the support's labels.

A label source is given the support alone. It has no argument through which a query picture or label could reach
it, and keeps nothing from one call to the next.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.calibration.alignment import align_Ward2003, shift_pictures
from ldr2hdr.calibration.merge import merge_DebevecMalik1997, recover_response_DebevecMalik1997
from ldr2hdr.radiometry import expose

Pictures: TypeAlias = Float[Tensor, "k 3 h w"]


class RefusedSupport(ValueError):
    """Error: the pictures of a support do not agree about one scene, so that it cannot be labelled; another one may."""


class AbstractLabelSource(ABC):
    """Labels for the support pictures of one task.

    Attributes:
        needs_one_scene: Whether the pictures must be exposures of one scene.
        needs_truth: Whether their true sensor exposure must be known.
    """

    needs_one_scene: ClassVar[bool] = False
    needs_truth: ClassVar[bool] = False

    @abstractmethod
    def label(self, ldr: Pictures, evs: Float[Tensor, " k"], *, truth: Pictures | None = None) -> Pictures:
        """Label the support.

        Args:
            ldr: The support pictures, display-referred in [0, 1].
            evs: Exposure of each in stops, relative to any common value.
            truth: Their true sensor exposure, where it is known.

        Returns:
            Sensor exposure of each picture, 1 at the camera's white, unbounded above, without gradient.

        Raises:
            ValueError: If the source cannot label this support.
        """


class TruthLabels(AbstractLabelSource):
    """``labels=truth``: the true sensor exposure."""

    needs_truth = True

    def label(self, ldr: Pictures, evs: Float[Tensor, " k"], *, truth: Pictures | None = None) -> Pictures:
        """Hand the truth on.

        Raises:
            ValueError: If there is none.
        """
        if truth is None:
            raise ValueError("labels=truth needs the true exposure of the support, which this data set lacks")
        return truth


class MergeLabels(AbstractLabelSource):
    """``labels=merge``: response recovery and merge of the support pictures alone, what a photographer has.

    The pictures must be exposures of one scene. Labels are in the colours that the response curve saw: a camera's
    gains, colour mixing and vignetting are in them. Where the support is clipped in its darkest picture, the label is
    that picture's clipping point, a lower bound of the truth.

    Attributes:
        align: Align the pictures first, for brackets shot by hand. Each label lies on its own picture.
        max_shift_px: Largest shift between pictures that are neighbours in exposure.
        max_residual_stops: Largest disagreement of the pictures about the scene, see `InverseResponse`.
    """

    needs_one_scene = True

    def __init__(self, *, align: bool = False, max_shift_px: int = 16, max_residual_stops: float = 0.5) -> None:
        self.align = align
        self.max_shift_px = max_shift_px
        self.max_residual_stops = max_residual_stops

    def label(self, ldr: Pictures, evs: Float[Tensor, " k"], *, truth: Pictures | None = None) -> Pictures:
        """Merge the pictures, and expose the result as each picture was.

        Raises:
            ValueError: If there is one picture only.
            RefusedSupport: If the pictures are not a bracket of one scene, or do not align.
        """
        if len(ldr) < 2:
            raise ValueError(
                f"labels=merge needs two exposures or more to merge, got task.shots={len(ldr)}; "
                "raise task.shots, or choose labels=truth or labels=teacher"
            )
        shifts = evs.new_zeros(len(ldr), 2, dtype=torch.long)
        try:
            if self.align:
                shifts = align_Ward2003(ldr, evs, max_shift_px=self.max_shift_px).shifts_px
            aligned, is_valid = shift_pictures(ldr, shifts)
            response = recover_response_DebevecMalik1997(aligned, evs, is_valid=is_valid)
        except ValueError as error:
            raise RefusedSupport(f"labels=merge cannot merge this support: {error}") from error
        if response.residual_stops > self.max_residual_stops:
            disagreement = f"disagree about it by {response.residual_stops:.2f} stops, more than"
            raise RefusedSupport(
                f"labels=merge needs exposures of one scene, got pictures that {disagreement} max_residual_stops="
                f"{self.max_residual_stops:g}; choose task=scene, or align=true for a bracket shot by hand"
            ) from ValueError(f"they show one scene, but {disagreement} {self.max_residual_stops:g}")
        merged = []
        # onto each picture in turn, so that no label lacks a border
        for shift in shifts:
            aligned, is_valid = shift_pictures(ldr, shifts - shift)
            merged.append(merge_DebevecMalik1997(aligned, evs, response=response, is_valid=is_valid).exposure)
        return expose(torch.stack(merged), evs)


class TeacherLabels(AbstractLabelSource):
    """``labels=teacher``: the linear output of a frozen network, as it is.

    Attributes:
        network: Maps pictures to sensor exposure, unbounded above. A module is copied and frozen, so that training the
            original does not move the labels.
    """

    def __init__(self, network: Callable[[Pictures], Pictures]) -> None:
        self.network = copy.deepcopy(network)
        if isinstance(self.network, torch.nn.Module):
            self.network.eval().requires_grad_(False)

    def label(self, ldr: Pictures, evs: Float[Tensor, " k"], *, truth: Pictures | None = None) -> Pictures:
        """Run the network.

        Raises:
            ValueError: If what comes back is not finite, non-negative exposure of the pictures' shape in floating
                point, as an 8-bit picture is not.
        """
        with torch.no_grad():
            exposure = self.network(ldr)
        is_linear = exposure.shape == ldr.shape and exposure.is_floating_point()
        if not (is_linear and bool((exposure.isfinite() & (exposure >= 0)).all())):
            raise ValueError(
                f"labels=teacher needs finite, non-negative float exposure of shape {tuple(ldr.shape)}, "
                f"got {exposure.dtype} {tuple(exposure.shape)} from {exposure.min():.3g} to {exposure.max():.3g}"
            )
        return exposure.detach()
