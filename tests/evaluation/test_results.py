"""Results survive the way to files and back; tables say what is undecided or undefined."""

import csv
import io
import json
import math

import pytest
from rich.console import Console

from ldr2hdr.evaluation.results import print_tables, read_results, read_scores, write_results
from ldr2hdr.evaluation.scoring import Score, Summary
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.metrics.bootstrap import Interval

CELLS = [(metric, region) for metric in ("pu_psnr", "log2_rmse") for region in ("all", "well_exposed", "clipped")]
UNDEFINED = Interval(math.nan, math.nan, math.nan, 0)


NET, GAMMA, TUNED = Stage("net", "adapted", 3), Stage("gamma - 2.2"), Stage("net", "fine-tuned", 1, 0.25)


def rows(stage, interval, *, clipped=UNDEFINED, opponent=None):
    values = {region: clipped if region == "clipped" else interval for _, region in CELLS}
    return [Summary(stage, "phone", "unseen", metric, region, values[region], opponent) for metric, region in CELLS]


SUMMARIES = [
    row
    for stage, mean in ((NET, 20.25), (GAMMA, 12.5), (TUNED, 15.5))
    for row in rows(stage, Interval(mean, 12.0, 22.0, 5))
]
DIFFERENCES = rows(NET, Interval(3.0, 1.0, 5.0, 5), clipped=Interval(0.5, -1.0, 2.0, 5), opponent=GAMMA)
SCORES = [Score(stage, "phone", "unseen", "phone-1", "roof", 0, "pu_psnr", "all", 20.25) for stage in (NET, TUNED)]


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
        "verb": "adapted",
        "steps": 3,
        "lr": None,
        "camera_family": "phone",
        "ranges": "unseen",
        "metric": "pu_psnr",
        "region": "all",
        "mean": 20.25,
        "low": 12.0,
        "high": 22.0,
        "num_scenes": 5,
    }
    assert content["means"][2]["mean"] is None
    assert content["format"] == 2
    assert len(content["differences"]) == 6
    assert content["differences"][0]["opponent"] == {"system": "gamma - 2.2", "verb": "", "steps": None, "lr": None}


def test_csv_has_one_row_per_score(written):
    with (written / "scores.csv").open(newline="") as file:
        record, tuned = csv.DictReader(file)
    assert tuple(record) == (*Stage._fields, *Score._fields[1:])
    assert [tuned[key] for key in Stage._fields] == ["net", "fine-tuned", "1", "0.25"]
    assert (record["place"], float(record["value"])) == ("roof", 20.25)


def test_results_are_read_as_written(written):
    results = read_results(written / "results.json")
    assert same(results.summaries, SUMMARIES)
    assert same(results.differences, DIFFERENCES)
    assert list(read_scores(written / "scores.csv")) == SCORES


def test_files_of_the_first_format_are_read_as_if_they_had_the_columns(written):
    """They name a system and its stage by one text, and a difference by two of them."""
    content = json.loads((written / "results.json").read_text())
    del content["format"]
    for key, summaries in (("means", SUMMARIES), ("differences", DIFFERENCES)):
        for record, row in zip(content[key], summaries, strict=True):
            for column in ("verb", "steps", "lr", "opponent"):
                record.pop(column, None)
            record["system"] = row.name
    assert content["differences"][0]["system"] == "net, adapted, 3 steps - gamma - 2.2"
    (written / "results.json").write_text(json.dumps(content))
    results = read_results(written / "results.json")
    assert same(results.summaries, SUMMARIES)
    assert same(results.differences, DIFFERENCES)
    with (written / "scores.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("system", *Score._fields[1:]), *((str(s.stage), *s[1:]) for s in SCORES)])
    assert list(read_scores(written / "scores.csv")) == SCORES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: "no json", "is not JSON"),
        (lambda c: json.dumps([1]), "needs the keys means and differences"),
        (lambda c: json.dumps(c | {"means": 5}), "means must be a list"),
        (lambda c: json.dumps(c | {"means": [{"system": "net"}]}), "expected rows of"),
        (lambda c: json.dumps(c | {"means": [c["means"][0] | {"mean": "high"}]}), "expected text, numbers"),
        (lambda c: json.dumps(c | {"means": [c["means"][0] | {"steps": "many"}]}), "expected system, verb, steps"),
        (lambda c: json.dumps(c | {"format": 3}), "is of format 3"),
        (lambda c: json.dumps(c | {"means": [], "differences": []}), "holds no result"),
        (lambda c: json.dumps(c | {"means": c["means"][1:]}), "lacks pu_psnr/all of 'net, adapted, 3 steps'"),
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
    assert "20.2 [12.0, 22.0]" in text
    assert "+3.0 [+1.0, +5.0]" in text
    assert "+0.5 [-1.0, +2.0] ?" in text
    assert "+3.0 [+1.0, +5.0] ?" not in text
    (line,) = [
        line for line in text.splitlines() if line.strip().startswith("net, adapted, 3 steps ") and "20.2 " in line
    ]
    assert line.count("-") == 2, "an undefined number is a dash, in both clipped columns"


def test_each_camera_and_range_has_its_table():
    seen = [summary._replace(ranges="seen") for summary in SUMMARIES]
    text = printed(summaries=SUMMARIES + seen, differences=[])
    assert text.count("seen in training") == 2
    assert "paired" not in text
