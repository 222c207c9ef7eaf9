"""Results survive the way to files and back; tables say what is undecided or undefined."""

import csv
import io
import json
import math

import pytest
from rich.console import Console

from ldr2hdr.evaluation.results import print_tables, read_results, write_results
from ldr2hdr.evaluation.scoring import Score, Summary
from ldr2hdr.metrics.bootstrap import Interval

CELLS = [(metric, region) for metric in ("pu_psnr", "log2_rmse") for region in ("all", "well_exposed", "clipped")]
UNDEFINED = Interval(math.nan, math.nan, math.nan, 0)


def rows(system, interval, *, clipped=UNDEFINED):
    return [Summary(system, "phone", "unseen", m, r, clipped if r == "clipped" else interval) for m, r in CELLS]


SUMMARIES = rows("net", Interval(20.25, 18.0, 22.0, 5))
DIFFERENCES = rows("net - gamma", Interval(3.0, 1.0, 5.0, 5), clipped=Interval(0.5, -1.0, 2.0, 5))
SCORES = [Score("net", "phone", "unseen", "phone-1", "roof", 0, "pu_psnr", "all", 20.25)]


@pytest.fixture
def written(tmp_path):
    write_results(tmp_path, scores=SCORES, summaries=SUMMARIES, differences=DIFFERENCES, about={"seed": 3})
    return tmp_path


def same(first, second):
    return repr(first) == repr(second)  # NaN is no equal of itself


def test_json_is_complete_and_standard(written):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    content = json.loads((written / "results.json").read_text(), parse_constant=refuse)
    assert content["seed"] == 3
    assert content["means"][0] == {
        "system": "net",
        "camera_family": "phone",
        "ranges": "unseen",
        "metric": "pu_psnr",
        "region": "all",
        "mean": 20.25,
        "low": 18.0,
        "high": 22.0,
        "num_scenes": 5,
    }
    assert content["means"][2]["mean"] is None
    assert len(content["differences"]) == 6


def test_csv_has_one_row_per_score(written):
    with (written / "scores.csv").open(newline="") as file:
        (record,) = csv.DictReader(file)
    assert tuple(record) == Score._fields
    assert (record["place"], float(record["value"])) == ("roof", 20.25)


def test_results_are_read_as_written(written):
    results = read_results(written / "results.json")
    assert same(results.summaries, SUMMARIES)
    assert same(results.differences, DIFFERENCES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: "no json", "is not JSON"),
        (lambda c: json.dumps([1]), "needs the keys means and differences"),
        (lambda c: json.dumps(c | {"means": 5}), "means must be a list"),
        (lambda c: json.dumps(c | {"means": [{"system": "net"}]}), "expected rows of"),
        (lambda c: json.dumps(c | {"means": [c["means"][0] | {"mean": "high"}]}), "expected text, numbers"),
        (lambda c: json.dumps(c | {"means": [], "differences": []}), "holds no result"),
        (lambda c: json.dumps(c | {"means": c["means"][1:]}), "lacks pu_psnr/all of 'net'"),
    ],
)
def test_what_is_no_result_is_refused(written, change, message):
    path = written / "results.json"
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(ValueError, match=message) as caught:
        read_results(path)
    assert str(path) in str(caught.value)


def test_missing_results_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json"):
        read_results(tmp_path / "nowhere.json")


def printed(*, summaries, differences):
    console = Console(file=io.StringIO(), width=240)
    print_tables(console, summaries=summaries, differences=differences)
    return console.file.getvalue()


def test_tables_show_means_intervals_and_what_is_undecided():
    text = printed(summaries=SUMMARIES, differences=DIFFERENCES)
    assert "camera=phone, parameters outside those seen in training: means over 5 places" in text
    assert "20.2 [18.0, 22.0]" in text
    assert "+3.0 [+1.0, +5.0]" in text
    assert "+0.5 [-1.0, +2.0] ?" in text
    assert "+3.0 [+1.0, +5.0] ?" not in text
    (line,) = [line for line in text.splitlines() if line.strip().startswith("net ") and "20.2 " in line]
    assert line.count("-") == 2, "an undefined number is a dash, in both clipped columns"


def test_each_camera_and_range_has_its_table():
    seen = [summary._replace(ranges="seen") for summary in SUMMARIES]
    text = printed(summaries=SUMMARIES + seen, differences=[])
    assert text.count("seen in training") == 2
    assert "paired" not in text
