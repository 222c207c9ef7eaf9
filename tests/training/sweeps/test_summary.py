"""What a folder of jobs says: the table, its files, the terminal, the report."""

import csv
import json
import math

import cv2
import pytest

from ldr2hdr.evaluation.report import write_report
from ldr2hdr.evaluation.report.runs import read_runs
from ldr2hdr.training.sweeps import standing
from ldr2hdr.training.sweeps.folder import is_sweep, read_sweep
from ldr2hdr.training.sweeps.job import Record
from ldr2hdr.training.sweeps.printing import print_summary
from ldr2hdr.training.sweeps.standing import rank
from ldr2hdr.training.sweeps.table import tabulate, varying_keys
from ldr2hdr.training.sweeps.watch import conclude
from sweeps.made import REASON, write_sweep


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return write_sweep(tmp_path_factory.mktemp("multi run"))


def test_jobs_come_by_number_wherever_their_folders_are(sweep):
    jobs = read_sweep(sweep)
    assert [job.record.number for job in jobs] == [0, 1, 2, 10]
    assert [job.record.status for job in jobs] == ["completed", "completed", "failed", "running"]
    assert varying_keys(jobs) == ["algo", "x"]


def test_the_table_tells_before_last_and_best(sweep):
    jobs = read_sweep(sweep)
    table = tabulate(jobs, rank(jobs))
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [rows[0][key] for key in ("before", "last", "best")] == ["21.00", "23.00", "24.00"]
    assert [rows[1][key] for key in ("before", "last", "best")] == ["19.00", "25.50", "25.50"]
    assert [rows[0][key] for key in ("unseen before", "unseen last", "minutes")] == ["–", "19.00", "1.0"]
    assert [rows[2][key] for key in ("algo", "x", "best", "status")] == ["anil", "1", "–", f"failed: {REASON}"]
    assert rows[3]["status"].startswith("no end recorded")
    assert [row["behind"] for row in rows] == ["-2.50 [-3.00, -2.00]", "–", "–", "–"]
    assert table.winner == 1


def test_the_best_follows_the_metric(sweep):
    from dataclasses import replace

    def with_objective(job, value):
        record = replace(job.record, objective=value, optimized_metric="val/log2_rmse@3")
        return replace(job, record=record)

    jobs = read_sweep(sweep)[:3]
    assert rank([with_objective(job, value) for job, value in zip(jobs, (0.5, 0.4, math.nan), strict=True)]).first == 1
    assert rank([with_objective(job, None) for job in jobs]).first is None


@pytest.mark.parametrize("scores", [(25, 25, 27, 24), (27, 20, 27, 26), None])
def test_a_tie_has_no_winner(tmp_path, capsys, scores):
    """The second job has the best objective; the first one's pictures are as good, or nothing is known of them."""
    folder = write_sweep(tmp_path)
    path = folder / "0_algo=maml,paths.x=a/b" / "task_scores.csv"
    if scores is None:
        path.unlink()
    else:
        rows = [f"val,0,phone,place{number},0,{score}" for number, score in enumerate(scores)]
        path.write_text("\n".join(["set,task,camera,place,picture,pu_psnr@3", *rows]))
    conclude(folder)
    assert "**" not in (folder / "summary.md").read_text(encoding="utf-8")
    assert "no job is ahead of all others" in capsys.readouterr().out


def test_the_summary_is_written_beside_the_jobs(sweep):
    conclude(sweep)
    with (sweep / "summary.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["val/pu_psnr best"] for row in rows] == ["24.0", "25.5", "", ""]
    assert [row["val/log2_rmse best"] for row in rows] == ["0.4", "0.5", "", ""]
    assert [row["seconds"] for row in rows] == ["60.0", "90.0", "1.0", ""]
    text = (sweep / "summary.md").read_text(encoding="utf-8")
    assert "| **25.50** |" in text
    assert [row["behind"] for row in rows] == ["-2.5", "", "", ""]
    assert REASON.replace("|", "\\|") in text
    assert cv2.imread(str(sweep / "summary.png")).std() > 0
    assert not list(sweep.glob(".*"))


def test_jobs_are_compared_once(sweep, tmp_path, monkeypatch):
    """However many tables show it: one other job has scores."""
    compared = []
    bootstrap = standing.bootstrap_difference
    monkeypatch.setattr(
        standing, "bootstrap_difference", lambda *scores, **how: compared.append(scores) or bootstrap(*scores, **how)
    )
    conclude(sweep)
    assert len(compared) == 1
    write_report(tmp_path / "page.html", [sweep])
    assert len(compared) == 2


def test_the_terminal_lists_what_did_not_end_well(sweep, capsys):
    assert not conclude(sweep)
    shown = capsys.readouterr()
    assert "2 of 4 jobs did not end well" in shown.err
    assert REASON in shown.err
    assert "2: algo=anil x=1" in shown.err
    assert "fomaml" in shown.out
    ended = read_sweep(sweep)[:2]
    assert print_summary(ended, rank(ended), folder=sweep)


def test_a_report_takes_a_sweep(sweep, tmp_path):
    runs = read_runs([sweep])
    assert [run.name for run in runs.trainings] == ["0: algo=maml", "1: algo=fomaml"]
    assert [len(found.jobs) for found in runs.sweeps] == [4]
    page = tmp_path / "page.html"
    write_report(page, [sweep])
    text = page.read_text(encoding="utf-8")
    assert 'id="sweeps"' in text
    assert "25.50" in text
    assert REASON in text
    assert "0: algo=maml · 3 steps" in text


def test_jobs_of_an_older_sweep_have_no_record(sweep, tmp_path):
    older = write_sweep(tmp_path)
    for path in older.rglob("job.json"):
        path.unlink()
    jobs = read_sweep(older)
    assert {job.record.status for job in jobs} == {"unknown"}
    assert [dict(job.settings)["algo"] for job in jobs] == ["maml", "fomaml", "anil", "reptile"]


def test_what_is_no_sweep_is_refused(sweep, tmp_path):
    assert is_sweep(sweep)
    assert not is_sweep(sweep / "1_algo=fomaml")
    assert not is_sweep(tmp_path)
    with pytest.raises(ValueError, match=r"expected the folder of a sweep, found no \.hydra/overrides\.yaml"):
        read_sweep(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("job.json", "[1]", "is not the record"),
        ("job.json", json.dumps({"number": 0, "overrides": [], "status": "done"}), "expected a status"),
        (".hydra/overrides.yaml", "a: 1", "expected a list of overrides"),
    ],
)
def test_damage_names_the_file(tmp_path, name, content, message):
    (tmp_path / "0" / ".hydra").mkdir(parents=True)
    (tmp_path / "0" / ".hydra" / "overrides.yaml").write_text("[]")
    (tmp_path / "0" / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_sweep(tmp_path)


def test_a_record_comes_back(tmp_path):
    record = Record(3, ["a=1"], "failed", 2.5, error="no", traceback="lines")
    (tmp_path / "3" / ".hydra").mkdir(parents=True)
    (tmp_path / "3" / ".hydra" / "overrides.yaml").write_text("[a=1]")
    record.write(tmp_path / "3")
    assert [job.record for job in read_sweep(tmp_path)] == [record]
