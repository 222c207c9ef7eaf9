"""Curves by pairs of exposures: from files to a profile, and every bracket that cannot teach one."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from brackets import texture
from torch import Tensor

import ldr2hdr
from ldr2hdr import RefusedBracket
from ldr2hdr.calibration.prior import hat_basis, read_curve_prior
from ldr2hdr.inference.profiles.files import read_profile, write_profile
from ldr2hdr.inference.profiles.model import AdaptedCamera, Model
from profiles.photographs import save_checkpoint

SIDE_PX = 160
LEVELS = torch.arange(256, dtype=torch.float64)
PRIOR_CURVE = hat_basis(read_curve_prior().knots) @ read_curve_prior().mean
# A camera of much more contrast than the prior has, its channels alike
STEEP = 3.2 * (LEVELS.clamp_min(0.25) / 250).log()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The backbone is fresh, and so gives what it gets."""
    path = tmp_path_factory.mktemp("model") / "net.ckpt"
    return ldr2hdr.load(save_checkpoint(path, "response=prior", "algo.inner.lr=0.02"))


def expose(light: Tensor, ev: float, curve: Tensor) -> np.ndarray:
    """Levels ``(h, w, 3)`` by a log inverse response."""
    log_exposure = (light * 2.0**ev).clamp_min(1e-9).log().numpy()
    levels = np.interp(log_exposure, curve.numpy() + 1e-9 * np.arange(256), np.arange(256.0))
    return levels.round().astype(np.uint8).transpose(1, 2, 0)


def write(
    folder: Path,
    evs: Sequence[float] = (-2, 0, 2),
    *,
    curve: Tensor = STEEP,
    seed: int = 0,
    stated: Mapping[int, float] | None = None,
    changed: Mapping[int, np.ndarray] | None = None,
    time_s: float = 0.01,
) -> Path:
    """Write a bracket as PNG with its times."""
    folder.mkdir()
    light = texture(SIDE_PX, seed)
    rows = ["file,exposure_time_s"]
    for number, ev in enumerate(evs):
        picture = (changed or {}).get(number, expose(light, ev, curve))
        cv2.imwrite(str(folder / f"{number}.png"), picture[..., ::-1])
        rows.append(f"{number}.png,{time_s * 2 ** (stated or {}).get(number, ev)!r}")
    (folder / "exposures.csv").write_text("\n".join(rows), encoding="utf-8")
    return folder


def curve_of(adapted: AdaptedCamera) -> Tensor:
    assert adapted.profile.verification is not None
    return adapted.profile.verification.curve


def error(adapted: AdaptedCamera, curve: Tensor = STEEP) -> float:
    """Root of the mean square over levels, in stops."""
    difference = curve_of(adapted) - (curve - curve[250])[:, None] / math.log(2)
    return float(difference[13:240].square().mean().sqrt())


PRIOR_ERROR = float(
    (((PRIOR_CURVE - PRIOR_CURVE[250]) - (STEEP - STEEP[250])) / math.log(2))[13:240].square().mean().sqrt()
)


@pytest.mark.parametrize("evs", [(-1, 1), (-2, 0, 2), (-4, -3, -2, -1, 0, 1, 2)])
def test_exposures_teach_the_curve_two_of_them_too(tmp_path: Path, model: Model, evs: tuple[float, ...]) -> None:
    adapted = model.adapt(write(tmp_path / "b", evs))
    assert error(adapted) < (0.45 if len(evs) == 2 else 0.35) * PRIOR_ERROR
    profile = adapted.profile
    assert (profile.num_frames, profile.steps, profile.delta) == (len(evs), 0, {})
    assert profile.verification is not None
    assert profile.verification.kept_out == ("parts" if len(evs) == 2 else "exposures")
    assert profile.check is not None
    assert profile.check.stops[0] < 0.5 * profile.check.single_shot_stops


def test_the_network_uses_the_curve(tmp_path: Path, model: Model) -> None:
    adapted = model.adapt(write(tmp_path / "b"))
    light = texture(SIDE_PX, 5)
    photo = torch.from_numpy(expose(light, 0, STEEP)).movedim(-1, 0) / 255
    is_told = ((photo > 0.06) & (photo < 0.94)).all(dim=0)
    ratio = (adapted(photo) / light).log2()[:, is_told]
    before = (model(photo) / light).log2()[:, is_told]
    assert ratio.std() < 0.4 * before.std()


def test_each_scene_is_judged_by_the_others(tmp_path: Path, model: Model) -> None:
    folders = [write(tmp_path / name, (-2, 0, 2), seed=seed) for seed, name in enumerate("abc")]
    adapted = model.adapt(*folders)
    verification = adapted.profile.verification
    assert verification is not None
    assert verification.kept_out == "scenes"
    assert verification.error < 0.3 * verification.error_before
    assert [scene.name for scene in verification.scenes] == ["a", "b", "c"]
    assert verification.of_scenes.shape == (3, 256, 3)
    assert verification.spread is not None
    assert float(verification.spread.max()) < 0.2
    assert bool((verification.deviation >= verification.of_scenes.std(dim=0) - 1e-4).all())
    assert error(adapted) < error(model.adapt(folders[0])) + 0.02


def test_a_scene_is_told_of_once_for_each_strength(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not once for each other scene that it predicts: four strengths, and three times for what is stored."""
    told: list[object] = []
    decompose = torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: told.append(matrix) or decompose(matrix))
    model.adapt(*[write(tmp_path / str(seed), seed=seed) for seed in range(3)])
    assert len(told) == 7


def test_scenes_may_differ_in_size(tmp_path: Path, model: Model) -> None:
    one, other = write(tmp_path / "a"), write(tmp_path / "b", seed=1)
    for path in other.glob("*.png"):
        cv2.imwrite(str(path), cv2.rotate(cv2.imread(str(path)), cv2.ROTATE_90_CLOCKWISE)[:, :130])
    assert model.adapt(one, other).profile.num_frames == 6


@pytest.mark.parametrize("off", [-0.8, 0.8])
def test_a_wrong_time_is_found_and_left_out(tmp_path: Path, model: Model, off: float) -> None:
    evs = (-3, -2, -1, 0, 1, 2)
    adapted = model.adapt(write(tmp_path / "b", evs, stated={2: -1 + off}))
    assert adapted.profile.verification is not None
    (scene,) = adapted.profile.verification.scenes
    ((name, reason),) = scene.left_out
    assert (name, scene.frames) == ("2.png", ("0.png", "1.png", "3.png", "4.png", "5.png"))
    assert f"off by {off:+.1f} stops" in reason
    assert error(adapted) < 0.35 * PRIOR_ERROR


def test_a_black_frame_does_no_harm(tmp_path: Path, model: Model) -> None:
    black = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    adapted = model.adapt(write(tmp_path / "a", (-6, -2, 0, 2), changed={0: black}))
    without = model.adapt(write(tmp_path / "b", (-2, 0, 2)))
    torch.testing.assert_close(curve_of(adapted), curve_of(without), atol=1e-4, rtol=0)
    assert adapted.profile.verification is not None
    ((name, reason),) = adapted.profile.verification.scenes[0].left_out
    assert name == "0.png"
    assert "no level between black and white in common" in reason


def test_what_moves_does_little_harm(tmp_path: Path, model: Model) -> None:
    """A tenth of the picture shows something else in one exposure."""
    light = texture(SIDE_PX, 0)
    light[:, 40:90, 50:100] = texture(SIDE_PX, 9)[:, :50, :50]
    adapted = model.adapt(write(tmp_path / "b", changed={1: expose(light, 0, STEEP)}))
    still = model.adapt(write(tmp_path / "a"))
    assert float((curve_of(adapted) - curve_of(still))[13:240].abs().max()) < 0.15


def test_a_hand_that_shakes(tmp_path: Path, model: Model) -> None:
    light = texture(SIDE_PX, 0).roll((5, -7), dims=(1, 2))
    adapted = model.adapt(write(tmp_path / "b", changed={2: expose(light, 2, STEEP)}))
    assert error(adapted) < 0.4 * PRIOR_ERROR


def test_only_ratios_of_times_count(tmp_path: Path, model: Model) -> None:
    one, other = write(tmp_path / "a"), write(tmp_path / "b", time_s=0.07)
    torch.testing.assert_close(curve_of(model.adapt(one)), curve_of(model.adapt(other)), atol=1e-4, rtol=0)


def test_the_order_of_files_does_not_count(tmp_path: Path, model: Model) -> None:
    one, other = write(tmp_path / "a", (-2, 0, 2)), write(tmp_path / "b", (2, -2, 0))
    torch.testing.assert_close(curve_of(model.adapt(one)), curve_of(model.adapt(other)), atol=1e-5, rtol=0)


def test_a_camera_as_the_prior_expects_needs_no_profile(tmp_path: Path, model: Model) -> None:
    with pytest.raises(RefusedBracket, match=r"already as the model expects: each exposure .* single-shot is as good"):
        model.adapt(write(tmp_path / "b", (-2, -1, 0, 1, 2), curve=PRIOR_CURVE))


def test_a_profile_that_predicts_worse_is_refused(tmp_path: Path, model: Model) -> None:
    """Exposures that contradict each other: the times are those of another order."""
    with pytest.raises(RefusedBracket, match=r"a profile would not help: each exposure .* predicted to .*b$"):
        model.adapt(write(tmp_path / "b", (-2, 0, 2), curve=PRIOR_CURVE, stated={0: -3.2, 1: 0.6}))


def test_without_the_check_it_is_written(tmp_path: Path, model: Model) -> None:
    adapted = model.adapt(write(tmp_path / "b", curve=PRIOR_CURVE), is_checked=False)
    assert adapted.profile.check is None
    adapted.save(tmp_path / "a.ldr2hdr")
    verification = read_profile(tmp_path / "a.ldr2hdr").verification
    assert verification is not None
    assert verification.kept_out == "nothing"
    assert math.isnan(verification.error)


@pytest.mark.parametrize("stated", [{1: 0.2}, {1: 6.0}])
def test_exposures_too_near_or_too_far(tmp_path: Path, model: Model, stated: dict[int, float]) -> None:
    with pytest.raises(
        RefusedBracket, match=r"no two of the exposures are between 0\.3 and 4\.5 stops apart, got .*b$"
    ):
        model.adapt(write(tmp_path / "b", (0, 1), stated=stated))


@pytest.mark.parametrize("level", [0, 255])
def test_nothing_in_common(tmp_path: Path, model: Model, level: int) -> None:
    flat = np.full((SIDE_PX, SIDE_PX, 3), level, np.uint8)
    with pytest.raises(
        RefusedBracket, match=r"no two exposures show the same part of the scene .* closer together.*b$"
    ):
        model.adapt(write(tmp_path / "b", changed={0: flat, 2: flat}))


def test_inner_steps_are_taken_only_where_they_help(tmp_path: Path, model: Model) -> None:
    told: list[tuple[int, float, float]] = []
    folder = write(tmp_path / "b", (-2, -1, 0, 1, 2))
    adapted = model.adapt(folder, max_steps=2, on_step=lambda *step: told.append(step))
    assert [step for step, *_ in told] == [0, 1, 2]
    errors = [after for _, after, _ in told]
    assert errors[0] < told[0][2]
    assert adapted.profile.steps == errors.index(min(errors))
    assert (adapted.profile.delta == {}) == (adapted.profile.steps == 0)


def test_inner_steps_on_two_exposures_are_not_tried(
    tmp_path: Path, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    assert model.adapt(write(tmp_path / "b", (-1, 1)), max_steps=2).profile.steps == 0
    assert "no inner step is taken" in caplog.text


def test_statistics_that_give_no_curve_are_refused(tmp_path: Path, model: Model) -> None:
    adapted = model.adapt(write(tmp_path / "b"))
    huge = {name: torch.full_like(part, 1e308) for name, part in adapted.profile.statistics.items()}
    write_profile(tmp_path / "a.ldr2hdr", adapted.profile._replace(statistics=huge))
    with pytest.raises(ValueError, match=r"does not fit the model .* gives no curve: .*a\.ldr2hdr"):
        model.camera(tmp_path / "a.ldr2hdr")
