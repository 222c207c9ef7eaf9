"""Inner steps after a curve: tried on exposures that were kept out, and taken only if they help there."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ldr2hdr.calibration.posterior import CurveInformation
from ldr2hdr.calibration.prior import read_curve_prior
from ldr2hdr.inference.profiles.brackets import LONGEST_PX, Bracket, RefusedBracket, shrink
from ldr2hdr.inference.profiles.fitting import Check, Fit, OnStep, PairCheck, choose_steps, fit, prepare
from ldr2hdr.inference.profiles.scenes import Scene
from ldr2hdr.inference.profiles.support import label_bracket
from ldr2hdr.meta.base import AbstractMetaLearner

_log = logging.getLogger(__name__)


class Stepped(NamedTuple):
    """Inner steps that help, and the check that says so."""

    fit: Fit
    check: Check


def try_steps(
    learner: AbstractMetaLearner,
    scenes: Sequence[Scene],
    information: CurveInformation,
    *,
    max_steps: int,
    on_step: OnStep | None = None,
) -> Stepped | None:
    """Take as many inner steps as help on an exposure that was kept out; None if none does, or none can be tried.

    Args:
        learner: Has theta.
        scenes: Of one camera.
        information: Of all of them, for the closed form.
        max_steps: Inner steps to try.
        on_step: Called after each.
    """
    try:
        brackets = prepare([_shrink(scene.bracket.select(scene.frames)) for scene in scenes])
        check = choose_steps(learner, _keep_out(scenes, brackets), max_steps=max_steps, on_step=on_step)
        if check.best_steps == 0:
            return None
        return Stepped(fit(learner, brackets, steps=check.best_steps, statistics=information), check)
    except RefusedBracket as reason:
        _log.warning("no inner step is taken: %s", reason)
        return None


def _keep_out(scenes: Sequence[Scene], brackets: Sequence[Bracket]) -> PairCheck:
    """Keep out the middle exposure of the last scene that has three."""
    number = max((number for number, bracket in enumerate(brackets) if len(bracket) >= 3), default=None)
    if number is None:
        raise RefusedBracket("one exposure is kept out to check inner steps, so a bracket needs three")
    bracket, scene = brackets[number], scenes[number]
    middle = len(bracket) // 2
    others = [place for place in range(len(bracket)) if place != middle]
    near = [middle, middle - 1, middle + 1]
    return PairCheck(
        label_bracket(bracket.select(others)),
        scene.without(scene.frames[middle], read_curve_prior()),
        bracket.ldr[near],
        bracket.evs[near],
        bracket.paths[middle].name,
    )


def _shrink(bracket: Bracket) -> Bracket:
    return replace(bracket, ldr=shrink(bracket.ldr, LONGEST_PX))
