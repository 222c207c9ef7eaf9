"""What a verified curve says is stored as it was, and nothing else is believed of a stranger's file."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ldr2hdr.inference.profiles.files import Profile, read_profile, write_profile
from ldr2hdr.inference.profiles.scenes import LeftOut
from ldr2hdr.inference.profiles.verification import SceneFacts, Verification
from ldr2hdr.io.weights import digest_of

TENSORS = ("curve", "deviation", "prior", "of_scenes", "by_level", "by_gap")


def make(num_scenes: int = 2) -> Verification:
    generator = torch.Generator().manual_seed(0)
    curve = torch.linspace(-9, 0, 256)[:, None].expand(256, 3) + torch.tensor([0.0, 0.1, -0.1])
    by_level = torch.randn(16, 3, generator=generator)
    by_level[0] = math.nan
    scenes = tuple(
        SceneFacts(f"scene {number}", "f/8, ISO 100", ("a.jpg", "b.jpg"), (LeftOut("c.jpg", "black"),))
        for number in range(num_scenes)
    )
    return Verification(
        curve,
        torch.full((256, 3), 0.1),
        curve.mean(dim=1, keepdim=True).expand(256, 3).clone(),
        torch.stack([curve + 0.1 * number for number in range(num_scenes)]),
        by_level,
        torch.rand(4, 2, generator=generator),
        "scenes",
        0.3,
        *(0.1, 0.2, 0.03, math.nan),
        scenes,
    )


def save(path: Path, verification: Verification | None) -> Path:
    write_profile(path, Profile("0" * 64, "Acme Nova 7", None, 0, 4, 0.0, {}, {}, verification))
    return path


def test_what_was_written_is_what_is_read(tmp_path: Path) -> None:
    written = make()
    read = read_profile(save(tmp_path / "a.ldr2hdr", written)).verification
    assert read is not None
    for name in TENSORS:
        torch.testing.assert_close(getattr(read, name), getattr(written, name), equal_nan=True, rtol=0, atol=0)
    assert read.scenes == written.scenes
    assert (read.kept_out, read.strength, read.error, read.cast) == ("scenes", 0.3, 0.1, 0.03)
    assert math.isnan(read.cast_before)
    assert (tmp_path / "a.ldr2hdr").stat().st_size < 25_000


def test_a_profile_without_one(tmp_path: Path) -> None:
    assert read_profile(save(tmp_path / "a.ldr2hdr", None)).verification is None


def test_spread_and_grey() -> None:
    curve = make()
    assert curve.spread is not None
    torch.testing.assert_close(curve.spread, torch.full((3,), 0.1 / 2**0.5))
    torch.testing.assert_close(curve.grey, torch.tensor([0.0, 0.1, -0.1]))
    assert make(1).spread is None


def forge(path: Path, *, facts: dict[str, Any] | None = None, tensors: dict[str, Tensor] | None = None) -> None:
    with safe_open(path, framework="pt") as file:
        kept, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    kept |= tensors or {}
    about = json.loads(metadata["about"])
    about["verification"] = about["verification"] | (facts or {})
    metadata["about"] = json.dumps(about)
    metadata["sha256"] = digest_of(kept, metadata["about"])
    save_file(kept, path, metadata)


SCENE = {"name": "a", "settings": "", "frames": [], "left_out": []}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"kept_out": "the moon"}, "a check of an unknown kind"),
        ({"strength": -1}, "-1 instead of an error"),
        ({"error": "small"}, "'small' instead of an error"),
        ({"scenes": 3}, "no list of facts by name"),
        ({"scenes": [SCENE] * 65}, "no list of facts by name"),
        ({"scenes": [SCENE]}, r"of_scenes of torch.float32 \(2, 256, 3\) instead of float32 \(1, 256, 3\)"),
        ({"scenes": [3, SCENE]}, "a scene that is no list"),
        ({"scenes": [SCENE | {"frames": "ab"}, SCENE]}, "a scene that is no list"),
        ({"scenes": [SCENE | {"frames": ["a"] * 1001}, SCENE]}, "more than 1000 exposures"),
        ({"scenes": [SCENE | {"name": "\x1b[2J"}, SCENE]}, "not printable text"),
        ({"scenes": [SCENE | {"settings": "x" * 201}, SCENE]}, "not printable text"),
        ({"scenes": [SCENE | {"left_out": [{"name": "a", "reason": "\n"}]}, SCENE]}, "not printable text"),
        ({"scenes": [{"name": "a"}, SCENE]}, "holds what no camera profile holds"),
    ],
)
def test_strange_facts(tmp_path: Path, facts: dict[str, Any], message: str) -> None:
    path = save(tmp_path / "a.ldr2hdr", make())
    forge(path, facts=facts)
    with pytest.raises(ValueError, match=rf"{message}.*a.ldr2hdr"):
        read_profile(path)


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("strange", [torch.ones(5), torch.ones(256, 3, dtype=torch.float64)])
def test_strange_sizes(tmp_path: Path, name: str, strange: Tensor) -> None:
    path = save(tmp_path / "a.ldr2hdr", make())
    forge(path, tensors={f"curve/{name}": strange})
    with pytest.raises(ValueError, match=rf"{name} of torch.float.*a.ldr2hdr"):
        read_profile(path)


@pytest.mark.parametrize(("name", "value"), [("curve", math.nan), ("deviation", math.inf), ("by_gap", math.inf)])
def test_strange_numbers(tmp_path: Path, name: str, value: float) -> None:
    path = save(tmp_path / "a.ldr2hdr", make())
    forge(path, tensors={f"curve/{name}": torch.full_like(getattr(make(), name), value)})
    with pytest.raises(ValueError, match=rf"{name} that is not finite.*a.ldr2hdr"):
        read_profile(path)
