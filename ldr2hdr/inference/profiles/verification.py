"""Verified curve: a camera's response with its band, and all by which somebody else can judge it."""

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.inference.profiles.checking import GAPS_STOPS, NUM_BANDS
from ldr2hdr.inference.profiles.scenes import JUDGED, LeftOut

MAX_SCENES: Final = 64
MAX_FRAMES: Final = 1000
MAX_TEXT: Final = 200
_KINDS: Final = ("scenes", "exposures", "parts", "nothing")


class SceneFacts(NamedTuple):
    """Scene that was learned from.

    Attributes:
        name: Of its folder.
        settings: By EXIF, in words.
        frames: Names of the exposures that were learned from.
        left_out: The others.
    """

    name: str
    settings: str
    frames: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


class Verification(NamedTuple):
    """Curve and its check; all errors in stops, all curves in stops by level, 0 at level 250.

    Attributes:
        curve: Log inverse response.
        deviation: Its standard deviation; of several scenes at least that of their own curves.
        prior: The curve without any bracket.
        of_scenes: The curve of each scene alone.
        by_level: Median error with sign of what was kept out, in bands of 16 levels; NaN where nothing was seen.
        by_gap: Median distance by stops between the exposures, of the curve and of the prior; NaN likewise.
        kept_out: What was kept out, one at a time: ``scenes``, ``exposures``, ``parts`` or ``nothing``.
        strength: Factor by which what the brackets say was taken.
        error: Of what was kept out, by the curve of the others; NaN if nothing was.
        error_before: The same by the prior.
        cast: Difference of the channels' errors, by the curve of the others.
        cast_before: The same by the prior.
        scenes: In the order of ``of_scenes``.
    """

    curve: Float[Tensor, "256 3"]
    deviation: Float[Tensor, "256 3"]
    prior: Float[Tensor, "256 3"]
    of_scenes: Float[Tensor, "s 256 3"]
    by_level: Float[Tensor, "16 3"]
    by_gap: Float[Tensor, "4 2"]
    kept_out: str
    strength: float
    error: float
    error_before: float
    cast: float
    cast_before: float
    scenes: tuple[SceneFacts, ...]

    @property
    def spread(self) -> Float[Tensor, " 3"] | None:
        """Return how far the scenes' own curves are apart in each channel, as a standard deviation over scenes.

        The root mean square over the levels that are judged; None of one scene.
        """
        if len(self.scenes) < 2:
            return None
        return self.of_scenes[:, JUDGED].var(dim=0).mean(dim=0).sqrt()

    @property
    def grey(self) -> Float[Tensor, " 3"]:
        """Return by how many stops each channel leaves grey, where a grey ramp has equal levels: the largest."""
        cast = (self.curve - self.curve.mean(dim=1, keepdim=True))[JUDGED]
        return cast.gather(0, cast.abs().argmax(dim=0, keepdim=True))[0]


_TENSORS: Final = ("curve", "deviation", "prior", "of_scenes", "by_level", "by_gap")
_NUMBERS: Final = ("error", "error_before", "cast", "cast_before")


def to_stored(verification: Verification) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return what JSON holds, and the tensors, in single precision."""
    numbers = {name: getattr(verification, name) for name in _NUMBERS}
    facts = {
        "kept_out": verification.kept_out,
        "strength": verification.strength,
        # JSON has no NaN
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        "scenes": [
            {**scene._asdict(), "left_out": [left._asdict() for left in scene.left_out]}
            for scene in verification.scenes
        ],
    }
    return facts, {name: getattr(verification, name).float() for name in _TENSORS}


def from_stored(facts: object, tensors: Mapping[str, Tensor]) -> Verification:
    """Return what `to_stored` was given; strangers may have written it.

    Raises:
        ValueError: If a type, a size or a number is not what it can be.
        KeyError: If something is missing.
    """
    if not isinstance(facts, dict) or not isinstance(facts["scenes"], list) or len(facts["scenes"]) > MAX_SCENES:
        raise ValueError("a verification that is no list of facts by name")
    if facts["kept_out"] not in _KINDS:
        raise ValueError("a check of an unknown kind")
    scenes = tuple(_scene(scene) for scene in facts["scenes"])
    _require_tensors(tensors, len(scenes))
    numbers: dict[str, Any] = {name: math.nan if facts[name] is None else number(facts[name]) for name in _NUMBERS}
    curves: dict[str, Any] = {name: tensors[name] for name in _TENSORS}
    strength = number(facts["strength"])
    return Verification(**curves, **numbers, kept_out=facts["kept_out"], strength=strength, scenes=scenes)


def text(value: object) -> str:
    """Return a name from a file of strangers, if it is one; it is shown on terminals, which obey control characters.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_TEXT:
        raise ValueError("a name that is not printable text of sensible length")
    return value


def number(value: object) -> float:
    """Return an error in stops, or the like, if it is one.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"{value!r} instead of an error in stops")
    return float(value)


def shortened(name: str) -> str:
    """Return a name as it may be stored: printable, and not too long."""
    return "".join(character for character in name if character.isprintable())[:MAX_TEXT]


def _scene(facts: object) -> SceneFacts:
    if not isinstance(facts, dict) or not all(isinstance(facts[name], list) for name in ("frames", "left_out")):
        raise ValueError("a scene that is no list of facts by name")
    if len(facts["frames"]) + len(facts["left_out"]) > MAX_FRAMES:
        raise ValueError(f"a scene of more than {MAX_FRAMES} exposures")
    left_out = tuple(LeftOut(text(left["name"]), text(left["reason"])) for left in facts["left_out"])
    return SceneFacts(text(facts["name"]), text(facts["settings"]), tuple(map(text, facts["frames"])), left_out)


def _require_tensors(tensors: Mapping[str, Tensor], num_scenes: int) -> None:
    shapes = {
        "curve": (256, 3),
        "deviation": (256, 3),
        "prior": (256, 3),
        "of_scenes": (num_scenes, 256, 3),
        "by_level": (NUM_BANDS, 3),
        "by_gap": (len(GAPS_STOPS) - 1, 2),
    }
    for name, shape in shapes.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
            raise ValueError(f"{name} of {tensor.dtype} {tuple(tensor.shape)} instead of float32 {shape}")
        is_allowed = ~tensor.isinf() if name.startswith("by_") else tensor.isfinite()
        if not bool(is_allowed.all()):
            raise ValueError(f"{name} that is not finite")
