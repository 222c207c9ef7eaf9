"""The page as text: numbers, names, size, and that it needs nothing else."""

import html
import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from ldr2hdr import cli
from ldr2hdr.evaluation.report import write_report
from ldr2hdr.evaluation.report.charts import shots_charts, steps_charts
from ldr2hdr.evaluation.report.lines import ResultTable, TableKey, place_means
from ldr2hdr.evaluation.report.runs import read_runs
from ldr2hdr.evaluation.report.tables import rows_of_differences, rows_of_means
from ldr2hdr.evaluation.samples import SampledTask, write_samples
from ldr2hdr.evaluation.scoring import Summary
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.metrics.bootstrap import Interval
from report.made import EVIL, make_task, systems, write_evaluation

METRICS = [(metric, region) for metric in ("pu_psnr", "log2_rmse") for region in ("all", "well_exposed", "clipped")]


class Reader(HTMLParser):
    """Numbers of each table row, and every element with what it refers to."""

    def __init__(self):
        super().__init__()
        self.rows, self.panel, self.tags, self.references, self.texts = [], None, [], [], []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        self.references += [attributes[key] for key in ("src", "href", "action", "data") if key in attributes]
        assert not [key for key in attributes if key.startswith("on")], attributes
        self.panel = attributes.get("data-panel", self.panel)
        if tag == "tr":
            self.rows.append((self.panel, [], []))
        if tag == "td" and "data-value" in attributes:
            self.rows[-1][2].append(float(attributes["data-value"]))

    def handle_data(self, data):
        self.texts.append(data)
        if self.rows and data.strip():
            self.rows[-1][1].append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


@pytest.fixture(scope="module")
def page(evaluation, training, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(path, [evaluation, training], title=f"Title {EVIL}")
    return path


def test_every_number_of_the_tables_is_that_of_results_json(page, evaluation):
    results = json.loads((evaluation / "results.json").read_text())
    expected = {}
    for row in [*results["means"], *results["differences"]]:
        shown = Stage(**row.get("opponent", {key: row[key] for key in Stage._fields}))
        key = (f"{row['camera_family']}/{row['ranges']}", str(shown), "opponent" in row)
        if row["mean"] is not None:
            expected.setdefault(key, []).append(row["mean"])
    found = sorted((panel, texts[0], numbers) for panel, texts, numbers in read(page).rows if numbers)
    assert found == sorted((panel, name, numbers) for (panel, name, _), numbers in expected.items())


def test_names_stay_text(page):
    reader = read(page)
    assert "x" not in reader.references
    assert EVIL not in page.read_text()
    text = "".join(reader.texts)
    assert all(part in text for part in (f"Title {EVIL}", f"cave {EVIL}", f"twice {EVIL}", f"</script>{EVIL}"))


def test_nothing_is_loaded_from_elsewhere(page):
    references = read(page).references
    assert references
    assert all(reference.startswith(("data:", "#")) for reference in references)
    text = page.read_text()
    assert "default-src 'none'" in html.unescape(text)
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest|import\(", text)


def test_a_page_is_never_larger_than_it_may_be(evaluation, tmp_path):
    path, sizes = tmp_path / "page.html", []
    for max_mb in (25.0, 0.105, 0.1):
        chosen = write_report(path, [evaluation], max_mb=max_mb)
        assert path.stat().st_size <= max_mb * 1e6
        assert chosen.num_samples == 4
        sizes.append(len(chosen.scenes))
        assert path.read_text().count('id="picture-') == 7 * len(chosen.scenes)
    assert sizes[0] == 4
    assert sizes[0] > sizes[1] >= sizes[2]
    with pytest.raises(ValueError, match="raise --max-mb"):
        write_report(path, [evaluation], max_mb=0.01)


@pytest.mark.slow
def test_forty_scenes_of_five_systems_are_all_on_the_page(evaluation, tmp_path):
    """Noise at the size that an evaluation keeps by default, in a quarter of 25 MB: twice the width and height fit."""
    folder = tmp_path / "run"
    shutil.copytree(evaluation, folder, ignore=shutil.ignore_patterns("samples"))
    tasks = [SampledTask("phone", "seen", make_task(f"place {seed}", seed=seed, size=(64, 64))) for seed in range(40)]
    write_samples(folder / "samples", systems(), tasks, seed=0, device="cpu")
    chosen = write_report(tmp_path / "page.html", [folder])
    assert (len(chosen.scenes), chosen.num_samples) == (40, 40)
    assert all(len(scene.about["pictures"]) == 2 + 5 for scene in chosen.scenes)
    assert (tmp_path / "page.html").stat().st_size < 25e6 / 4


def test_runs_without_pictures_have_no_viewer(training, tmp_path):
    write_report(tmp_path / "page.html", [training])
    text = (tmp_path / "page.html").read_text()
    assert "<h2>Training</h2>" in text
    assert 'id="stage"' not in text
    assert "<h2>Results</h2>" not in text


def test_evaluations_with_other_shots_are_drawn_against_them(evaluation, tmp_path):
    other = write_evaluation(tmp_path / "k8", shots=8, num_samples=0)
    write_report(tmp_path / "page.html", [evaluation, other])
    assert "PU21-PSNR against shots K" in (tmp_path / "page.html").read_text()
    write_report(tmp_path / "page.html", [other])
    assert "PU21-PSNR against shots K" not in (tmp_path / "page.html").read_text()


@pytest.fixture(scope="module")
def two_kinds(tmp_path_factory):
    """The same cameras, once on their scenes and once on the exposures of one."""
    runs = tmp_path_factory.mktemp("kinds")
    return [
        write_evaluation(runs / "of camera", task="CameraTasks", labels="TruthLabels", num_samples=1),
        write_evaluation(runs / "of scene", task="SceneTasks", labels="MergeLabels", num_samples=1, shots=8),
    ]


def test_tasks_of_different_kinds_are_in_different_panels(two_kinds, tmp_path):
    write_report(tmp_path / "page.html", two_kinds)
    text = (tmp_path / "page.html").read_text()
    supports = ("scenes by one camera", "exposures of one scene, merged labels")
    panels = [f"phone/{ranges}/{support}" for support in supports for ranges in ("seen", "unseen")]
    results = text[text.index('<section id="results">') : text.index('<section id="pictures">')]
    bodies = {body.partition('"')[0]: body for body in results.split('<div data-panel="')[1:]}
    assert list(bodies) == panels
    for panel, body in bodies.items():
        support = panel.rpartition("/")[2]
        assert body.count('<table class="means">') == 1
        assert f", K = {2 if support == supports[0] else 8}, adapted on {support}</h3>" in body
    titles = re.findall(r'name="table-results"[^>]*>([^<]*)<', text)
    assert titles == [f"phone, {ranges} ranges, {support}" for support in supports for ranges in ("seen", "unseen")]
    assert "PU21-PSNR against shots K" not in text  # which is for what differs in K alone
    data = json.loads(re.search(r'id="viewer-data">(.*?)</script>', text)[1])
    assert {(scene["run"], scene["table"]) for scene in data["scenes"]} == {
        (run.name, title)
        for run, title in zip(two_kinds * 2, sorted(titles, key=lambda title: "unseen" in title), strict=True)
    }


def test_one_kind_of_task_is_named_once(two_kinds, tmp_path):
    write_report(tmp_path / "page.html", two_kinds)
    assert "<small>phone · unseen · scenes by one camera</small>" in (tmp_path / "page.html").read_text()
    write_report(tmp_path / "page.html", two_kinds[:1])
    text = (tmp_path / "page.html").read_text()
    assert "<small>phone · unseen</small>" in text
    assert re.findall(r'name="table-results"[^>]*>([^<]*)<', text) == ["phone, seen ranges", "phone, unseen ranges"]
    assert ", K = 2, adapted on scenes by one camera</h3>" in text


NET, FIT, TUNED = Stage("net", "adapted", 4), Stage("fit"), Stage("supervised", "fine-tuned", 1, 1.0)


def rows(stage, mean, low, high, opponent=None):
    return [Summary(stage, "phone", "seen", *column, Interval(mean, low, high, 5), opponent) for column in METRICS]


def table(*, differences=(), hidden=frozenset()):
    stages = (Stage("net", "adapted", 0), NET, FIT, TUNED)
    means = [row for index, stage in enumerate(stages) for row in rows(stage, 20.0 + index, 19.0 + index, 22.0 + index)]
    return ResultTable(TableKey("phone", "seen"), means, list(differences), hidden)


@pytest.mark.parametrize(("low", "is_marked"), [(-0.5, True), (0.5, False)])
def test_undecided_differences_are_marked_in_both_tables(low, is_marked):
    judged = table(differences=rows(NET, 1.0, low, 2.0, FIT))
    (against_fit,) = rows_of_differences(judged)
    assert [bool(cell.mark) for cell in against_fit.cells] == [is_marked] * 6
    assert against_fit.bar.is_hollow == is_marked
    shown, hidden = rows_of_means(judged)
    assert hidden == []
    for row in shown:
        assert [bool(cell.mark) for cell in row.cells] == [is_marked and row.name == "fit"] * 6


def test_more_light_is_better_and_more_error_worse():
    (row,) = rows_of_differences(table(differences=rows(NET, 1.0, 0.5, 2.0, FIT)))
    assert [cell.kind for cell in row.cells] == ["better"] * 3 + ["worse"] * 3


def test_weaker_fine_tuned_variants_are_folded_away():
    shown, hidden = rows_of_means(table(hidden=frozenset({TUNED})))
    assert str(TUNED) not in {row.name for row in shown}
    assert [row.name for row in hidden] == ["supervised lr 1, fine-tuned, 1 step"]


def test_steps_are_drawn_where_their_numbers_are():
    """From 20 to 21 dB on an axis from 19, the lowest interval's end, to 23, the highest of the dashed lines."""
    drawing = steps_charts(table()).drawings[0]
    (line,) = [series for series in drawing.series if series.style == "line"]
    dots = [drawing.frame.at(point.x, point.y)[1] for point in line.seen]
    low, high = 19.0 - 0.06 * 4, 23.0 + 0.06 * 4
    expected = [10 + (1 - (mean - low) / (high - low)) * 166 for mean in (20.0, 21.0)]
    assert dots == pytest.approx(expected, abs=0.06)


def test_a_chart_shows_as_many_systems_as_it_has_colours():
    """The main system though it is the weakest, and the strongest of the others."""
    ours = [Stage("ours", "adapted", steps) for steps in (0, 3, 9)]
    levels = dict(zip(ours, (1.0, 2.0, 3.0), strict=True)) | {
        Stage(f"system {number}"): 10.0 + number for number in range(10)
    }
    means = [
        Summary(stage, "phone", "seen", metric, region, Interval(level, level - 1, level + 1, 5))
        for stage, level in levels.items()
        for metric, region in METRICS
    ]
    pairs = [row._replace(stage=ours[1], opponent=row.stage) for row in means if row.stage not in ours]
    charts = steps_charts(ResultTable(TableKey("phone", "seen"), means, pairs, frozenset()))
    assert [name for name, *_ in charts.legend] == ["ours, adapted", *(f"system {number}" for number in range(3, 10))]
    assert charts.left_out == 3


def test_shots_need_two_numbers():
    assert shots_charts([(2, table())]) is None
    assert [tick.text for tick in shots_charts([(8, table()), (2, table())]).drawings[0].x_ticks] == ["2", "8"]


def test_a_dot_tells_the_number_of_its_place(page, evaluation):
    """It told the number of the row."""
    (run,) = read_runs([evaluation]).evaluations
    key = next(key for key in run.tables if key.ranges == "seen")
    mean = place_means(run.judged, key, metric="pu_psnr", region="all")[Stage("response fit")]["roof"]
    assert f"<title>roof, response fit: {mean:.3g} dB</title>" in page.read_text()


def test_the_command(evaluation, training, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert cli.main(["report", str(evaluation), str(training), "-o", str(out), "--max-scenes", "1"]) == 0
    assert "1 of 4 sampled pictures" in capsys.readouterr().out
    assert out.is_file()
    assert cli.main(["report", str(tmp_path), "-o", str(out)]) == 1
    assert "holds neither" in capsys.readouterr().err
    assert cli.main(["report", str(evaluation), "--max-mb", "0"]) == 2
    assert "--max-mb must be positive" in capsys.readouterr().err
