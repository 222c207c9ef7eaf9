"""The study of end-to-end optics: its parts, one small run, and that an interrupted run ends as any other."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from ldr2hdr.data.scenes.sources import PanoramaSource
from ldr2hdr.evaluation.scoring import Summary
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.metrics.bootstrap import Interval

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "experiments" / "deep_optics"
NAMES = ("views", "learned", "systems", "training", "judging", "drawing", "train")


@pytest.fixture(scope="module")
def source(cache_dir):
    return PanoramaSource(cache_dir=cache_dir)


@pytest.fixture
def small(study):
    """A design of a few features and a PSF of 15 pixels, and a budget of 4 steps."""
    design = study["systems"].Design(psf_px=15, widths=(4, 8), samples=24)
    return design, study["training"].Budget(steps=4, batch=2, save_every=2)


def test_the_views_kept_are_those_that_lose_most_light(study, source):
    look = study["views"].look
    few, all_views = (look(source, ["lebombo"], crop_px=16, seed=3, per_place=n, of=12) for n in (4, 12))
    lost = study["views"].lost_light(all_views.exposure)
    assert sorted(study["views"].lost_light(few.exposure).tolist()) == sorted(lost.topk(4).values.tolist())
    assert few.places == ("lebombo",) * 4
    assert all_views.exposure.max().item() <= 64
    above = (all_views.exposure > 1).float().mean(dim=(1, 2, 3))
    assert 0.005 < above.min().item() <= above.max().item() < 0.025  # 1 to 2 %, of 768 samples


def test_a_batch_shows_all_symmetries_of_its_views(study):
    corner = torch.zeros(1, 3, 4, 4)
    corner[..., 0, 1] = 1
    views = study["views"].Views(corner, ("a",))
    batch = study["views"].draw_batch(views, size=200, generator=study["views"].seeded("x"))
    assert len({tuple(picture[0].flatten().tolist()) for picture in batch}) == 8


def test_a_camera_takes_8_bit_pictures_and_lets_gradients_through_the_rounding(study, small):
    camera = study["systems"].build_camera("free", small[0], seed=0)
    scene = torch.full((1, 3, 16, 16), 0.2, requires_grad=True)
    picture = camera.shoot(scene, study["views"].seeded("noise"))
    torch.testing.assert_close(picture * 255, (picture * 255).round(), rtol=0, atol=1e-4)
    picture.sum().backward()
    assert scene.grad[..., 8, 8].min().item() > 0


def test_all_arms_start_with_the_same_decoder(study, small):
    build = study["systems"].build_camera
    cameras = [build(arm, small[0], seed=0) for arm in study["systems"].ARMS]
    first = cameras[0].decoder.state_dict()
    assert all(torch.equal(first[key], value) for c in cameras for key, value in c.decoder.state_dict().items())
    learned = [bool(list(camera.encoder.parameters())) for camera in cameras]
    assert learned == [False, False, True, False, True]


def test_the_papers_loss_is_the_distance_of_roots(study):
    pred, target = torch.full((1, 3, 2, 2), 4 - 1 / 255), torch.full((1, 3, 2, 2), 1 - 1 / 255)
    assert study["systems"].root_l2(pred, target).tolist() == pytest.approx([1.0])


def test_the_loss_is_the_papers_over_the_batch_and_a_share_of_logarithms(study):
    pred = torch.stack([torch.full((3, 2, 2), level - 1 / 255) for level in (4.0, 9.0)])
    target = torch.full((2, 3, 2, 2), 1 - 1 / 255)
    budget = study["training"].Budget(steps=10, log_weights=(0.0, 0.5))
    first, second = (study["training"].loss_of(pred, target, budget=budget, step=step).item() for step in (4, 5))
    assert first == pytest.approx(((1 + 4) / 2) ** 0.5)
    logs = (math.log(4) + math.log(9)) / 2 - 0.01  # less the Charbonnier's rounding of its kink
    assert second - first == pytest.approx(0.5 * logs, rel=1e-3)


def fit(study, small, views, path, arm="height", on_step=lambda done, loss: None):
    design, budget = small
    camera = study["systems"].build_camera(arm, design, seed=0)
    settings = study["training"].settings_of(arm, design, budget, seed=0, crop_px=16)
    trained = study["training"].train(
        camera, views, budget=budget, seed=0, path=path, settings=settings, on_step=on_step
    )
    return camera, trained


def test_an_interrupted_run_ends_as_one_that_was_not(study, small, source, tmp_path):
    views = study["views"].look(source, ["lebombo"], crop_px=16, seed=3, per_place=4, of=4)

    def interrupt(done, loss):
        if done == 3:
            raise KeyboardInterrupt

    whole, _ = fit(study, small, views, tmp_path / "whole.pt")
    with pytest.raises(KeyboardInterrupt):
        fit(study, small, views, tmp_path / "cut.pt", on_step=interrupt)
    seen = []
    cut, _ = fit(study, small, views, tmp_path / "cut.pt", on_step=lambda done, loss: seen.append(done))
    assert seen == [3, 4]  # from the checkpoint of step 2
    for key, value in whole.state_dict().items():
        assert torch.equal(value, cut.state_dict()[key]), key
    fresh = study["systems"].build_camera("height", small[0], seed=0)
    assert not torch.equal(fresh.encoder.psf.angle, whole.encoder.psf.angle)
    _, again = fit(study, small, views, tmp_path / "whole.pt")
    assert again.last_loss != again.last_loss  # nothing was left to do


def test_optics_stand_still_once_they_are_made(study, small, source, tmp_path):
    views = study["views"].look(source, ["lebombo"], crop_px=16, seed=3, per_place=4, of=4)
    path, halfway = tmp_path / "a.pt", {}

    def keep(done, loss):
        if done == 3:  # the checkpoint of step 2 is there
            halfway.update(torch.load(path, weights_only=True)["camera"])

    camera, _ = fit(study, small, views, path, on_step=keep)
    is_same = {key: torch.equal(value, halfway[key]) for key, value in camera.state_dict().items()}
    assert is_same["encoder.psf.angle"]
    assert not is_same["decoder.head.conv.weight"]


def test_a_checkpoint_of_other_settings_is_refused(study, small, source, tmp_path):
    views = study["views"].look(source, ["lebombo"], crop_px=16, seed=3, per_place=2, of=2)
    fit(study, small, views, tmp_path / "a.pt")
    other = (small[0], dataclasses.replace(small[1], lr=1e-3))
    with pytest.raises(ValueError, match=r"a\.pt was trained with.*choose another --out"):
        fit(study, other, views, tmp_path / "a.pt")


def test_the_table_marks_differences_that_may_be_nothing(study):
    columns = study["judging"].COLUMNS
    means = [Summary(Stage("a"), "deep_optics", "lamps", m, r, Interval(20.04, 19.0, 21.0, 5)) for m, r, _ in columns]
    pairs = [row._replace(interval=Interval(-0.2, -0.5, 0.1, 5), opponent=Stage("b")) for row in means]
    lines = study["judging"].as_markdown(means, pairs, kind="lamps").splitlines()
    assert lines[2].startswith("| a | 20.0 [19.0, 21.0] |")
    assert lines[3].startswith("| *a - b* | -0.2 [-0.5, +0.1] ? |")
    assert len(study["judging"].as_markdown(means, pairs, kind="ordinary").splitlines()) == 2


def test_the_whole_study_runs(study, cache_dir, tmp_path, capsys):
    sizes = ["--crop-px", "32", "--psf-px", "15", "--widths", "4", "8", "--views", "2", "--test-views", "1"]
    study["train"].main(["--steps", "2", "--out", str(tmp_path), "--cache", str(cache_dir), *sizes])
    names = {*study["systems"].NAMES.values()}
    results = json.loads((tmp_path / "results.json").read_text())
    assert {row["system"] for row in results["means"]} == names | {"LDR input", "inverse gamma 2.2"}
    assert {row["num_scenes"] for row in results["means"] if row["region"] == "all"} == {5}
    assert results["cpu_s"].keys() == names
    assert all(
        (tmp_path / name).stat().st_size > 1000 for name in ("optics.png", "panel.png", "tables.md", "scores.csv")
    )
    assert "free PSF, end to end - no optics" in capsys.readouterr().out
