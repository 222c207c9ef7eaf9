"""Folders as they are found: names, curves, and what is wrong with them."""

import math

import pytest

from ldr2hdr.evaluation.report.lines import place_means, split_tables
from ldr2hdr.evaluation.report.runs import read_runs
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.training.sweeps.curves import read_curves
from report.made import PLACES


def test_both_kinds_are_told_apart(evaluation, training):
    runs = read_runs([training, evaluation, training])
    assert [run.name for run in runs.evaluations] == [evaluation.name]
    assert [run.name for run in runs.trainings] == ["maml"]
    assert runs.evaluations[0].shots == 2
    assert len(runs.evaluations[0].samples) == 4
    assert runs.trainings[0].curves["val/pu_psnr@5"] == [(9, 25.5)]
    assert [point.step for point in runs.trainings[0].curves["train/loss"]] == list(range(10))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "epoch,loss\n0,1\n", "no column step"),
        ("a.csv", "step,loss\n0,one\n", "line 2: expected numbers"),
    ],
)
def test_bad_curves_name_the_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_curves(tmp_path / name)


def test_folders_without_a_run_are_refused(tmp_path, training):
    with pytest.raises(ValueError, match=r"neither results.json .* nor csv/metrics.csv"):
        read_runs([tmp_path])
    with pytest.raises(FileNotFoundError, match="no folder at"):
        read_runs([tmp_path / "absent"])
    (tmp_path / "metrics.csv").write_text("step,train/loss\n0,1\n")
    (tmp_path / "manifest.json").write_text("[1]")
    with pytest.raises(ValueError, match="is not a manifest"):
        read_runs([tmp_path])


def test_place_means_are_means_of_the_scores(evaluation):
    (run,) = read_runs([evaluation]).evaluations
    for key, table in split_tables(*run.results).items():
        means = place_means(run.judged, key, metric="pu_psnr", region="all")
        fit, net = Stage("response fit"), Stage("net", "adapted", 1)
        assert list(means[fit]) == list(PLACES)
        mean = math.fsum(means[fit].values()) / len(PLACES)
        assert mean == pytest.approx(table.interval(fit, "pu_psnr", "all").mean)
        assert table.main == net
        assert table.compared[:2] == [net, fit]
