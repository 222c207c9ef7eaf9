"""From files to files: a camera that no training met, one bracket, and photographs of another scene."""

from itertools import cycle, repeat
from pathlib import Path

import pytest
import torch
from torch import Tensor

import ldr2hdr
from ldr2hdr import RefusedBracket
from ldr2hdr.data.cameras.camera import Camera
from ldr2hdr.data.scenes.sources import PanoramaSource
from ldr2hdr.inference.profiles import fitting
from ldr2hdr.inference.profiles.brackets import Bracket, read_bracket
from ldr2hdr.inference.profiles.fitting import Check, check, error_stops, fit, prepare
from ldr2hdr.inference.profiles.model import Model
from ldr2hdr.inference.profiles.support import HeldOut, hold_out
from ldr2hdr.io import read_ldr
from ldr2hdr.tasks import Shots
from profiles.photographs import draw_camera, save_checkpoint, write_bracket, write_photo


@pytest.fixture(scope="module")
def model(ckpt: Path) -> Model:
    return ldr2hdr.load(ckpt)


@pytest.mark.parametrize("seed", [0, 3, 7, 15])
def test_a_bracket_makes_photographs_of_another_scene_better(
    tmp_path: Path, cache_dir: Path, model: Model, seed: int
) -> None:
    camera, generator = draw_camera(seed), torch.Generator().manual_seed(seed)
    source = PanoramaSource(cache_dir=cache_dir)
    taught, shown = (
        camera.expose(source.sample(place, crop_px=128, generator=generator)[None], generator)[0]
        for place in ("blender_city", "blender_sunrise")
    )
    phi = model.adapt(write_bracket(tmp_path / "bracket", taught, camera), max_steps=2)
    found = phi.profile.check
    assert found is not None
    assert found.held_out == "0.jpg"
    # of two exposures, the merge that the third is judged by is itself wrong by a tenth of a stop and more
    assert found.stops[phi.profile.steps] < 0.85 * found.single_shot_stops
    photo = write_photo(tmp_path / "photo.jpg", shown, camera)
    truth = Shots(read_ldr(photo)[None], shown[None])
    before, after = (error_stops(lambda ldr, use=use: use(ldr[0])[None], truth) for use in (model, phi))
    assert after < 0.75 * before
    torch.testing.assert_close(phi(photo), phi(read_ldr(photo)))


def test_theta_stays_and_steps_are_chosen_by_the_check(model: Model, bracket: Path) -> None:
    theta = {name: value.clone() for name, value in model.learner.state_dict().items()}
    told: list[tuple[int, float, float]] = []
    phi = model.adapt(bracket, max_steps=3, on_step=lambda *progress: told.append(progress))
    assert all(torch.equal(value, theta[name]) for name, value in model.learner.state_dict().items())
    found = phi.profile.check
    assert found is not None
    assert told == [(step, stops, found.single_shot_stops) for step, stops in enumerate(found.stops)]
    assert phi.profile.steps == found.best_steps
    assert found.stops[phi.profile.steps] == min(found.stops) <= found.stops[0]
    assert phi.profile.num_frames == 3


def test_the_fit_is_what_the_learner_adapts_to(model: Model, bracket: Path) -> None:
    prepared = prepare([read_bracket(bracket)])
    fitted = fit(model.learner, prepared, steps=3)
    support = fitting.label_bracket(prepared[0])
    expected = model.learner.adapt(support, steps=3)(support.ldr)
    phi = dict(model.learner.model.named_parameters())
    phi = {name: value + fitted.delta.get(name, 0) for name, value in phi.items()}
    with torch.no_grad():
        predicted = torch.func.functional_call(model.learner.model, phi, (support.ldr, fitted.statistics))
    torch.testing.assert_close(predicted, expected, rtol=1e-4, atol=1e-6)
    assert fitted.delta
    assert fitted.half_error_stops < 1e-3


def test_of_equal_steps_the_fewest_and_never_a_diverged_one() -> None:
    assert Check("a", 1.0, (0.5, 0.3, 0.3)).best_steps == 1
    assert Check("a", 1.0, (0.5, float("nan"))).best_steps == 0


def test_the_error_is_of_one_free_scale() -> None:
    exposure = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    judged = Shots(exposure.sqrt(), exposure)
    assert error_stops(lambda ldr: 3 * ldr**2, judged) == pytest.approx(0, abs=1e-5)
    tilted = error_stops(lambda ldr: torch.where(torch.arange(8) < 4, 2.0, 0.5) * ldr**2, judged)
    assert tilted == pytest.approx(1.0, abs=1e-4)


def test_of_two_brackets_the_last_is_judged(
    tmp_path: Path, model: Model, scenes: dict[str, Tensor], camera: Camera, bracket: Path
) -> None:
    second = write_bracket(tmp_path / "second", scenes["venice_sunset"], camera)
    shares: list[float] = []
    phi = model.adapt(bracket, second, max_steps=0, on_share=shares.append)
    assert phi.profile.num_frames == 6
    assert shares == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0])
    support = fitting.label_bracket(prepare([read_bracket(bracket)])[0])
    kept = hold_out(prepare([read_bracket(second)])[0], 0)
    expected = error_stops(model.learner.adapt(support, steps=0), kept.judged, is_known=kept.is_known)
    assert phi.profile.check is not None
    assert phi.profile.check.stops == (pytest.approx(expected, rel=1e-4),)


def test_the_darkest_is_kept_out_and_if_that_does_not_do_the_brightest(
    bracket: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare([read_bracket(bracket)])
    assert [kept.name for kept in fitting._hold_each_out(prepared[0])] == ["0.jpg", "2.jpg", "1.jpg"]
    errors = iter([0.2, 0.3, 0.2, 0.1])
    monkeypatch.setattr(fitting, "error_stops", lambda predictor, judged, **options: next(errors))
    assert check(model.learner, prepared, max_steps=0) == Check("2.jpg", 0.2, (0.1,))

    def refuse(bracket: Bracket, number: int) -> HeldOut:
        raise RefusedBracket(f"not {number}")

    monkeypatch.setattr(fitting, "hold_out", refuse)
    with pytest.raises(RefusedBracket, match="not 0"):
        check(model.learner, prepared, max_steps=0)


def test_of_two_brackets_one_with_three_exposures_is_judged(
    tmp_path: Path, model: Model, scenes: dict[str, Tensor], camera: Camera, bracket: Path
) -> None:
    pair = write_bracket(tmp_path / "pair", scenes["venice_sunset"], camera, evs=(0, 2))
    swapped, found = (model.adapt(*folders, max_steps=0).profile for folders in ((bracket, pair), (pair, bracket)))
    assert swapped.check is not None
    assert found.check is not None
    assert found.num_frames == 5
    assert swapped.check.held_out == found.check.held_out == "0.jpg"
    assert swapped.check.stops == pytest.approx(found.check.stops)
    with pytest.raises(RefusedBracket, match=r"a bracket needs three, got 2; add one, or go without .*pair"):
        model.adapt(pair, pair)


def test_brackets_of_two_cameras(
    tmp_path: Path, scenes: dict[str, Tensor], camera: Camera, bracket: Path, model: Model
) -> None:
    folder = write_bracket(tmp_path / "narrow", scenes["venice_sunset"][..., :100], camera)
    with pytest.raises(RefusedBracket, match=r"one camera and size, got Acme Nova 7 128 x 128 in .* 100 x 128 in"):
        model.adapt(bracket, folder)


def test_two_photographs_go_without_the_check_only(bracket: Path, model: Model) -> None:
    (bracket / "0.jpg").unlink()
    with pytest.raises(RefusedBracket, match=r"a bracket needs three, got 2; add one, .*--no-check"):
        model.adapt(bracket)
    phi = model.adapt(bracket, is_checked=False)
    assert (phi.profile.check, phi.profile.steps, phi.profile.num_frames) == (None, 0, 2)
    assert not phi.profile.delta


def test_adapting_that_does_not_help_is_refused(bracket: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = cycle([0.2, *repeat(0.3, 3)])
    monkeypatch.setattr(fitting, "error_stops", lambda predictor, judged, **options: next(errors))
    with pytest.raises(
        RefusedBracket, match=r"would not help: the error on 0.jpg, .* is 0.200 stops without and 0.300"
    ):
        check(model.learner, prepare([read_bracket(bracket)]), max_steps=2)


def test_a_diverged_step_ends_the_check(bracket: Path, tmp_path: Path) -> None:
    wild = ldr2hdr.load(save_checkpoint(tmp_path / "wild.ckpt", "algo.inner.lr=1e30", "algo.inner.clip=null"))
    prepared = prepare([read_bracket(bracket)])
    assert len(check(wild.learner, prepared, max_steps=9).stops) < 10
    with pytest.raises(RefusedBracket, match="leaves the finite range within 9 steps, at "):
        fit(wild.learner, prepared, steps=9)


def test_wrong_arguments(model: Model, bracket: Path) -> None:
    with pytest.raises(ValueError, match="a bracket or more and max_steps of at least 0, got 0 and 0"):
        model.adapt()
    with pytest.raises(ValueError, match="got 1 and -1"):
        model.adapt(bracket, max_steps=-1)


def test_the_package_names_its_doors() -> None:
    assert set(ldr2hdr.__all__) <= set(dir(ldr2hdr))
    assert all(getattr(ldr2hdr, name) for name in ldr2hdr.__all__)
    with pytest.raises(AttributeError, match="no attribute 'unload'"):
        _ = ldr2hdr.unload  # type: ignore[attr-defined]
