"""Camera profiles: what adaptation changed, in one small file that holds no code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ldr2hdr.inference.profiles.fitting import Check
from ldr2hdr.inference.profiles.verification import MAX_TEXT, Verification, from_stored, number, text, to_stored
from ldr2hdr.io.files import replacing
from ldr2hdr.io.weights import digest_of

FORMAT: Final = "ldr2hdr camera profile"
VERSION: Final = 2
_VERSIONS: Final = ("1", "2")
SUFFIX: Final = ".ldr2hdr"
MAX_BYTES: Final = 2**28
"""268 MB: the largest network here adapted in full, twice over."""
_DELTA: Final = "delta/"
_CONTEXT: Final = "context/"
_CURVE: Final = "curve/"


class Profile(NamedTuple):
    """Content of a profile.

    Attributes:
        model_sha256: Of the checkpoint that was adapted, without which the rest means nothing.
        camera: By EXIF; None if unknown.
        check: How well a photograph that was kept out is predicted; None if that was not looked at.
        steps: Inner steps taken.
        num_frames: Exposures adapted to.
        half_error_stops: Error of storing ``delta`` in half precision; 0 if it is in full.
        delta: What is added to theta, by parameter.
        statistics: Tensors of the closed-form part, by name.
        verification: Curve with all that it can be judged by; None if the model has none, or in a file of version 1.
    """

    model_sha256: str
    camera: str | None
    check: Check | None
    steps: int
    num_frames: int
    half_error_stops: float
    delta: Mapping[str, Tensor]
    statistics: Mapping[str, Tensor]
    verification: Verification | None = None


def write_profile(path: Path | str, profile: Profile) -> None:
    """Write a profile, whole or not at all; one that is there is replaced.

    Raises:
        ImageError: If the folder does not exist.
        OSError: If it cannot be written to.
    """
    path = Path(path)
    facts, curves = (None, {}) if profile.verification is None else to_stored(profile.verification)
    tensors = _prefixed(profile.delta, _DELTA) | _prefixed(profile.statistics, _CONTEXT) | _prefixed(curves, _CURVE)
    about = json.dumps(_facts(profile) | {"verification": facts}, sort_keys=True)
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "about": about,
        "sha256": digest_of(tensors, about),
    }
    with replacing(path) as temporary:
        # not by save_file, which lets nobody else read the file, whatever the umask
        temporary.write_bytes(save(tensors, metadata))


def read_profile(path: Path | str) -> Profile:
    """Read a profile; whether it fits a model is for the model to say.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no profile, of a newer version, damaged, or absurdly large.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no camera profile at {path}; make one by `ldr2hdr adapt BRACKET_FOLDER -o {path}`")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"expected a camera profile of at most {MAX_BYTES} bytes, got {path.stat().st_size}: {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            _require_format(metadata, path)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"damaged, or not a camera profile ({error}): {path}") from error
    about = metadata.get("about", "")
    if metadata.get("sha256") != digest_of(tensors, about):
        raise ValueError(f"the camera profile is damaged: its content is not what was written; make it anew: {path}")
    try:
        return _parse(json.loads(about), tensors)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"the camera profile holds what no camera profile holds ({error}): {path}") from error


def _require_format(metadata: Mapping[str, str], path: Path) -> None:
    if metadata.get("format") != FORMAT:
        raise ValueError(f"expected a camera profile of ldr2hdr, got some other safetensors file: {path}")
    if metadata.get("version") not in _VERSIONS:
        raise ValueError(
            f"the camera profile is of version {metadata.get('version', '')[:9]!r}, and this ldr2hdr reads versions "
            f"{' and '.join(_VERSIONS)}; make it anew, or install the ldr2hdr that made it: {path}"
        )


def _facts(profile: Profile) -> dict[str, Any]:
    return {
        "model_sha256": profile.model_sha256,
        "camera": profile.camera,
        "check": None if profile.check is None else profile.check._asdict(),
        "steps": profile.steps,
        "num_frames": profile.num_frames,
        "half_error_stops": profile.half_error_stops,
    }


def _parse(facts: dict[str, Any], tensors: Mapping[str, Tensor]) -> Profile:
    unknown = [name for name in tensors if not name.startswith((_DELTA, _CONTEXT, _CURVE))]
    if unknown:
        raise ValueError(f"a tensor of the name {unknown[0][:MAX_TEXT]!r}")
    check = None if facts["check"] is None else _parse_check(facts["check"])
    if check is not None and _count(facts["steps"]) >= len(check.stops):
        raise ValueError(f"{facts['steps']} steps of {len(check.stops)} that were checked, the first one none")
    stored = facts.get("verification")  # not in version 1
    return Profile(
        model_sha256=text(facts["model_sha256"]),
        camera=None if facts["camera"] is None else text(facts["camera"]),
        check=check,
        steps=_count(facts["steps"]),
        num_frames=_count(facts["num_frames"]),
        half_error_stops=number(facts["half_error_stops"]),
        delta=_unprefixed(tensors, _DELTA),
        statistics=_unprefixed(tensors, _CONTEXT),
        verification=None if stored is None else from_stored(stored, _unprefixed(tensors, _CURVE)),
    )


def _parse_check(facts: object) -> Check:
    if not isinstance(facts, dict):
        raise ValueError("a check that is no list of figures by name")
    stops = tuple(number(error) for error in facts["stops"])
    if not stops:
        raise ValueError("a check without figures")
    return Check(text(facts["held_out"]), number(facts["single_shot_stops"]), stops)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} instead of a count")
    return value


def _prefixed(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _unprefixed(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): part for name, part in tensors.items() if name.startswith(prefix)}
