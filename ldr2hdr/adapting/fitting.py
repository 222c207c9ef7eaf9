"""Adaptation to brackets, and the check that it helps: on a photograph that was kept out."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from ldr2hdr.adapting.brackets import Bracket, RefusedBracket
from ldr2hdr.adapting.support import align_bracket, cut_alike, label_bracket
from ldr2hdr.meta.base import AbstractMetaLearner, Predictor
from ldr2hdr.metrics.functional import log2_rmse, masked_mean
from ldr2hdr.metrics.regions import find_regions
from ldr2hdr.tasks import Shots

_FLOOR: Final = 2.0**-10
OnStep = Callable[[int, float], None]
"""Told after each inner step: its number, and the error in stops."""


class Check(NamedTuple):
    """How well the photograph that was kept out is predicted, in stops of log2-RMSE on its well-exposed pixels.

    The reference is the merge of all exposures of its bracket; one scale for the whole photograph is free.

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


class Fit(NamedTuple):
    """A model adapted to a camera.

    Attributes:
        delta: What was added to the parameters that changed, by name.
        context: What the closed-form part knows of the support.
        num_frames: Exposures that it was adapted to.
        half_error_stops: Largest difference that half precision of ``delta`` would make to a support picture, as
            log2-RMSE.
    """

    delta: Mapping[str, Tensor]
    context: object
    num_frames: int
    half_error_stops: float


class _Trial(NamedTuple):
    support: Shots
    judged: Shots
    held_out: str


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

    Of one bracket, the exposure in the middle is kept out; the labels of the others are of the merge of all, as its
    reference is, so this tells how well a photograph is predicted, and not how right the merge is. Of several brackets,
    all of the last one is kept out, and its middle exposure is judged.

    Args:
        learner: Has theta.
        brackets: From `prepare`.
        max_steps: Inner steps to try.
        on_step: Called after each.

    Raises:
        RefusedBracket: If too few exposures are left, or adapting makes the photograph worse than it was.
    """
    support, judged, held_out = _split(brackets)
    device = next(learner.parameters()).device
    support, judged = support.to(device), judged.to(device)
    single = error_stops(learner.single_shot(), judged)
    errors: list[float] = []
    for step, predictor in zip(range(max_steps + 1), learner.trajectory(support), strict=False):
        errors.append(error_stops(predictor, judged))
        if on_step is not None:
            on_step(step, errors[-1])
        if not math.isfinite(errors[-1]):
            break
    found = Check(held_out, single, tuple(errors))
    if not _or_inf(errors[found.best_steps]) < _or_inf(single):
        raise RefusedBracket(
            f"adapting would not help: the error on {held_out}, which was kept out, is {single:.3f} stops without and "
            f"{errors[found.best_steps]:.3f} with it; convert without a profile, or shoot another bracket: "
            f"{brackets[-1].folder}"
        )
    return found


def fit(learner: AbstractMetaLearner, brackets: Sequence[Bracket], *, steps: int) -> Fit:
    """Adapt to all exposures of all brackets.

    Args:
        learner: Has theta, and keeps it.
        brackets: From `prepare`.
        steps: Inner steps.

    Raises:
        RefusedBracket: If a bracket cannot be merged, or the parameters leave the finite range.
    """
    device = next(learner.parameters()).device
    support = _join([label_bracket(bracket) for bracket in brackets]).to(device)
    context = learner.context(support)
    unrolled = learner.inner_loop().unroll(support, context, order="none")
    *_, (_, adapted) = zip(range(steps + 1), unrolled, strict=False)
    delta = {}
    for (name, theta), phi in zip(learner.model.named_parameters(), adapted.parameters, strict=True):
        difference = phi.detach() - theta.detach()
        if not bool(difference.isfinite().all()):
            raise RefusedBracket(f"adapting leaves the finite range within {steps} steps, at {name}; try fewer steps")
        if bool((difference != 0).any()):
            delta[name] = difference.contiguous()
    return Fit(delta, context, len(support), _half_error(learner, delta, context, support))


def error_stops(predictor: Predictor, judged: Shots) -> float:
    """Error of one picture in stops, with one scale free; NaN if a prediction is not finite."""
    with torch.no_grad():
        predicted = predictor(judged.ldr)
    mask = find_regions(judged.ldr, judged.exposure).well_exposed
    ratio = judged.exposure.clamp_min(_FLOOR).log2() - predicted.clamp_min(_FLOOR).log2()
    scale = masked_mean(ratio, mask).exp2()
    return float(log2_rmse(predicted * scale[:, None, None, None], judged.exposure, mask, floor=_FLOOR / 16)[0])


def _split(brackets: Sequence[Bracket]) -> _Trial:
    last = brackets[-1]
    if len(brackets) > 1:
        kept = _join([label_bracket(bracket) for bracket in brackets[:-1]])
        return _Trial(kept, _pick(label_bracket(last), last.middle), last.paths[last.middle].name)
    if len(last) < 3:
        raise RefusedBracket(
            f"one photograph is kept out to check the others, so a bracket needs three, got {len(last)}; add one, "
            f"or a second bracket, or go without the check by --no-check: {last.folder}"
        )
    labelled = label_bracket(last)
    others = [number for number in range(len(last)) if number != last.middle]
    kept = Shots(labelled.ldr[others], labelled.exposure[others])
    return _Trial(kept, _pick(labelled, last.middle), last.paths[last.middle].name)


def _pick(shots: Shots, number: int) -> Shots:
    return Shots(shots.ldr[number : number + 1], shots.exposure[number : number + 1])


def _join(parts: Sequence[Shots]) -> Shots:
    return Shots(torch.cat([part.ldr for part in parts]), torch.cat([part.exposure for part in parts]))


@torch.no_grad()
def _half_error(learner: AbstractMetaLearner, delta: Mapping[str, Tensor], context: object, support: Shots) -> float:
    """What rounding the delta to half precision does, on the picture where it does most."""
    if not delta:
        return 0.0
    theta = dict(learner.model.named_parameters())
    predictions = []
    for dtype in (torch.float32, torch.float16):
        phi = theta | {name: theta[name] + part.to(dtype).to(part.dtype) for name, part in delta.items()}
        predictions.append(torch.func.functional_call(learner.model, phi, (support.ldr, context)))
    worst = log2_rmse(predictions[1], predictions[0]).max()
    return _or_inf(float(worst))


def _or_inf(number: float) -> float:
    return number if math.isfinite(number) else math.inf
