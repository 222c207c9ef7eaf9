"""The study of inner rates: what counts as diverged, and that an interrupted study goes on."""

import csv
import math
from pathlib import Path

import pytest
from load_scripts import load_scripts
from omegaconf import OmegaConf

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "experiments" / "inner_rate_stability"


@pytest.fixture(scope="module")
def scripts():
    """The modules of the study by name."""
    return load_scripts(FOLDER, ("results", "reporting", "study"))


def make_result(scripts, *, seed=0, method="plain MAML", diverged_tasks=0, loss=0.2):
    return scripts["results"].Result(method, 10.0, seed, 20, 0, diverged_tasks, loss, 0.4, 1.0)


def test_a_run_is_finite_if_no_task_of_it_diverged(scripts):
    results = [make_result(scripts), make_result(scripts, seed=1, diverged_tasks=1, loss=9.0)]
    (found,) = scripts["reporting"].group(results).values()
    assert (found.num_runs, found.num_finite, found.ratio) == (2, 1, pytest.approx(0.5))
    assert found.label() == "1/2 diverged"


def test_a_method_of_which_no_run_is_finite_has_no_ratio(scripts):
    (found,) = scripts["reporting"].group([make_result(scripts, diverged_tasks=3, loss=math.nan)]).values()
    assert math.isnan(found.ratio)
    assert "| plain MAML | 1/1 diverged |" in scripts["reporting"].as_markdown(
        [make_result(scripts, diverged_tasks=3, loss=math.nan)]
    )


def test_results_come_back_as_they_were_written(scripts, tmp_path):
    results = [make_result(scripts), make_result(scripts, seed=1)]
    for result in results:
        scripts["results"].append_result(tmp_path / "r.csv", result)
    assert scripts["results"].read_results(tmp_path / "r.csv") == results
    cells = [scripts["results"].Cell("plain MAML", 10.0, seed) for seed in (0, 1, 2)]
    assert scripts["results"].missing(cells, results) == cells[2:]


def test_a_toy_study_runs_and_goes_on(scripts, cache_dir, tmp_path, monkeypatch, capsys):
    study = OmegaConf.load(FOLDER / "study.yaml")
    sizes = ["backbone.widths=[4,8]", "task.crop_px=16", "algo.inner.steps=1", "trainer.max_steps=2"]
    study.common = [*study.common, *sizes, f"paths.cache_dir={cache_dir}", "trainer.log_every_n_steps=1"]
    study.methods = {"plain MAML": [], "half-size initial weights": []}
    study.rates, study.seeds, study.last_steps = [0.1], [0], 1
    OmegaConf.save(study, tmp_path / "study.yaml")
    monkeypatch.setattr(scripts["study"], "HERE", tmp_path)
    files = ["--results", str(tmp_path / "results.csv"), "--figure", str(tmp_path / "stability.png")]
    for num_runs in (2, 0):
        scripts["study"].main(files)
        assert capsys.readouterr().out.count("seed 0: loss") == num_runs
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert [row["steps"] for row in rows] == ["2", "2"]
    assert (tmp_path / "stability.png").stat().st_size > 1000
