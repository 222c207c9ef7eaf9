"""Trained model for people with photographs: load it, adapt it to a camera, convert."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.backbones.highlights.distribution import Statistic
from ldr2hdr.build import choose_device, load_learner
from ldr2hdr.calibration.posterior import CurveInformation
from ldr2hdr.inference.convert import reconstruct_photo
from ldr2hdr.inference.profiles.brackets import LONGEST_PX, Bracket, read_bracket
from ldr2hdr.inference.profiles.curves import check_scenes, compare_brackets, curve_response, information_of, verify
from ldr2hdr.inference.profiles.files import Profile, read_profile, write_profile
from ldr2hdr.inference.profiles.fitting import Check, Fit, OnStep, check, fit, prepare
from ldr2hdr.inference.profiles.scenes import FRAME_PX
from ldr2hdr.inference.profiles.statistics import rebuild
from ldr2hdr.inference.profiles.stepping import try_steps
from ldr2hdr.inference.profiles.verification import Verification
from ldr2hdr.inference.tiling import OnShare
from ldr2hdr.inference.weights import SHIPPED
from ldr2hdr.io import read_photo
from ldr2hdr.io.files import MAX_PIXELS
from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.meta.folding import Foldable
from ldr2hdr.reconstructor import BoundReconstructor, Reconstructor
from ldr2hdr.response.prior import PriorResponse
from ldr2hdr.tasks import Statistics, named_tensors
from ldr2hdr.training.checkpoints import checkpoint_hash

# Below a five-hundredth of a stop, the profile takes half the space and nobody sees it.
_HALF_TOLERANCE_STOPS: Final = 0.002


@dataclass(frozen=True, eq=False)
class AdaptedCamera:
    """Model adapted to one camera: photographs of that camera in, sensor exposure out.

    Attributes:
        network: Holds phi, and the closed form's fit to the camera.
        profile: Is stored.
    """

    network: BoundReconstructor
    profile: Profile

    def __call__(self, photo: Path | str | Tensor) -> Float[Tensor, "3 h w"]:
        """Reconstruct a photograph.

        Args:
            photo: A file, or display-referred values ``(3, H, W)`` in [0, 1], of which no exposure is known.

        Returns:
            Linear Rec. 709 sensor exposure on the CPU, 1 at the camera's white, unbounded above.

        Raises:
            ImageError: If the file cannot be read.
            ValueError: If the photograph is large, and the network cannot work on tiles.
        """
        return _reconstruct(photo, self.network)

    def save(self, path: Path | str) -> None:
        """Write the profile, whole or not at all; errors as for `write_profile`."""
        write_profile(path, self.profile)


class Model:
    """Checkpoint, ready for photographs.

    Args:
        learner: Theta, and how it adapts.
        sha256: Of the checkpoint's file, which profiles name.
        highlights: Number to show of the distribution of what was clipped; None for the network's own.
    """

    def __init__(self, learner: AbstractMetaLearner, sha256: str, *, highlights: Statistic | None = None) -> None:
        self.learner = learner
        self.sha256 = sha256
        self.highlights = highlights

    def __call__(self, photo: Path | str | Tensor) -> Float[Tensor, "3 h w"]:
        """Reconstruct a photograph by any camera; arguments, result and errors as for `AdaptedCamera`."""
        return _reconstruct(photo, self.single_shot())

    @property
    def compares_pairs(self) -> bool:
        """Return whether pairs of exposures teach this model, and two of them can be checked."""
        return curve_response(self.learner.model) is not None

    def single_shot(self) -> BoundReconstructor:
        """Return the network that knows nothing of the camera.

        Raises:
            ValueError: If the algorithm's network cannot do without what the algorithm put around it.
        """
        return self._bind(self.learner.single_shot(), None)

    def adapt(
        self,
        *brackets: Path | str,
        evs: Sequence[float] | None = None,
        max_steps: int = 0,
        is_checked: bool = True,
        on_step: OnStep | None = None,
        max_pixels: int = MAX_PIXELS,
        on_share: OnShare | None = None,
    ) -> AdaptedCamera:
        """Adapt to the camera of one bracket or several.

        A model whose response starts from the curves of real cameras compares pairs of exposures, and is checked on
        what was kept out, without any merge; two exposures are enough. Any other model adapts to merged exposures, and
        is checked on a photograph that was kept out.

        Args:
            brackets: Folders, each with the exposures of one scene.
            evs: In stops, in the order of the file names, the same for each folder; None if ``exposures.csv`` or EXIF
                say.
            max_steps: Most inner steps; they are taken if the check says that they help.
            is_checked: Keep something out to check by. Without, no inner step is taken: there is the closed-form part
                alone.
            on_step: Called with the number of each inner step that is checked, its error in stops, and that without.
            max_pixels: Larger photographs are refused before they are decoded.
            on_share: Called with the share of the photographs that is read; whatever it raises ends the work.

        Raises:
            ImageError: If a photograph cannot be read.
            RefusedBracket: If the brackets cannot teach, or the profile would not help; the message says why.
            ValueError: If there is no bracket, or ``max_steps`` is negative.
        """
        if not brackets or max_steps < 0:
            raise ValueError(
                f"expected a bracket or more and max_steps of at least 0, got {len(brackets)} and {max_steps}"
            )
        steps = max_steps if is_checked else 0
        response = curve_response(self.learner.model)
        longest_px = LONGEST_PX if response is None else FRAME_PX
        read = [
            read_bracket(
                folder,
                evs=evs,
                longest_px=longest_px,
                max_pixels=max_pixels,
                on_share=on_share and _part_of(on_share, number, len(brackets)),
            )
            for number, folder in enumerate(brackets)
        ]
        if response is not None:
            return self._adapt_to_pairs(read, response, steps, is_checked=is_checked, on_step=on_step)
        prepared = prepare(read)
        found = check(self.learner, prepared, max_steps=steps, on_step=on_step) if is_checked else None
        fitted = fit(self.learner, prepared, steps=0 if found is None else found.best_steps)
        return self._store(fitted, prepared[0].camera, found, None)

    def _adapt_to_pairs(
        self,
        brackets: Sequence[Bracket],
        response: PriorResponse,
        max_steps: int,
        *,
        is_checked: bool,
        on_step: OnStep | None,
    ) -> AdaptedCamera:
        scenes = compare_brackets(brackets)
        found = check_scenes(scenes, response) if is_checked else None
        verification = verify(scenes, found, response)
        device = _device_of(self.learner)
        information = CurveInformation(*(part.to(device) for part in information_of(scenes, found)))
        num_frames = sum(len(scene.frames) for scene in scenes)
        fitted = Fit({}, information, num_frames, 0.0)
        words = None if found is None else Check(found.words, found.before.error, (found.after.error,))
        if max_steps > 0:
            tried = try_steps(self.learner, scenes, information, max_steps=max_steps, on_step=on_step)
            fitted, words = (fitted, words) if tried is None else (tried.fit, tried.check)
        return self._store(fitted._replace(num_frames=num_frames), brackets[0].camera, words, verification)

    def _store(
        self, fitted: Fit, camera: str | None, found: Check | None, verification: Verification | None
    ) -> AdaptedCamera:
        is_half = fitted.half_error_stops <= _HALF_TOLERANCE_STOPS
        profile = Profile(
            model_sha256=self.sha256,
            camera=camera,
            check=found,
            steps=0 if found is None else found.best_steps,
            num_frames=fitted.num_frames,
            half_error_stops=fitted.half_error_stops if is_half else 0.0,
            delta={name: part.half() if is_half else part for name, part in fitted.delta.items()},
            statistics=named_tensors(fitted.statistics),
            verification=verification,
        )
        return self._adapted(profile, fitted.statistics)

    def camera(self, path: Path | str) -> AdaptedCamera:
        """Take up a camera profile that this model made.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no profile, damaged, or another model's.
        """
        profile = read_profile(path)
        if profile.model_sha256 != self.sha256:
            raise ValueError(
                f"the camera profile was made with another model: sha256 {profile.model_sha256[:10]}, and this "
                f"checkpoint has {self.sha256[:10]}; use that one, or make the profile anew: {path}"
            )
        try:
            _require_fitting(self.learner.model, profile)
            statistics = rebuild(self.learner.statistics, profile.statistics, device=_device_of(self.learner))
            _require_curve(self.learner.model, statistics)
        except ValueError as error:
            raise ValueError(f"the camera profile does not fit the model that it names: {error}: {path}") from error
        return self._adapted(profile, statistics)

    def _adapted(self, profile: Profile, statistics: Statistics) -> AdaptedCamera:
        network = copy.deepcopy(self.learner.model).eval().requires_grad_(False)
        parameters = dict(network.named_parameters())
        for name, part in profile.delta.items():
            parameters[name].add_(part.to(parameters[name]))
        return AdaptedCamera(self._bind(network, statistics), profile)

    def _bind(self, network: object, statistics: Statistics) -> BoundReconstructor:
        if isinstance(network, Foldable):
            network, statistics = network.fold(statistics)
        if not isinstance(network, Reconstructor):
            raise ValueError(
                f"this algorithm's network is no network of its own but a {type(network).__name__}; give its model a "
                "method fold, as ldr2hdr.meta.folding has it"
            )
        bound = network.bind(statistics)
        return bound if self.highlights is None else bound.reporting(self.highlights)


def load(
    ckpt: Path | str | None = None,
    *,
    device: str | None = "cpu",
    highlights: Statistic | None = None,
    trust: Sequence[str] = (),
) -> Model:
    """Load the model that ships with the package, or a checkpoint that ``ldr2hdr.train`` wrote.

    Args:
        ckpt: The file; None for the model that ships.
        device: Such as ``cpu`` or ``cuda:1``; None for the GPU if there is one.
        highlights: What clipped light becomes: ``median`` for the least error in stops, ``mean`` for the right energy,
            such as to light a scene by, a number between 0 and 1 for that quantile; None for what the model was made
            for. The network has to know a distribution, as the one that ships does.
        trust: Packages whose classes the checkpoint may be made of, besides those that are installed and registered.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of ldr2hdr, or the device is not there.
    """
    ckpt = SHIPPED if ckpt is None else ckpt
    learner, _ = load_learner(ckpt, trust=trust)
    return Model(learner.to(choose_device(device)), checkpoint_hash(ckpt), highlights=highlights)


def _require_fitting(model: nn.Module, profile: Profile) -> None:
    parameters = dict(model.named_parameters())
    for name, part in profile.delta.items():
        if name not in parameters or parameters[name].shape != part.shape:
            raise ValueError(f"it changes {name} {tuple(part.shape)}, which the model has not")
        if not (part.is_floating_point() and bool(part.isfinite().all())):
            raise ValueError(f"its change of {name} is not finite")


@torch.no_grad()
def _require_curve(model: nn.Module, statistics: Statistics) -> None:
    response = curve_response(model)
    if response is not None and not bool(response.weights(cast(CurveInformation, statistics)).isfinite().all()):
        raise ValueError("what it says of the response gives no curve")


def _reconstruct(photo: Path | str | Tensor, network: BoundReconstructor) -> Float[Tensor, "3 h w"]:
    if isinstance(photo, Tensor):
        return reconstruct_photo(photo, network)
    read = read_photo(photo)
    return reconstruct_photo(read.ldr, network.taken_at(read.source.shot.absolute_ev))


def _part_of(on_share: OnShare, number: int, count: int) -> OnShare:
    return lambda share: on_share((number + share) / count)


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters(), torch.empty(0)).device
