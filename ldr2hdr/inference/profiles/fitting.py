"""Adaptation to brackets, and the check that it helps: on a photograph that was kept out."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ldr2hdr.calibration.curve import is_well_exposed, levels_of
from ldr2hdr.inference.profiles.brackets import Bracket, RefusedBracket
from ldr2hdr.inference.profiles.support import HeldOut, align_bracket, cut_alike, hold_out, label_bracket
from ldr2hdr.meta.base import AbstractMetaLearner, Predictor
from ldr2hdr.metrics.functional import log2_rmse, masked_mean
from ldr2hdr.metrics.regions import find_regions
from ldr2hdr.tasks import Shots, Statistics, map_tensors

_FLOOR: Final = 2.0**-10
OnStep = Callable[[int, float, float], None]
"""Called after each inner step with its number, the error in stops, and the error without adaptation."""


class Check(NamedTuple):
    """Error on the photograph that was kept out, in stops of log2-RMSE on its well-exposed pixels.

    The reference is the merge of the other exposures of its bracket, where they show it: the photograph is no part of
    what it is judged by. One scale for the whole photograph is free.

    Attributes:
        held_out: Name of the file.
        single_shot_stops: Without adaptation.
        stops: After 0, 1, 2, ... inner steps on the others.
    """

    held_out: str
    single_shot_stops: float
    stops: tuple[float, ...]

    @property
    def best_steps(self) -> int:
        """Number of inner steps with the smallest error; the fewest of equal ones."""
        return min(range(len(self.stops)), key=lambda step: (_or_inf(self.stops[step]), step))


class PairCheck(NamedTuple):
    """An exposure that is kept out, with its neighbours, and the others with what they say.

    Attributes:
        support: The others, labelled with their own merge.
        statistics: Of them, for the closed-form part.
        ldr: The exposure, and its neighbours.
        evs: Of each, in stops.
        name: Of the exposure's file.
    """

    support: Shots
    statistics: Statistics
    ldr: Float[Tensor, "n 3 h w"]
    evs: Float[Tensor, " n"]
    name: str


class Fit(NamedTuple):
    """Change that adapts a model to a camera.

    Attributes:
        delta: What was added to the parameters that changed, by name.
        statistics: What the closed-form part knows of the support.
        num_frames: Exposures that it was adapted to.
        half_error_stops: Largest difference that half precision of ``delta`` would make to a support picture, as
            log2-RMSE.
    """

    delta: Mapping[str, Tensor]
    statistics: Statistics
    num_frames: int
    half_error_stops: float


def prepare(brackets: Sequence[Bracket]) -> list[Bracket]:
    """Align brackets of one camera, and cut them to one size.

    Raises:
        RefusedBracket: If one cannot teach, or they differ in camera or size.
    """
    first = brackets[0]
    for other in brackets[1:]:
        if (other.camera, other.size) != (first.camera, first.size):
            raise RefusedBracket(
                f"brackets that are adapted to together must be of one camera and size, got {first.camera} "
                f"{first.size[1]} x {first.size[0]} in {first.folder} and {other.camera} "
                f"{other.size[1]} x {other.size[0]} in {other.folder}"
            )
    return cut_alike([align_bracket(bracket) for bracket in brackets])


def check(
    learner: AbstractMetaLearner, brackets: Sequence[Bracket], *, max_steps: int, on_step: OnStep | None = None
) -> Check:
    """Adapt to all photographs but one, and judge each inner step on that one.

    Of one bracket, the darkest exposure is kept out, or where the others say too little of it, the brightest or
    another. The others are labelled with their own merge, which also says what the photograph should show. So this
    shows how well a photograph is predicted that nothing has seen, and not how right a merge is. As the merge of two is
    off by a tenth of a stop and more, another exposure is kept out if adapting seems not to help on the first. Of
    several brackets, all of the last one with three exposures is kept out, and one of them is judged by the others.

    Args:
        learner: Has theta.
        brackets: From `prepare`.
        max_steps: Inner steps to try.
        on_step: Called after each.

    Raises:
        RefusedBracket: If too few exposures are left, or adapting makes the photograph worse than it was.
    """
    checks = []
    for kept_out in _split(brackets):
        checks.append(_check_on(learner, kept_out, max_steps=max_steps, on_step=on_step))
        if _or_inf(checks[-1].stops[checks[-1].best_steps]) < _or_inf(checks[-1].single_shot_stops):
            return checks[-1]
    first = checks[0]
    raise RefusedBracket(
        f"adapting would not help: the error on {first.held_out}, which was kept out, is {first.single_shot_stops:.3f} "
        f"stops without and {first.stops[first.best_steps]:.3f} with it; convert without a profile, or shoot another "
        f"bracket: {brackets[-1].folder}"
    )


def choose_steps(
    learner: AbstractMetaLearner, kept_out: PairCheck, *, max_steps: int, on_step: OnStep | None = None
) -> Check:
    """Try inner steps on exposures, and judge each by how one that was kept out agrees with its neighbours.

    No merge is asked: what the network makes of two exposures must differ by the stops between them.

    Args:
        learner: Has theta.
        kept_out: Exposures to adapt to, and those to judge by.
        max_steps: Inner steps to try.
        on_step: Called after each.
    """
    device = next(learner.parameters()).device
    support = kept_out.support.to(device)
    statistics = map_tensors(kept_out.statistics, lambda part: part.to(device))
    trajectory = islice(learner.trajectory(support, statistics=statistics), max_steps + 1)
    find_error = partial(_disagreement, kept_out=kept_out)
    return _judge_steps(kept_out.name, learner.single_shot(), trajectory, find_error, on_step)


def fit(learner: AbstractMetaLearner, brackets: Sequence[Bracket], *, steps: int, statistics: Statistics = None) -> Fit:
    """Adapt to all exposures of all brackets.

    Args:
        learner: Has theta, and keeps it.
        brackets: From `prepare`.
        steps: Inner steps.
        statistics: For the closed-form part; of the merged exposures if None.

    Raises:
        RefusedBracket: If a bracket cannot be merged, or the parameters leave the finite range.
    """
    device = next(learner.parameters()).device
    support = _join([label_bracket(bracket) for bracket in brackets]).to(device)
    statistics = learner.statistics(support) if statistics is None else statistics
    adapted = learner.engine().adapt(support, statistics, steps=steps)
    delta = {}
    for (name, theta), phi in zip(learner.model.named_parameters(), adapted.parameters, strict=True):
        difference = phi.detach() - theta.detach()
        if not bool(difference.isfinite().all()):
            raise RefusedBracket(f"adapting leaves the finite range within {steps} steps, at {name}; try fewer steps")
        if bool((difference != 0).any()):
            delta[name] = difference.contiguous()
    return Fit(delta, statistics, len(support), _half_error(learner, delta, statistics, support))


def error_stops(predictor: Predictor, judged: Shots, *, is_known: Bool[Tensor, "1 h w"] | None = None) -> float:
    """Compute the error of a picture in stops, where it is well exposed, with one scale free; NaN if it is not finite.

    Args:
        predictor: Maps pictures to sensor exposure.
        judged: The picture, and what it should be.
        is_known: Where that is known; everywhere if None.
    """
    with torch.no_grad():
        predicted = predictor(judged.ldr)
    mask = find_regions(judged.ldr, judged.exposure).well_exposed
    mask = mask if is_known is None else mask & is_known
    ratio = judged.exposure.clamp_min(_FLOOR).log2() - predicted.clamp_min(_FLOOR).log2()
    scale = masked_mean(ratio, mask).exp2()
    return float(log2_rmse(predicted * scale[:, None, None, None], judged.exposure, mask, floor=_FLOOR / 16)[0])


@torch.no_grad()
def _disagreement(predictor: Predictor, kept_out: PairCheck) -> float:
    """Compute the stops by which the exposure that was kept out and its neighbours disagree, where all are known."""
    device = kept_out.support.ldr.device
    first, *others = (predictor(ldr[None].to(device))[0].clamp_min(_FLOOR).log2().cpu() for ldr in kept_out.ldr)
    is_told = is_well_exposed(levels_of(kept_out.ldr))
    distances = [
        (first - other - (kept_out.evs[0] - ev))[is_told[0] & is_told[number]].abs()
        for number, (other, ev) in enumerate(zip(others, kept_out.evs[1:], strict=True), start=1)
    ]
    return float(torch.cat(distances).quantile(0.5)) if sum(map(len, distances)) else math.nan


def _check_on(learner: AbstractMetaLearner, kept_out: HeldOut, *, max_steps: int, on_step: OnStep | None) -> Check:
    device = next(learner.parameters()).device
    support, judged = kept_out.support.to(device), kept_out.judged.to(device)
    is_known = kept_out.is_known.to(device)
    find_error = partial(error_stops, judged=judged, is_known=is_known)
    trajectory = islice(learner.trajectory(support), max_steps + 1)
    return _judge_steps(kept_out.name, learner.single_shot(), trajectory, find_error, on_step)


def _judge_steps(
    name: str,
    single_shot: Predictor,
    trajectory: Iterator[Predictor],
    find_error: Callable[[Predictor], float],
    on_step: OnStep | None,
) -> Check:
    """Judge each predictor of a trajectory, until one is no longer finite."""
    single = find_error(single_shot)
    errors: list[float] = []
    for step, predictor in enumerate(trajectory):
        errors.append(find_error(predictor))
        if on_step is not None:
            on_step(step, errors[-1], single)
        if not math.isfinite(errors[-1]):
            break
    return Check(name, single, tuple(errors))


def _split(brackets: Sequence[Bracket]) -> Iterator[HeldOut]:
    numbers = [number for number, bracket in enumerate(brackets) if len(bracket) >= 3]
    if not numbers:
        raise RefusedBracket(
            f"one photograph is kept out to check the others, so a bracket needs three, got {len(brackets[-1])}; add "
            f"one, or go without the check by --no-check: {brackets[-1].folder}"
        )
    others = [label_bracket(bracket) for number, bracket in enumerate(brackets) if number != numbers[-1]]
    for kept_out in _hold_each_out(brackets[numbers[-1]]):
        yield kept_out._replace(support=_join(others)) if others else kept_out


def _hold_each_out(bracket: Bracket) -> Iterator[HeldOut]:
    """Keep out one exposure at a time that the others cover well enough: the darkest, the brightest, then the others.

    Without a middle one, the others are far apart, and their merge is worse: 0.31 stops off, and 0.12 without the
    darkest (medians of 10 virtual cameras of one curve per channel, exposures 2 stops apart; 0.11 by all three).
    """
    first, *middle, last = range(len(bracket))
    reasons: list[RefusedBracket] = []
    for number in (first, last, *middle):
        try:
            kept_out = hold_out(bracket, number)
        except RefusedBracket as reason:
            reasons.append(reason)
            continue
        yield kept_out
    if len(reasons) == len(bracket):
        raise reasons[0]


def _join(parts: Sequence[Shots]) -> Shots:
    return Shots(torch.cat([part.ldr for part in parts]), torch.cat([part.exposure for part in parts]))


@torch.no_grad()
def _half_error(
    learner: AbstractMetaLearner, delta: Mapping[str, Tensor], statistics: Statistics, support: Shots
) -> float:
    """Compute the error of rounding the delta to half precision, on the picture where it is largest."""
    if not delta:
        return 0.0
    theta = dict(learner.model.named_parameters())
    predictions = []
    for dtype in (torch.float32, torch.float16):
        phi = theta | {name: theta[name] + part.to(dtype).to(part.dtype) for name, part in delta.items()}
        predictions.append(torch.func.functional_call(learner.model, phi, (support.ldr, statistics)))
    worst = log2_rmse(predictions[1], predictions[0]).max()
    return _or_inf(float(worst))


def _or_inf(number: float) -> float:
    return number if math.isfinite(number) else math.inf
