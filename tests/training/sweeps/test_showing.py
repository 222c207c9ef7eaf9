"""The table of a sweep in Weights & Biases, read back from the file of its run."""

import json
import time

import imageio.v3 as iio
import numpy as np
import pytest
from loggers.wandb_file import read_records

from ldr2hdr.training.sweeps.folder import read_sweep
from ldr2hdr.training.sweeps.showing import show_in_wandb
from ldr2hdr.training.sweeps.standing import rank
from ldr2hdr.training.sweeps.summary import write_summary
from ldr2hdr.training.sweeps.table import tabulate_exactly
from sweeps.made import write_sweep

pytestmark = pytest.mark.slow


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    return write_sweep(tmp_path / "a sweep")


def read_whole(path):
    """The records, once the service process of W&B, which outlives the call that ends the run, has written the last."""
    for _ in range(100):
        records = read_records(path)
        if records and records[-1].WhichOneof("record_type") == "exit":
            return records
        time.sleep(0.1)
    pytest.fail(f"{path} has no end")


def test_the_table_is_an_artefact_in_the_group_of_the_jobs(sweep, capfd):
    pytest.importorskip("wandb")
    config = "logger:\n  wandb: {project: mine, offline: true, name: '${choice_names:algo}'}\n"
    (sweep / "1_algo=fomaml" / ".hydra" / "config.yaml").write_text(config)
    jobs = read_sweep(sweep)
    standing = rank(jobs)
    write_summary(jobs, standing, folder=sweep)
    assert show_in_wandb(jobs, standing, folder=sweep)
    (path,) = (sweep / "wandb").glob("offline-run-*/run-*.wandb")
    assert "removed" not in capfd.readouterr().err, "a setting is deprecated"
    records = read_whole(path)
    (run,) = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    assert (run.project, run.run_group, run.job_type) == ("mine", "a sweep", "sweep")
    (artefact,) = [record.artifact for record in records if record.WhichOneof("record_type") == "artifact"]
    (entry,) = artefact.manifest.contents
    assert (artefact.type, entry.path) == ("run_table", "sweep.table.json")
    (file,) = path.parent.rglob("sweep_*.table.json")
    content, table = json.loads(file.read_text(encoding="utf-8")), tabulate_exactly(jobs, standing)
    assert (content["columns"], content["data"]) == (table.columns, table.rows)
    (picture,) = path.parent.rglob("*.png")
    np.testing.assert_array_equal(iio.imread(picture), iio.imread(sweep / "summary.png")[..., :3])


def test_without_it_nothing_is_logged(sweep):
    jobs = read_sweep(sweep)
    assert not show_in_wandb(jobs, rank(jobs), folder=sweep)
    assert not (sweep / "wandb").exists()
