"""Two evaluations whose differences are known, and all that keeps two evaluations from being compared."""

import csv
import io
import json
import math

import pytest
import torch
from rich.console import Console

from ldr2hdr.evaluation.comparison import compare_results, print_comparison
from ldr2hdr.evaluation.comparison.support import Support, read_support
from ldr2hdr.evaluation.results import SCORE_COLUMNS, write_results
from ldr2hdr.evaluation.scoring import Score, compare
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.metrics.suite import FAST

PLACES = ("attic", "beach", "cave", "dune", "field", "roof")
WITNESS = "LDR input"


def scores(system, values, *, metric="log2_rmse", region="all", ranges="seen", places=PLACES):
    """One picture of each place by one camera."""
    return [
        Score(Stage(system), "phone", ranges, f"phone-{place}", place, 0, metric, region, value)
        for place, value in zip(places, values, strict=True)
    ]


def witness(places=PLACES, **changes):
    return [score for ranges in ("seen", "unseen") for score in scores(
        WITNESS, [float(len(place)) for place in places], ranges=ranges, places=places, **changes
    )]  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Write a folder as an evaluation does."""

    def write_folder(name, rows, *, protocol=None, **about):
        folder = tmp_path / name
        folder.mkdir()
        about = {"protocol": FAST.protocol() if protocol is None else protocol, **about}
        write_results(folder, scores=rows, summaries=[], differences=[], about=about)
        return folder

    return write_folder


def test_a_constant_difference_is_found_in_each_table(write):
    base = [1.0, 2.0, 0.5, 3.0, 1.5, 0.1]
    shifted = [value - 0.25 for value in base]
    a = write("a", witness() + scores("net", shifted) + scores("net", base, ranges="unseen"))
    b = write("b", witness() + scores("net", base) + scores("net", shifted, ranges="unseen"))
    first, second = compare_results(a, b).differences
    assert (str(first.stage_a), str(first.stage_b), first.camera_family, first.ranges) == (
        "net",
        "net",
        "phone",
        "seen",
    )
    assert first.interval == pytest.approx((-0.25, -0.25, -0.25, 6))
    assert (first.verdict, second.verdict) == ("better", "worse")
    assert second.interval.mean == pytest.approx(0.25)


def test_intervals_are_those_of_one_evaluation_with_both_systems(write, generator):
    ours, theirs = (torch.randn(6, generator=generator) + 10 for _ in range(2))
    rows = [scores(name, values.tolist(), metric="pu_psnr") for name, values in (("net", ours), ("old", theirs))]
    a, b = write("a", witness() + rows[0]), write("b", witness() + rows[1][::-1])
    (found,) = compare_results(a, b, pairs=[("net", "old")], seed=3, num_resamples=500).differences
    (expected,) = compare(rows[0] + rows[1], [(Stage("net"), Stage("old"))], seed=3, num_resamples=500)
    assert found.interval == pytest.approx(expected.interval)


@pytest.mark.parametrize(
    ("metric", "gaps", "verdict"),
    [
        ("pu_psnr", [4.0] * 6, "better"),
        ("pu_psnr", [-4.0] * 6, "worse"),
        ("pu_psnr", [3.0] * 6, "small"),  # below 3.5 dB people may not agree
        ("pu_psnr+crf", [3.0] * 6, "small"),
        ("pu_psnr", [9.0, -9.0, 8.0, -8.0, 7.0, -7.0], "undecided"),
        ("log2_rmse+gain", [0.1] * 6, "worse"),
        ("region_share", [0.1] * 6, "different"),
        ("a_metric_of_tomorrow", [0.1] * 6, "different"),
    ],
)
def test_verdicts_know_the_direction_and_the_least_difference(write, metric, gaps, verdict):
    a = write("a", witness() + scores("net", [20 + gap for gap in gaps], metric=metric))
    b = write("b", witness() + scores("net", [20.0] * 6, metric=metric))
    (difference,) = compare_results(a, b).differences
    assert difference.verdict == verdict


def test_stages_are_named_as_they_are_displayed(write):
    rows = scores("net", [1.0] * 6)
    stages = [Stage("net", "adapted", 3), Stage("net", "fine-tuned", 1, 0.25)]
    a, b = (
        write(name, witness() + [row._replace(stage=stage, value=value) for row in rows])
        for name, stage, value in zip("ab", stages, (1.0, 2.0), strict=True)
    )
    (found,) = compare_results(a, b, pairs=[("net, adapted, 3 steps", "net lr 0.25, fine-tuned, 1 step")]).differences
    assert (found.stage_a, found.stage_b, found.interval.mean) == (*stages, -1)


def test_pictures_of_one_alone_are_listed_and_not_counted(write):
    a = write("a", witness() + scores("net", [1.0] * 6))
    few = PLACES[1:]
    b = write(
        "b",
        witness(places=(*few, "zoo")) + scores("net", [2.0] * 5 + [90.0], places=(*few, "zoo")),
    )
    comparison = compare_results(a, b)
    assert comparison.differences[0].interval == (-1, -1, -1, 5)
    assert {picture.place for picture in comparison.only_a} == {"attic"}
    assert {(picture.place, picture.ranges) for picture in comparison.only_b} == {("zoo", "seen"), ("zoo", "unseen")}


def test_what_is_undefined_in_one_is_left_out(write):
    a = write("a", witness() + scores("net", [math.nan, *[1.0] * 5]))
    b = write("b", witness() + scores("net", [*[2.0] * 5, math.nan]))
    assert compare_results(a, b).differences[0].interval.num_scenes == 4
    nothing = write("c", witness() + scores("net", [math.nan] * 6))
    assert compare_results(a, nothing).differences == []


def test_a_place_shown_twice_by_one_camera_is_two_pictures(write):
    first, again = [1.0] * 6, [5.0] * 6
    a = write("a", witness() + witness() + scores("net", first) + scores("net", again))
    b = write("b", witness() + witness() + scores("net", first) + scores("net", [3.0] * 6))
    assert compare_results(a, b).differences[0].interval == (1, 1, 1, 6)


def test_systems_with_the_same_scores_are_named_without_a_table(write):
    rows = scores("net", [1.0, math.nan, 2.0, 3.0, 4.0, 5.0])
    comparison = compare_results(write("a", witness() + rows), write("b", witness() + rows))
    assert comparison.identical == [(Stage("net"), Stage("net"))]
    assert comparison.differences == []


def test_columns_without_any_difference_have_no_row(write):
    share = scores("net", [0.1] * 6, metric="region_share")
    a = write("a", witness() + share + scores("net", [1.0] * 6))
    b = write("b", witness() + share + scores("net", [2.0] * 6))
    assert [row.metric for row in compare_results(a, b).differences] == ["log2_rmse"]


def test_versions_and_metrics_that_differ_are_noted(write):
    plain, more = FAST.protocol(), FAST.protocol()
    more["versions"] = {**more["versions"], "torch": "9.9"}
    a = write("a", witness() + scores("net", [1.0] * 6), protocol=plain, versions={"numpy": "2.0"})
    extra = scores("net", [1.0] * 6, metric="cvvdp")
    b = write("b", witness() + scores("net", [2.0] * 6) + extra, protocol=more, versions={"numpy": "2.0"})
    comparison = compare_results(a, b)
    assert [row.metric for row in comparison.differences] == ["log2_rmse"]
    assert len(comparison.notes) == 2
    assert comparison.notes[0].endswith("in A and 9.9 in B")
    assert comparison.notes[1] == "only B has cvvdp"


def config(task, labels, shots):
    return {"task": {"_target_": f"a.{task}", "shots": shots}, "labels": {"_target_": f"b.{labels}"}}


def test_other_kinds_of_tasks_are_refused(write):
    a = write("a", witness() + scores("net", [1.0] * 6), config=config("CameraTasks", "TruthLabels", 2))
    b = write("b", witness() + scores("net", [2.0] * 6), config=config("SceneTasks", "TruthLabels", 2))
    with pytest.raises(
        ValueError, match=r"a was judged on scenes by one camera, .*b on exposures of one scene: .* same"
    ):
        compare_results(a, b)
    unknown = write("c", witness() + scores("net", [3.0] * 6))
    assert len(compare_results(a, unknown).differences) == 1


def test_other_supports_are_noted(write):
    a = write("a", witness() + scores("net", [1.0] * 6), config=config("SceneTasks", "TruthLabels", 2))
    b = write("b", witness() + scores("net", [2.0] * 6), config=config("SceneTasks", "OwnLabels", 3))
    assert compare_results(a, b).notes == [
        "systems adapted on other labels: true labels in A, OwnLabels in B",
        "systems adapted on other shots: 2 in A, 3 in B",
    ]


@pytest.mark.parametrize("broken", [None, [], "text", {"task": "text", "labels": None}, {"task": {"shots": "two"}}])
def test_a_configuration_that_says_nothing_is_no_error(broken):
    assert read_support(broken) == Support("", "", None)


def test_other_protocols_are_refused(write):
    protocol = {**FAST.protocol(), "display": "median at 30 cd/m2", "intervals": "of another kind"}
    a = write("a", witness() + scores("net", [1.0] * 6))
    b = write("b", witness() + scores("net", [2.0] * 6), protocol=protocol)
    with pytest.raises(ValueError, match=r"different protocols.*differ in display: .* in A, 'median at 30"):
        compare_results(a, b)


def test_a_protocol_may_define_more(write):
    a = write("a", witness() + scores("net", [1.0] * 6), protocol={"display": "one", "intervals": "wide"})
    b = write("b", witness() + scores("net", [2.0] * 6), protocol={"metrics": {"cvvdp": "x"}, "intervals": "narrow"})
    assert len(compare_results(a, b).differences) == 1


def test_pictures_of_one_name_must_be_the_same(write):
    a = write("a", witness() + scores("net", [1.0] * 6))
    other_crops = [score._replace(value=score.value + 0.1) for score in witness()]
    b = write("b", other_crops + scores("net", [2.0] * 6))
    with pytest.raises(ValueError, match=r"'LDR input' on all is 5 in A and 5\.1 in B for phone / seen / .* same seed"):
        compare_results(a, b)
    emptied = [score._replace(value=math.nan) for score in witness()]
    with pytest.raises(ValueError, match="is 5 in A and nan in B"):
        compare_results(a, write("c", emptied + scores("net", [2.0] * 6)))
    d, e = (write(name, emptied + scores("net", [value] * 6)) for name, value in (("d", 1.0), ("e", 2.0)))
    assert len(compare_results(d, e).differences) == 1


def test_without_a_witness_nothing_shows_that_pictures_are_the_same(write):
    a, b = (write(name, scores("net", [1.0] * 6)) for name in "ab")
    with pytest.raises(ValueError, match="need scores of 'LDR input'"):
        compare_results(a, b)


def test_evaluations_with_nothing_in_common_are_refused(write):
    a = write("a", witness() + scores("net", [1.0] * 6))
    elsewhere = [score._replace(camera_family="pointwise") for score in witness()]
    with pytest.raises(ValueError, match="no picture in common"):
        compare_results(a, write("b", elsewhere))
    c = write("c", witness() + scores("unet", [1.0] * 6))
    with pytest.raises(ValueError, match="no system is in both: A has LDR input, net; B has LDR input, unet"):
        compare_results(a, c)
    with pytest.raises(ValueError, match="has no system 'net'; it has LDR input, unet"):
        compare_results(a, c, pairs=[("net", "net")])
    assert compare_results(a, c, pairs=[("net", "unet")]).identical == [(Stage("net"), Stage("unet"))]


def test_missing_and_damaged_files_are_named(write, tmp_path):
    good = write("good", witness() + scores("net", [1.0] * 6))
    with pytest.raises(FileNotFoundError, match=r"no evaluation in .*nowhere: it lacks results\.json"):
        compare_results(good, tmp_path / "nowhere")
    for name, file, content, message in (
        ("half", "scores.csv", None, r"lacks scores\.csv"),
        ("text", "results.json", "{", r"results\.json is not JSON"),
        ("bare", "results.json", json.dumps({"seed": 1}), "needs the key protocol"),
        ("columns", "scores.csv", "system,value\n", "expected the columns system, verb, .* got system, value"),
        ("short", "scores.csv", ",".join(SCORE_COLUMNS) + "\nnet,phone\n", r"scores\.csv, line 2: expected a score"),
        ("words", "scores.csv", ",".join(SCORE_COLUMNS) + "\na,,,,b,c,d,e,0,f,g,high\n", r"line 2.*'high'"),
    ):
        folder = write(name, witness())
        (folder / file).unlink()
        if content is not None:
            (folder / file).write_text(content)
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            compare_results(good, folder)


def test_the_files_of_an_evaluation_are_left_alone(write):
    a = write("a", witness() + scores("net", [1.0] * 6))
    before = {path.name: path.read_bytes() for path in a.iterdir()}
    compare_results(a, a)
    assert {path.name: path.read_bytes() for path in a.iterdir()} == before
    with (a / "scores.csv").open(newline="") as file:
        assert next(csv.reader(file)) == list(SCORE_COLUMNS)


def test_tables_tell_direction_doubt_and_what_is_left_out(write):
    a = write(
        "a",
        witness()
        + scores("net [big]", [1.0] * 6)
        + scores("net [big]", [23.0] * 6, metric="pu_psnr")
        + scores("net [big]", [1.0, -1.0] * 3, region="clipped")
        + scores("same", [1.0] * 6),
    )
    b = write(
        "b",
        witness()[:-1]
        + scores("net [big]", [2.0] * 6)
        + scores("net [big]", [20.0] * 6, metric="pu_psnr")
        + scores("net [big]", [0.0] * 6, region="clipped")
        + scores("same", [1.0] * 6),
    )
    console = Console(file=io.StringIO(), width=100)
    print_comparison(console, compare_results(a, b, seed=1))
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert "net [big] of A - net [big] of B, camera=phone, seen ranges" in console.file.getvalue()
    assert ["log2_rmse", "all", "-1", "[-1,", "-1]", "6", "A"] in lines
    assert ["pu_psnr", "all", "+3", "[+3,", "+3]", "6", "~"] in lines
    (undecided,) = [line for line in lines if line[:2] == ["log2_rmse", "clipped"]]
    assert undecided[-1] == "?"
    assert "equal in every digit: same of A and same of B" in console.file.getvalue()
    assert "1 picture only in A, not counted:" in console.file.getvalue()
    assert "phone / unseen / phone-roof / roof / 0 / 0" in console.file.getvalue()
