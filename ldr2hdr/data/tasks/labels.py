"""Sources of the support's labels.

A label source is given the support alone. It has no argument through which a query picture or label could reach
it, and keeps nothing from one call to the next.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Final, NamedTuple, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ldr2hdr.calibration.alignment import align_Ward2003, shift_pictures
from ldr2hdr.calibration.curve import levels_of
from ldr2hdr.calibration.merge import (
    MergedExposure,
    merge_DebevecMalik1997,
    merge_exposures,
    recover_curve,
    recover_response_DebevecMalik1997,
)
from ldr2hdr.calibration.rows import count_joint_levels
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


class _Recovered(NamedTuple):
    merge: Callable[..., MergedExposure]
    residual_stops: float


def _recover_by_prior(ldr: Pictures, evs: Float[Tensor, " k"], is_valid: Bool[Tensor, "k h w"]) -> _Recovered:
    found = recover_curve(count_joint_levels(levels_of(ldr).to(torch.uint8), evs, is_valid=is_valid), evs)
    return _Recovered(partial(merge_exposures, log_curve=found.log_curve), found.disagreement_stops)


def _recover_by_DebevecMalik1997(
    ldr: Pictures, evs: Float[Tensor, " k"], is_valid: Bool[Tensor, "k h w"]
) -> _Recovered:
    response = recover_response_DebevecMalik1997(ldr, evs, is_valid=is_valid)
    return _Recovered(partial(merge_DebevecMalik1997, response=response), response.residual_stops)


_RECOVERIES: Final = {"prior": _recover_by_prior, "debevec_malik1997": _recover_by_DebevecMalik1997}


class MergeLabels(AbstractLabelSource):
    """``labels=merge``: response recovery and merge of the support pictures alone, what a photographer has.

    The pictures must be exposures of one scene. Labels are in the colours that the response curve saw: a camera's
    gains, colour mixing and vignetting are in them. Where the support is clipped in its darkest picture, the label is
    that picture's clipping point, a lower bound of the truth.

    Attributes:
        response: How the camera's curve is recovered: ``prior``, by what the pictures say beside a prior of real
            cameras; or ``debevec_malik1997``, as published.
        align: Align the pictures first, for brackets shot by hand. Each label lies on its own picture.
        max_shift_px: Largest shift between pictures that are neighbours in exposure.
        max_residual_stops: Largest disagreement of the pictures about the scene, see `disagreement` and
            `InverseResponse`.

    Raises:
        ValueError: If there is no such recovery.
    """

    needs_one_scene = True

    def __init__(
        self,
        *,
        response: str = "prior",
        align: bool = False,
        max_shift_px: int = 16,
        max_residual_stops: float = 0.5,
    ) -> None:
        if response not in _RECOVERIES:
            raise ValueError(f"labels.response must be one of {', '.join(_RECOVERIES)}, got {response!r}")
        self.response = response
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
            merge, residual_stops = _RECOVERIES[self.response](aligned, evs, is_valid)
            self._require_one_scene(residual_stops)
            # onto each picture in turn, so that no label lacks a border; once for those that lie alike
            merged: dict[tuple[int, ...], Tensor] = {}
            places = [tuple(shift) for shift in shifts.tolist()]
            for place, shift in zip(places, shifts, strict=True):
                if place not in merged:
                    aligned, is_valid = shift_pictures(ldr, shifts - shift)
                    merged[place] = merge(aligned, evs, is_valid=is_valid).exposure
        except RefusedSupport:
            raise
        except ValueError as error:
            raise RefusedSupport(f"labels=merge cannot merge this support: {error}") from error
        return expose(torch.stack([merged[place] for place in places]), evs)

    def _require_one_scene(self, residual_stops: float) -> None:
        if residual_stops > self.max_residual_stops:
            words = f"disagree about it by {residual_stops:.2f} stops, more than"
            raise RefusedSupport(
                f"labels=merge needs exposures of one scene, got pictures that {words} max_residual_stops="
                f"{self.max_residual_stops:g}; choose task=scene, or align=true for a bracket shot by hand"
            ) from ValueError(f"they show one scene, but {words} {self.max_residual_stops:g}")


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
