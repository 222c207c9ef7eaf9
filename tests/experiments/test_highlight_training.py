"""The training of highlights: render tiny panoramas, train three steps, evaluate; and the parts that could be wrong."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from load_scripts import load_scripts

import ldr2hdr.data.scenes.panoramas
from ldr2hdr.backbones.highlights.distribution import Excess
from ldr2hdr.build import load_learner
from ldr2hdr.inference.weights import SHIPPED
from ldr2hdr.io import write_image

FOLDER = Path(__file__).parents[2] / "experiments" / "highlights"
MODULES = (
    *("places", "views", "render", "curves", "recipe", "shooting", "judging", "train", "evaluate", "ablation"),
    *("rival", "virtual"),
)
EMBEDDED = Path(ldr2hdr.data.scenes.panoramas.__file__).parent


@pytest.fixture(scope="module")
def study():
    return load_scripts(FOLDER, MODULES)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Response curves: gammas."""
    path = tmp_path_factory.mktemp("dorf") / "curves.npz"
    gammas = np.linspace(1.5, 3.0, 60)[:, None]
    irradiance = np.tile(np.linspace(0, 1, 1024), (60, 1))
    np.savez(path, irradiance=irradiance, brightness=irradiance ** (1 / gammas))
    return path


@pytest.fixture(scope="module")
def cache(study, tmp_path_factory):
    """Views of a place to train on and of one that is held out: a grey world under a few lamps."""
    folder = tmp_path_factory.mktemp("panoramas")
    for seed, name in enumerate(("here", "there")):
        light = torch.rand(3, 64, 128, generator=torch.Generator().manual_seed(seed)) * 0.4 + 0.1
        light[:, 8:40, ::16] = 30.0
        write_image(folder / f"{name}.exr", light)
    rows = "file,place,split,weight\nhere.exr,here,train,1\nthere.exr,there,val,1\n"
    (folder / "places.csv").write_text(rows, encoding="utf-8")
    render(study, folder, folder / "cache")
    return folder / "cache"


def render(study, folder, out, *others):
    arguments = ["--panoramas", folder, "--places", folder / "places.csv", "--out", out, *others]
    numbers = ["--train", 4, "--val", 4, "--test", 0]
    study["render"].main([str(argument) for argument in arguments + numbers])


def run(study, name, cache, database, *others):
    arguments = ["--views", cache, "--dorf", database, "--device", "cpu", *others]
    study[name].main([str(argument) for argument in arguments])


def small(out, steps):
    return ["--out", out, "--steps", steps, "--batch", 2, "--widths", "4,8", "--work-px", 32]


def test_the_list_of_places_agrees_with_that_of_the_package(study):
    listed = {Path(row.file).name: (row.place, row.split) for row in study["places"].read_places()}
    with (EMBEDDED / "manifest.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            assert listed[row["source_file"]] == (row["place"], row["split"])


def test_a_place_is_in_one_split(study, tmp_path):
    path = tmp_path / "places.csv"
    path.write_text("file,place,split,weight\na.exr,here,train,1\nb.exr,here,val,1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="place 'here' is in two splits"):
        study["places"].read_places(path)
    path.write_text("file,place,split,weight\na.exr,here,training,1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="expected a split"):
        study["places"].read_places(path)


def test_rendering_that_was_interrupted_ends_as_any_other(study, cache, tmp_path):
    views = study["views"].Views(cache, "train", "landscape")
    assert len(views.done) == 4
    for name in ("train-landscape-stops.npy", "train-landscape-censored.npy", "settings.json"):
        (tmp_path / name).write_bytes((cache / name).read_bytes())
    records = np.array(views.records)
    records[2] = np.zeros((), records.dtype)
    np.save(tmp_path / "train-landscape-records.npy", records)
    render(study, cache.parent, tmp_path)
    again = study["views"].Views(tmp_path, "train", "landscape")
    assert np.array_equal(again.records, views.records)
    assert all(np.array_equal(part, other) for part, other in zip(again[2], views[2], strict=True))
    with pytest.raises(SystemExit, match="have another seed"):
        render(study, cache.parent, tmp_path, "--seed", 1)
    with pytest.raises(ValueError, match="begun with 4 landscape views"):
        study["views"].Views.create(cache, "train", "landscape", number=5)
    with pytest.raises(FileNotFoundError, match=r"render\.py"):
        study["views"].Views(cache, "test", "landscape")


def test_a_view_clips_its_share(study, cache):
    views = study["views"].Views(cache, "train", "landscape")
    for index in views.done.tolist():
        clipped = (views[index].stops.max(axis=0) > 0).mean()
        assert clipped == pytest.approx(float(views.records[index]["share"]), abs=0.01)


def test_what_a_panorama_clips_is_censored(study, cache):
    """Its lamps are all of one brightness: where one is seen whole, the light is at its panorama's ceiling."""
    row = study["places"].Panorama("here.exr", "here", "train", 1.0)
    source = study["render"].open_source(row, cache.parent, cache_dir=cache / "decoded")
    assert source.ceiling.tolist() == pytest.approx([24.0] * 3)  # 0.8 of 30
    views = study["views"].Views(cache, "train", "landscape")
    scenes = [views[index] for index in views.done.tolist()]
    found = [scene for scene in scenes if scene.is_censored.any()]
    assert found
    for stops, is_censored in found:
        assert is_censored.mean() < 0.2
        assert stops[is_censored].mean() > stops[~is_censored].mean() + 2


def test_a_photograph_of_known_light_is_believed_right_where_it_is_exposed(study, database):
    """Behind the true curve, linear and truth differ by half a level's worth of noise and rounding."""
    ramp = np.linspace(-5, 3, 256, dtype=np.float32)
    stops = np.broadcast_to(ramp, (3, 192, 256))
    scene = study["views"].Scene(stops, np.zeros((3, 192, 256), bool))
    shot = study["shooting"].shoot_held_out(
        scene,
        curves=study["curves"].read_curves(database),
        kind="true",
        mixed=0.0,
        generator=np.random.default_rng(3),
    )
    levels = torch.round(shot.ldr * 255)
    is_exposed = (levels > 30) & (levels < 240)
    assert (torch.log2(shot.linear) - shot.stops)[is_exposed].abs().mean().item() < 0.05
    assert shot.stops.max().item() == pytest.approx(3, abs=0.1)
    assert (levels[shot.stops > 0.3] >= 245).all()


def test_the_loss_is_the_mean_likelihood_over_clipped_samples(study):
    """One picture whose samples all clip, at the mode of a distribution of scales 1 and 1: ln 2 nats each."""
    one, clipped = torch.ones(1, 3, 8, 8), torch.ones(1, 3, 8, 8, dtype=torch.bool)
    recipe, excess = study["recipe"].Recipe(), Excess(one, one, one)
    loss = recipe.loss(excess, one, ~clipped, is_clipped=clipped, mask=0.8 * one)
    assert loss.item() == pytest.approx(math.log(2))
    bound = recipe.loss(excess, one, clipped, is_clipped=clipped, mask=0.8 * one)
    assert bound.item() == pytest.approx(math.log(2))  # half is above the mode
    far = recipe.loss(excess, 3 * one, clipped, is_clipped=clipped, mask=0.8 * one)
    assert far.item() == pytest.approx(math.log(2) + 2)


def test_the_rate_rises_stays_and_falls(study):
    rates = [study["recipe"].Recipe(steps=1000).learning_rate(step) for step in (0, 49, 99, 300, 650, 1000)]
    assert rates == pytest.approx([2e-5, 1e-3, 2e-3, 2e-3, 0.51 * 2e-3, 0.02 * 2e-3])


def test_laws_shape_what_the_network_answers(study):
    picture = torch.ones(1, 3, 32, 32)
    for law in ("two-sided", "symmetric", "fixed"):
        backbone = study["recipe"].Recipe(widths="4,8", work_px=32, law=law).build()
        _, up, down = backbone.distribution(picture, picture)
        assert (torch.equal(up, down), bool((up == 1).all())) == (law != "two-sided", law == "fixed")


def test_training_that_was_interrupted_ends_as_any_other(study, cache, database, tmp_path, monkeypatch, capsys):
    run(study, "train", cache, database, *small(tmp_path / "whole", 3))
    monkeypatch.setattr(study["train"], "_SAVE_EVERY_S", 0.0)
    take_step = study["train"].take_step

    def stop_at_2(running, batch, recipe, **loss):
        if running.step == 2:
            raise KeyboardInterrupt
        take_step(running, batch, recipe, **loss)

    monkeypatch.setattr(study["train"], "take_step", stop_at_2)
    with pytest.raises(KeyboardInterrupt):
        run(study, "train", cache, database, *small(tmp_path / "halves", 3))
    monkeypatch.setattr(study["train"], "take_step", take_step)
    run(study, "train", cache, database, *small(tmp_path / "halves", 3))
    whole, halves = (
        json.loads((tmp_path / name / "curve.json").read_text(encoding="utf-8")) for name in ("whole", "halves")
    )
    assert len(whole["losses"]) == 3
    assert whole["losses"] == halves["losses"]
    assert whole["curve"][-1]["held_out"] == halves["curve"][-1]["held_out"]
    with pytest.raises(ValueError, match="choose another --out"):
        run(study, "train", cache, database, *small(tmp_path / "whole", 4))
    weights = tmp_path / "whole" / "weights.safetensors"
    run(study, "train", cache, database, *small(tmp_path / "further", 1), "--start", weights)
    run(study, "evaluate", cache, database, weights, "--number", 3, "--json", tmp_path / "scores.json")
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert set(scores) == {"fitted", "true", "charts"}
    white, twice = (scores["true"][f"{name} bias"]["mean"] for name in ("white", "twice white"))
    assert twice == pytest.approx(white + 1, abs=1e-4)
    assert "| twice white |" in capsys.readouterr().out


def test_the_network_that_ships_is_read(study):
    backbone, recipe = study["evaluate"].read_network(SHIPPED)
    shipped = load_learner(SHIPPED)[0].model.backbone.net.state_dict()
    assert all(torch.equal(value, shipped[name]) for name, value in backbone.net.state_dict().items())
    assert (recipe.work_px, recipe.widths) == (128, "16,32,48,64,96")


def test_a_rival_is_trained_by_the_same_loop(study, cache, database, tmp_path):
    small = ["--steps", 2, "--batch", 2, "--width", 0.03, "--work-px", 64, "--applied-px", 64]
    run(study, "rival", cache, database, "--out", tmp_path, *small)
    curve = json.loads((tmp_path / "curve.json").read_text(encoding="utf-8"))
    assert len(curve["losses"]) == 2
    rival = study["rival"].read_rival(tmp_path / "weights.safetensors")
    assert (rival.applied_px, rival.net.out.in_channels) == (64, 2)


@pytest.mark.parametrize("applied_px", [0, 32])
def test_a_rival_leaves_what_is_not_clipped(study, applied_px):
    """And lifts what is by what its network says: here by one number of stops, at either size."""
    rival = study["rival"].RivalRecipe(width=0.03, work_px=32, applied_px=applied_px).build()
    torch.nn.init.constant_(rival.net.fuse_input.bias, math.log(2))
    torch.nn.init.zeros_(rival.net.out.bias)
    ldr = torch.full((1, 3, 64, 64), 0.5)
    ldr[..., :32] = 1.0
    linear = torch.where(ldr == 1, 1.0, 0.2)
    answer = rival(ldr, linear)
    assert torch.equal(answer[..., 32:], linear[..., 32:])
    assert torch.allclose(answer[..., :30], torch.tensor(2.0), atol=0.01)
    assert torch.equal(answer.find_excess().location, torch.log2(answer))


def test_whole_pictures_are_scored_whatever_their_scale(study, cache, database, tmp_path, capsys):
    """White and what other programs answer: the same at 5 times the scale, and twice white a stop above it."""
    run_virtual = ["--beliefs", "true", "--number", 3]
    arguments = ["--views", cache, "--dorf", database, *run_virtual]
    study["virtual"].main([str(argument) for argument in [*arguments, "--write", tmp_path / "photographs"]])
    curves = study["curves"].read_curves(database)
    answers = tmp_path / "answers"
    answers.mkdir()
    for name, _, shot in study["virtual"].take(cache, 3, split="val", curves=curves, belief="true"):
        assert np.array_equal(np.load(tmp_path / "photographs" / name), shot.ldr.numpy())
        np.save(answers / name, 5 * shot.linear.numpy())
    others = ["--others", f"times five={answers}", "--json", tmp_path / "scores.json"]
    study["virtual"].main([str(argument) for argument in [*arguments, *others]])
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert [score["place"] for score in scores] == ["there"] * 3
    for values in (score["values"] for score in scores):
        for measure in ("PU21-PSNR", "error", "bias", "energy"):
            assert values[f"times five {measure}"] == pytest.approx(values[f"white {measure}"], abs=1e-3, nan_ok=True)
        assert values["twice white bias"] == pytest.approx(values["white bias"] + 1, abs=1e-3, nan_ok=True)
    assert "| twice white |" in capsys.readouterr().out


def test_an_ablation_writes_into_a_readme(study, cache, database, tmp_path, monkeypatch):
    tiny = {"widths": "4,8", "work_px": 32, "batch": 2}
    monkeypatch.setattr(
        study["ablation"], "VARIANTS", {"first": tiny, "half": tiny | {"places": 0.5, "max_glare": 0.5}}
    )
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- ablation -->\nold\n<!-- end -->\nafter\n", encoding="utf-8")
    run(study, "ablation", cache, database, "--out", tmp_path, "--readme", readme, "--steps", 2, "--number", 3)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- ablation -->\n2 steps each, 3 photographs")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "old" not in text
    assert "| half |" in text
    assert (tmp_path / "learning.png").stat().st_size > 1000
    readme.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match="expected the marks"):
        study["ablation"].write_between_marks(readme, "text")
