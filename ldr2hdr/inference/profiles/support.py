"""Examples of what a camera does, from a bracket; or the reason why the bracket cannot give any."""

import itertools
import logging
from dataclasses import replace
from typing import Final, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ldr2hdr.calibration.alignment import align_Ward2003
from ldr2hdr.calibration.curve import is_well_exposed, levels_of
from ldr2hdr.data.datasets.measured import estimate_evs
from ldr2hdr.data.tasks.labels import MergeLabels, RefusedSupport
from ldr2hdr.inference.profiles.brackets import Bracket, RefusedBracket
from ldr2hdr.inference.profiles.motion import fill_moved, find_motion
from ldr2hdr.metrics.regions import find_regions
from ldr2hdr.radiometry import expose
from ldr2hdr.tasks import Shots

_MIN_TOLD: Final = 0.01
"""Least share of pixels between black and white, in an exposure of some use."""
_MIN_SHARED: Final = 0.0025
"""Least share of them that two neighbours have in common: 500 pixels of 512 x 384, for 256 levels."""
# What the pixels show for a stop. Of virtual cameras never trained on, 20 of one curve per channel and 20 phones, with
# exposures 2 stops apart: 0.27 to 1.55, and of one camera the largest over the smallest up to 1.38. With the time of
# the middle one wrong by a stop, that is 2.2 and more.
_CONTRASTS: Final = (0.2, 2.0)
_UNEVENNESS: Final = 1.6
_LEAST_STEP: Final = 0.3
_MAX_SHIFT_PX: Final = 24
_STILL: Final = 0.002
"""Part of the picture that may have moved unheeded: 20 pixels a side, of 512 x 384."""
_MOST_MOVED: Final = 0.065
"""Part that may be left out, with a margin around what moved: more is seldom all of it. A thing in one of three
exposures that covers 2 % of the picture is within it. With 16 virtual cameras it raised the error on other photographs
from 0.19 stops to 0.34 when it was not left out, and not at all when it was."""
_MOST_DISAGREEMENT_STOPS: Final = 0.75
"""Of a merge; that of local tone mapping is up to 0.6, and the photograph that is kept out shows whether it helps."""
_log = logging.getLogger(__name__)


class HeldOut(NamedTuple):
    """One photograph of a bracket, with what the others alone say that it should show.

    Attributes:
        support: The others, labelled with their own merge.
        judged: The photograph, and its sensor exposure by that merge, of which it is no part.
        is_known: Where the others give this exposure in all channels, and not by a bound alone.
        name: Of the photograph's file.
    """

    support: Shots
    judged: Shots
    is_known: Bool[Tensor, "1 h w"]
    name: str


def align_bracket(bracket: Bracket) -> Bracket:
    """Bring the exposures onto each other by whole pixels, cut to what all show, and see whether they can teach.

    What little moved is left out: there all exposures are made to show what is beside it.

    Raises:
        RefusedBracket: If the exposures are black or white nearly everywhere, do not overlap, are not those stated, or
            do not show one still scene.
    """
    is_told = is_well_exposed(levels_of(bracket.ldr)).all(dim=1)
    _require_tones(bracket, is_told)
    _require_stated_evs(bracket)
    try:
        shift = min(_MAX_SHIFT_PX, (min(bracket.ldr.shape[2:]) - 1) // 4)
        aligned = align_Ward2003(bracket.ldr, bracket.evs, max_shift_px=shift)
    except ValueError as error:
        raise RefusedBracket(f"the exposures do not show one still scene: {error}: {bracket.folder}") from error
    is_shared = aligned.is_valid.all(dim=0)
    rows, columns = (is_shared.any(dim=dim).nonzero()[:, 0] for dim in (1, 0))
    cropped = aligned.ldr[..., int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]
    return _keep_still(replace(bracket, ldr=cropped.contiguous()))


def label_bracket(bracket: Bracket) -> Shots:
    """Label each exposure with the merge of all of them (Debevec and Malik).

    Args:
        bracket: Aligned.

    Raises:
        RefusedBracket: If the exposures cannot be merged.
    """
    try:
        labels = MergeLabels(max_residual_stops=_MOST_DISAGREEMENT_STOPS)
        return Shots(bracket.ldr, labels.label(bracket.ldr, bracket.evs))
    except RefusedSupport as error:
        reason = str(error.__cause__ or error)
        raise RefusedBracket(f"the exposures cannot be merged: {reason}: {bracket.folder}") from error


def hold_out(bracket: Bracket, number: int) -> HeldOut:
    """Keep one photograph out, and label it with the merge of all others.

    Args:
        bracket: Aligned, of three exposures or more.
        number: Of the photograph.

    Raises:
        RefusedBracket: If the others cannot be merged, or say too little of the photograph.
    """
    others = bracket.select([index for index in range(len(bracket)) if index != number])
    name = bracket.paths[number].name
    support = label_bracket(others)
    exposure = expose(support.exposure[:1], bracket.evs[number : number + 1] - others.evs[:1])
    judged = Shots(bracket.ldr[number : number + 1], exposure)
    is_known = is_well_exposed(levels_of(others.ldr)).any(dim=0).all(dim=0)[None]
    share = float((find_regions(judged.ldr, exposure).well_exposed & is_known).float().mean())
    if share < _MIN_TOLD:
        raise RefusedBracket(
            f"the others say too little of {name} to check by it: {share:.1%} of its pixels, and {_MIN_TOLD:.0%} are "
            f"needed; take exposures that are closer together: {bracket.folder}"
        )
    return HeldOut(support, judged, is_known, name)


def cut_alike(brackets: list[Bracket]) -> list[Bracket]:
    """Cut aligned brackets to the middle part of a size that all have."""
    height, width = (min(bracket.ldr.shape[dim] for bracket in brackets) for dim in (2, 3))
    cut = []
    for bracket in brackets:
        top, left = (bracket.ldr.shape[2] - height) // 2, (bracket.ldr.shape[3] - width) // 2
        cut.append(replace(bracket, ldr=bracket.ldr[..., top : top + height, left : left + width].contiguous()))
    return cut


def _require_tones(bracket: Bracket, is_told: Bool[Tensor, "n h w"]) -> None:
    shares = is_told.float().mean(dim=(1, 2))
    if float(shares.max()) < _MIN_TOLD:
        raise RefusedBracket(
            f"every exposure is black or white nearly everywhere: at most {float(shares.max()):.1%} of the pixels are "
            f"between, and {_MIN_TOLD:.0%} are needed; expose for the scene: {bracket.folder}"
        )
    for index, (darker, brighter) in enumerate(itertools.pairwise(is_told)):
        shared = float((darker & brighter).float().mean())
        if shared < _MIN_SHARED:
            raise RefusedBracket(
                f"{bracket.paths[index].name} and {bracket.paths[index + 1].name} do not overlap: "
                f"{shared:.2%} of the pixels are between black and white in both, and {_MIN_SHARED:.2%} are needed; "
                f"take exposures that are closer together: {bracket.folder}"
            )


def _require_stated_evs(bracket: Bracket) -> None:
    """Compare the steps between exposures with what the pixels show as if the response were sRGB.

    What they show is off by the camera's contrast, about the same for all steps. A factor common to all steps looks
    like contrast, and cannot be recognised unless it is large.
    """
    measured = estimate_evs(bracket.ldr)
    if measured is None:
        raise RefusedBracket(f"the exposures do not overlap enough to check their times: {bracket.folder}")
    shown = torch.tensor(measured).diff()
    stated = bracket.evs.diff()
    is_step = stated >= _LEAST_STEP
    if not bool(is_step.any()):
        raise RefusedBracket(
            f"expected exposures at least {_LEAST_STEP} stops apart, got steps of {_listed(stated)}: {bracket.folder}"
        )
    rates = shown[is_step] / stated[is_step]
    low, high = _CONTRASTS
    if float(rates.min()) < low or float(rates.max()) > min(high, _UNEVENNESS * float(rates.min())):
        raise RefusedBracket(
            f"wrong exposure times: from dark to bright, each photograph should be brighter than the one before by "
            f"{_listed(stated)} stops, and the pixels show about {_listed(shown)}; correct them by --ev, or switch off "
            f"what the camera adjusts by itself: {bracket.folder}"
        )


def _keep_still(bracket: Bracket) -> Bracket:
    motion = find_motion(bracket.ldr)
    if motion.share <= _STILL:
        return bracket
    first, second = (bracket.paths[number].name for number in (motion.first, motion.first + 1))
    what = (
        f"something moved, or was lit otherwise, between {first} and {second}, in {motion.share:.1%} of the picture, "
        f"mostly {motion.column:.0%} of the width from left and {motion.row:.0%} of the height from top"
    )
    with_margin = float(motion.where.mean())
    if with_margin > _MOST_MOVED:
        raise RefusedBracket(
            f"the exposures do not show one still scene: {what}; with what is around it and between the others that is "
            f"{with_margin:.1%}, and {_MOST_MOVED:.1%} can be left out; take the bracket again: {bracket.folder}"
        )
    _log.warning("%s: %s, which is left out", bracket.folder, what)
    return replace(bracket, ldr=fill_moved(bracket.ldr, motion.where))


def _listed(stops: Float[Tensor, " n"]) -> str:
    return ", ".join(f"{step:+.1f}" for step in stops.tolist())
