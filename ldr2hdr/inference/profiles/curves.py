"""A camera's response curve from brackets by pairs of exposures, with its check, for models whose response takes it."""

import math
from collections.abc import Sequence
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.calibration.posterior import CurveInformation, of_camera, pool
from ldr2hdr.calibration.prior import read_curve_prior
from ldr2hdr.inference.profiles.brackets import Bracket, RefusedBracket
from ldr2hdr.inference.profiles.checking import GAPS_STOPS, NUM_BANDS, CurveCheck, check_curves, scale
from ldr2hdr.inference.profiles.scenes import JUDGED, Scene, compare_exposures
from ldr2hdr.inference.profiles.verification import MAX_SCENES, SceneFacts, Verification, shortened
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.response.prior import PriorResponse

# Curves that differ by less, as root of the mean square over levels, are one
_SAME_STOPS: Final = 0.05


def curve_response(model: nn.Module) -> PriorResponse | None:
    """Return the response stage that pairs of exposures teach; None if the model has another."""
    if isinstance(model, Reconstructor) and isinstance(model.response, PriorResponse):
        return model.response
    return None


def compare_brackets(brackets: Sequence[Bracket]) -> list[Scene]:
    """Compare the exposures of each bracket of one camera.

    Raises:
        RefusedBracket: If a bracket says nothing, they differ in camera, or there are too many.
    """
    if len(brackets) > MAX_SCENES:
        raise RefusedBracket(f"expected at most {MAX_SCENES} scenes, got {len(brackets)}")
    first = brackets[0]
    for other in brackets[1:]:
        if other.camera != first.camera:
            raise RefusedBracket(
                f"brackets that are adapted to together must be of one camera, got {first.camera} in {first.folder} "
                f"and {other.camera} in {other.folder}"
            )
    return [compare_exposures(bracket, read_curve_prior()) for bracket in brackets]


@torch.no_grad()
def check_scenes(scenes: Sequence[Scene], response: PriorResponse) -> CurveCheck:
    """Check the curve of scenes on what it was not made of.

    Raises:
        RefusedBracket: If the curve is not to be believed, or not another than the prior.
    """
    check = check_curves(scenes, read_curve_prior(), response.weights)
    where = ", ".join(str(scene.bracket.folder) for scene in scenes)
    if check is None:
        raise RefusedBracket(
            "the exposures say too little to check a curve by them; take more of them, closer together, or go without "
            f"the check by --no-check: {where}"
        )
    words = (
        f"{check.words} is predicted to {check.after.error:.3f} stops, and to {check.before.error:.3f} without "
        "any profile"
    )
    if not check.is_believed:
        raise RefusedBracket(
            f"a profile would not help: {words}; convert without one, or shoot another bracket, on a tripod, with "
            f"white balance, ISO and picture style fixed: {where}"
        )
    if not check.is_better and _change(scenes, response) < _SAME_STOPS:
        raise RefusedBracket(
            f"your camera is already as the model expects: {words}; single-shot is as good, no profile is needed: "
            f"{where}"
        )
    return check


def information_of(scenes: Sequence[Scene], check: CurveCheck | None) -> CurveInformation:
    """Return what all scenes say together of their camera, each as strongly as the check found best."""
    return _told(scenes, 1.0 if check is None else check.strength)


@torch.no_grad()
def verify(scenes: Sequence[Scene], check: CurveCheck | None, response: PriorResponse) -> Verification:
    """Gather what a curve can be judged by.

    The deviation claims no more than the estimator's own account, and of several scenes at least their distance.
    """
    strength = 1.0 if check is None else check.strength
    found = response.posterior(information_of(scenes, check))
    own = torch.stack([response.posterior(scale(scene.fit.information, strength)).log_curve for scene in scenes])
    deviation = response.posterior(_told(scenes, min(strength, 1.0))).deviation
    if len(scenes) > 1:
        deviation = torch.maximum(deviation, own.std(dim=0))
    unknown = math.nan
    return Verification(
        curve=_stops(found.log_curve),
        deviation=_stops(deviation),
        prior=_stops(response.posterior(None).log_curve),
        of_scenes=_stops(own),
        by_level=torch.full((NUM_BANDS, 3), unknown) if check is None else check.by_level.float(),
        by_gap=torch.full((len(GAPS_STOPS) - 1, 2), unknown) if check is None else check.by_gap.float(),
        kept_out="nothing" if check is None else check.kind,
        strength=strength,
        error=unknown if check is None else check.after.error,
        error_before=unknown if check is None else check.before.error,
        cast=unknown if check is None else check.after.cast,
        cast_before=unknown if check is None else check.before.cast,
        scenes=tuple(map(_facts, scenes)),
    )


def _told(scenes: Sequence[Scene], strength: float) -> CurveInformation:
    prior = read_curve_prior()
    return pool(of_camera([scale(scene.fit.information, strength) for scene in scenes], prior))


def _change(scenes: Sequence[Scene], response: PriorResponse) -> float:
    """Compute how far the curve is from the prior's, in stops."""
    after, before = (
        response.posterior(information).log_curve[JUDGED] for information in (information_of(scenes, None), None)
    )
    return float((after - before).square().mean().sqrt()) / math.log(2)


def _stops(nats: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    return (nats.detach().cpu() / math.log(2)).float()


def _facts(scene: Scene) -> SceneFacts:
    names = tuple(shortened(scene.bracket.paths[frame].name) for frame in scene.frames)
    left_out = tuple(left._replace(name=shortened(left.name)) for left in scene.left_out)
    return SceneFacts(
        shortened(scene.bracket.folder.resolve().name), shortened(scene.bracket.settings), names, left_out
    )
