"""The driver of the studies: its parts by closed forms, and one toy study from training to figure."""

import json
from pathlib import Path

import pytest
import torch
from load_scripts import load_scripts
from omegaconf import OmegaConf

from ldr2hdr.data.cameras.ranges import parse_range
from ldr2hdr.data.scenes.sources import PanoramaSource
from ldr2hdr.evaluation.scoring import Score
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.metrics.bootstrap import Interval

pytestmark = pytest.mark.slow

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
STUDIES = sorted(path.parent.name for path in EXPERIMENTS.glob("*/study.yaml") if path.parent.name[:5] != "inner")
NAMES = ("runs", "cameras", "judging", "pooling", "reporting", "drawing", "run")


@pytest.fixture(scope="module")
def driver():
    """The modules of the driver by name."""
    return load_scripts(EXPERIMENTS / "studies", NAMES)


def score(stage, place, value, *, picture=0, metric="pu_psnr", region="all", test_set="phone unseen"):
    stage = Stage(stage) if isinstance(stage, str) else stage
    return Score(stage, "phone", test_set, "camera", place, picture, metric, region, value)


def test_a_shell_lies_its_distance_outside_what_training_sees(driver):
    move = driver["cameras"].move_unseen
    node = {"a": {"seen": [2.0, 3.0], "unseen": [[3.1, 3.2]]}, "b": {"law": "loguniform", "seen": [1.0, 2.0]}, "c": 1.5}
    moved = move(node, distance=1.0, thickness=0.5)
    assert moved["a"]["unseen"] == [[0.5, 1.0], [4.0, 4.5]]
    assert [edge for side in moved["b"]["unseen"] for edge in side] == pytest.approx([2**-1.5, 0.5, 4.0, 4 * 2**0.5])
    assert moved["c"] == 1.5
    assert parse_range(moved["a"], "a").unseen == ((0.5, 1.0), (4.0, 4.5))


def test_a_shell_leaves_out_the_side_that_the_parameter_cannot_take(driver):
    move = driver["cameras"].move_unseen
    moved = move({"quality": {"law": "integer", "seen": [85, 98]}}, distance=0.1, thickness=0.2)
    assert moved["quality"]["unseen"] == [[81.0, 83.0]]  # of 13 levels; above, 100 would be reached
    with pytest.raises(ValueError, match=r"strength can be no 3 widths away from \[0.1, 0.5\]"):
        move({"strength": {"seen": [0.1, 0.5]}}, distance=3, thickness=0.2)


def test_an_override_takes_the_place_of_what_begins_with_it(driver):
    merged = driver["runs"].merge(
        ["backbone=unet", "backbone.widths=[4]", "task.shots=2"], ["backbone=resnet", "task=scene"]
    )
    assert merged == ["backbone=resnet", "task=scene"]
    merged = driver["runs"].merge(["backbone=unet", "backbone.widths=[4]"], ["backbone.widths=[8]"])
    assert merged == ["backbone=unet", "backbone.widths=[8]"]


def test_seeds_are_pooled_within_a_place(driver):
    by_seed = [[score("a", "x", 1.0), score("a", "y", 5.0)], [score("a", "x", 3.0), score("a", "y", 5.0)]]
    (row,) = driver["pooling"].pool(by_seed, [], seed=0, num_resamples=200).means
    assert row.summary.interval == Interval(3.5, 2.0, 5.0, 2)
    assert row.by_seed == (3.0, 4.0)


def test_a_difference_is_undecided_if_its_interval_holds_0_or_seeds_disagree(driver):
    def of_seed(at_x, at_y):
        values = {("a", "x"): at_x, ("a", "y"): at_y, ("b", "x"): 0.0, ("b", "y"): 0.0}
        return [score(system, place, value) for (system, place), value in values.items()]

    def undecided(*seeds):
        by_seed = [of_seed(*seed) for seed in seeds]
        (row,) = driver["pooling"].pool(by_seed, [("a", "b"), ("a", "c")], seed=0, num_resamples=200).differences
        return row.is_undecided

    assert not undecided((1.0, 2.0), (2.0, 2.0))
    assert undecided((1.0, -2.0), (1.0, -2.0))  # the interval holds 0
    assert undecided((9.0, 9.0), (-1.0, -1.0))  # it does not, but a seed disagrees


def test_the_best_rate_of_each_number_of_steps_is_kept(driver):
    values = {(1, 0.1): 1.0, (1, 0.3): 2.0, (3, 0.1): 4.0, (3, 0.3): 3.0}
    rows = [score(Stage("s", "fine-tuned", *key), "x", value) for key, value in values.items()] + [score("b", "x", 0.0)]
    (kept,) = driver["pooling"].keep_best_rates([rows])
    assert [(str(row.stage), row.value) for row in kept] == [
        ("s, fine-tuned, 1 step", 2.0), ("s, fine-tuned, 3 steps", 4.0), ("b", 0.0)
    ]  # fmt: skip


def test_held_out_places_are_those_of_validation_and_test(driver, cache_dir):
    source = PanoramaSource(cache_dir=cache_dir)
    held_out = driver["judging"].HeldOutPlaces(source)
    assert set(held_out.places("test")) == {*source.places("val"), *source.places("test")}
    assert not set(held_out.places("test")) & set(held_out.places("train"))
    assert held_out.places("val") == ()


def test_fewer_examples_keep_the_query(driver, cache_dir):
    common = [f"paths.cache_dir={cache_dir}", "task.crop_px=16", "task.shots=3", "task.queries=1"]
    TestSet, make = driver["judging"].TestSet, driver["judging"].make_tasks
    few, all_of_them = (make(TestSet("t", "phone", num_tasks=1, shots=n), common=common, seed=0)[0] for n in (1, None))
    assert torch.equal(few.query.ldr, all_of_them.query.ldr)
    assert torch.equal(few.support.ldr, all_of_them.support.ldr[:1])
    assert few.support_places == all_of_them.support_places[:1]


@pytest.mark.parametrize("name", STUDIES)
def test_the_settings_of_every_study_agree_with_each_other(driver, name, tmp_path):
    study = driver["run"].read_study(EXPERIMENTS / name)
    judge = driver["run"].make_judge(study, tmp_path)
    runs = list(driver["run"].runs_of(study, tmp_path))
    assert len({run.folder for run in runs}) == len(runs)
    starts = (*study.runs, *(f"untrained {label}" for label in study.untrained), *driver["judging"].BASELINES)
    shown = [row for panel in study.figure.panels for row in panel.get("rows", panel.get("series")).values()]
    for system in (*(row.system for row in shown), *(system for pair in study.compare for system in pair)):
        assert system.startswith(starts), system
    sets = [row.get("set") or panel.set for panel in study.figure.panels
            for row in panel.get("rows", panel.get("series")).values()]  # fmt: skip
    assert {text for text in sets if "{x}" not in text} <= judge.test_sets.keys()


def test_a_whole_study_runs_and_goes_on(driver, cache_dir, tmp_path, capsys):
    tiny = [f"paths.cache_dir={cache_dir}", "backbone.widths=[4,8]", "task.crop_px=16", "algo.inner.steps=1"]
    short = ["data.num_train_tasks=2", "data.tasks_per_batch=2", "trainer.max_steps=1", "trainer.log_every_n_steps=1"]
    study = OmegaConf.merge(
        driver["run"].read_study(EXPERIMENTS / "response_stage"),
        {
            "seeds": [0],
            "train": [*tiny, *short],
            "test": [f"paths.cache_dir={cache_dir}", "task.crop_px=16"],
            "test_sets": [{"name": "phone unseen", "camera": "phone", "num_tasks": 2}],
            "reported": {"steps": [0, 1], "fine_tune_steps": [1], "fine_tune_lrs": [0.1]},
            "compare": [["A, adapted, 1 step", "response fit"]],
            "figure": {"panels": [{"kind": "dots", "title": "t", "set": "phone unseen", "rows": {
                "A {parameters} {ms:.0f}": {"run": "A", "system": "A, adapted, 1 step"}}}]},
        },
    )  # fmt: skip
    study.runs, study.untrained = {"A": ["response=none"]}, {"ridge": ["response=ridge"]}
    for is_first in (True, False):
        assert [driver["runs"].train(run) for run in driver["run"].runs_of(study, tmp_path)] == [is_first]
        driver["run"].judge(study, tmp_path, tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    systems = {str(Stage(*(row[key] for key in Stage._fields))) for row in results["means"]}
    assert systems == {*driver["judging"].BASELINES, "untrained ridge, adapted, 0 steps", "A, single-shot",
                       "A, adapted, 0 steps", "A, adapted, 1 step"}  # fmt: skip
    assert {(row["system"], row["opponent"]["system"]) for row in results["differences"]} == {("A", "response fit")}
    assert (tmp_path / "figure.png").stat().st_size > 1000
    assert "*A, adapted, 1 step - response fit*" in capsys.readouterr().out
