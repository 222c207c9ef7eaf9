"""A profile says after loading what it said before; what is damaged, strange or another model's is refused."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import ldr2hdr
from ldr2hdr.data.cameras.camera import Camera
from ldr2hdr.inference.profiles import files as profiles
from ldr2hdr.inference.profiles.files import read_profile, write_profile
from ldr2hdr.inference.profiles.model import AdaptedCamera, Model
from ldr2hdr.io import ImageError
from ldr2hdr.io.weights import digest_of
from profiles.photographs import save_checkpoint, write_bracket, write_photo

pytestmark = pytest.mark.slow

KINDS = {
    "ridge": ("algo.inner.lr=0.5",),
    "prior": ("response=prior",),
    "local": ("response=local",),
    "none": ("response=none", "algo.inner.lr=0.5"),
    "cavia": ("algo=cavia",),
    "r2d2": ("algo=r2d2",),
    "supervised": ("algo=supervised", "algo.inner.lr=0.5"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_saved_is_what_is_loaded(
    tmp_path: Path, bracket: Path, scenes: dict[str, Tensor], camera: Camera, kind: str
) -> None:
    model = ldr2hdr.load(save_checkpoint(tmp_path / "net.ckpt", *KINDS[kind]))
    phi = model.adapt(bracket, max_steps=2)
    phi.save(tmp_path / "a.ldr2hdr")
    again = ldr2hdr.load(tmp_path / "net.ckpt").camera(tmp_path / "a.ldr2hdr")
    photo = write_photo(tmp_path / "photo.jpg", scenes["venice_sunset"], camera)
    assert torch.equal(again(photo), phi(photo))
    assert not torch.equal(again(photo), model(photo))
    less = {"delta": {}, "statistics": {}, "verification": None}
    assert again.profile._replace(**less) == phi.profile._replace(**less)
    assert (phi.profile.verification is None) == (kind != "prior")
    assert again.profile.camera == "Acme Nova 7"
    assert again.profile.half_error_stops < 0.002
    assert all(part.dtype == torch.float16 for part in again.profile.delta.values())


def test_a_delta_that_half_precision_would_spoil_is_kept_in_full(
    tmp_path: Path, ckpt: Path, bracket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ldr2hdr.inference.profiles.model._HALF_TOLERANCE_STOPS", -1.0)
    phi = ldr2hdr.load(save_checkpoint(tmp_path / "net.ckpt", *KINDS["none"])).adapt(bracket, max_steps=2)
    assert {part.dtype for part in phi.profile.delta.values()} == {torch.float32}
    assert phi.profile.half_error_stops == 0


@pytest.fixture(scope="module")
def adapted(
    ckpt: Path, tmp_path_factory: pytest.TempPathFactory, scenes: dict[str, Tensor], camera: Camera
) -> AdaptedCamera:
    folder = write_bracket(tmp_path_factory.mktemp("taught") / "bracket", scenes["blender_city"], camera)
    return ldr2hdr.load(ckpt).adapt(folder, max_steps=0)


@pytest.fixture
def model(ckpt: Path) -> Model:
    return ldr2hdr.load(ckpt)


@pytest.fixture
def saved(tmp_path: Path, adapted: AdaptedCamera) -> Path:
    adapted.save(tmp_path / "a.ldr2hdr")
    return tmp_path / "a.ldr2hdr"


def test_another_model(tmp_path: Path, saved: Path) -> None:
    other = ldr2hdr.load(save_checkpoint(tmp_path / "other.ckpt", "algo.inner.lr=0.03"))
    with pytest.raises(
        ValueError, match=r"made with another model: sha256 \w{10}, and this checkpoint has .*a.ldr2hdr"
    ):
        other.camera(saved)


def test_no_file(tmp_path: Path, model: Model) -> None:
    with pytest.raises(FileNotFoundError, match=r"no camera profile at .*a.ldr2hdr; make one by `ldr2hdr adapt"):
        model.camera(tmp_path / "a.ldr2hdr")


@pytest.mark.parametrize("kept", [0, 5, 100, 2000])
def test_a_truncated_file(saved: Path, model: Model, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"damaged, or not a camera profile .*a.ldr2hdr"):
        model.camera(saved)


def test_a_flipped_bit(saved: Path, model: Model) -> None:
    data = bytearray(saved.read_bytes())
    data[-100] ^= 1
    saved.write_bytes(data)
    with pytest.raises(ValueError, match=r"damaged: its content is not what was written; make it anew: .*a.ldr2hdr"):
        model.camera(saved)


def test_text_and_other_tensors(saved: Path, model: Model) -> None:
    saved.write_text("a text that somebody renamed")
    with pytest.raises(ValueError, match="damaged, or not a camera profile"):
        model.camera(saved)
    save_file({"a": torch.ones(3)}, saved)
    with pytest.raises(ValueError, match=r"got some other safetensors file: .*a.ldr2hdr"):
        model.camera(saved)


def test_an_absurdly_large_file(saved: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match=r"at most 1000 bytes, got \d+: .*a.ldr2hdr"):
        model.camera(saved)


def test_a_later_version(saved: Path, model: Model, monkeypatch: pytest.MonkeyPatch, adapted: AdaptedCamera) -> None:
    monkeypatch.setattr(profiles, "VERSION", 3)
    adapted.save(saved)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"of version '3', and this ldr2hdr reads versions 1 and 2; .*a.ldr2hdr"):
        model.camera(saved)


def forge(path: Path, *, facts: dict[str, object] | None = None, tensors: dict[str, Tensor] | None = None) -> None:
    """What somebody could write who knows the format: the digest is right."""
    with safe_open(path, framework="pt") as file:
        kept, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    kept = kept if tensors is None else kept | tensors
    metadata["about"] = json.dumps(json.loads(metadata["about"]) | (facts or {}))
    metadata["sha256"] = digest_of(kept, metadata["about"])
    save_file(kept, path, metadata)


CHECK = {"held_out": "1.jpg", "single_shot_stops": 1.0, "stops": [0.5]}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"camera": "\x1b[2Jgone"}, "not printable text"),
        ({"camera": "x" * 1000}, "not printable text of sensible length"),
        ({"model_sha256": 5}, "not printable text"),
        ({"steps": -1}, "-1 instead of a count"),
        ({"steps": True}, "True instead of a count"),
        ({"num_frames": 2.5}, "2.5 instead of a count"),
        ({"half_error_stops": "small"}, "'small' instead of an error in stops"),
        ({"check": CHECK | {"stops": []}}, "a check without figures"),
        ({"check": CHECK | {"stops": [-1.0]}}, "-1.0 instead of an error"),
        ({"check": {}}, "holds what no camera profile holds"),
        ({"check": 3}, "a check that is no list of figures by name"),
        ({"steps": 1}, "1 steps of 1 that were checked"),
    ],
)
def test_strange_facts(saved: Path, model: Model, facts: dict[str, object], message: str) -> None:
    forge(saved, facts=facts)
    with pytest.raises(ValueError, match=rf"{message}.*a.ldr2hdr"):
        model.camera(saved)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weights": torch.ones(3)}, "a tensor of the name 'weights'"),
        ({"delta/backbone.nothing": torch.ones(3)}, "changes backbone.nothing .*, which the model has not"),
        ({"delta/response.prior": torch.ones(3)}, r"changes response.prior \(3,\), which the model has not"),
        ({"delta/response.log_prior_weight": torch.tensor(float("nan"))}, "change of .* is not finite"),
        ({"delta/response.log_prior_weight": torch.tensor(1)}, "change of .* is not finite"),
        ({"context/other": torch.ones(3)}, r"expected the tensors \['value'\], got \['other', 'value'\]"),
        ({"context/value": torch.ones(3)}, "expected finite torch.float32 like .* for value"),
        ({"context/value": torch.full((3, 25, 26), float("inf"))}, "expected finite"),
        ({"context/value": torch.ones(3, 25, 26, dtype=torch.float64)}, "expected finite"),
    ],
)
def test_strange_tensors(saved: Path, model: Model, tensors: dict[str, Tensor], message: str) -> None:
    forge(saved, tensors=tensors)
    with pytest.raises(ValueError, match=rf"{message}.*a.ldr2hdr"):
        model.camera(saved)


def test_it_is_written_whole_or_not_at_all(
    saved: Path, adapted: AdaptedCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(profiles, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        write_profile(saved, adapted.profile)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["a.ldr2hdr"]


@pytest.mark.skipif(os.name == "nt", reason="no such modes")
def test_a_file_follows_the_umask(tmp_path: Path, adapted: AdaptedCamera) -> None:
    before = os.umask(0o022)
    try:
        write_profile(tmp_path / "p.ldr2hdr", adapted.profile)
    finally:
        os.umask(before)
    assert (tmp_path / "p.ldr2hdr").stat().st_mode & 0o777 == 0o644


def test_no_folder_and_no_permission(tmp_path: Path, adapted: AdaptedCamera) -> None:
    with pytest.raises(ImageError, match="expected an existing folder to write to"):
        adapted.save(tmp_path / "missing" / "a.ldr2hdr")
    locked = Path("/proc/self")
    if locked.is_dir():  # where not even root may create files
        with pytest.raises(OSError, match="proc"):
            adapted.save(locked / "a.ldr2hdr")


def test_reading_needs_no_model(saved: Path, adapted: AdaptedCamera) -> None:
    profile = read_profile(saved)
    assert profile.model_sha256 == adapted.profile.model_sha256
    assert all(torch.equal(part, adapted.profile.statistics[name]) for name, part in profile.statistics.items())
