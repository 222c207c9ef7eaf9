"""The commands as people type them, in processes of their own."""

import hashlib
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ldr2hdr.evaluation.samples import read_samples
from ldr2hdr.evaluation.stages import Stage, read_stage

pytestmark = pytest.mark.slow

TINY = ("experiment=smoke", "task.crop_px=16")


@pytest.fixture(scope="module")
def python(cache_dir):
    """Run ``python -m`` in a folder of its own."""

    def run(*arguments, cwd=None):
        env = os.environ | {"LDR2HDR_CACHE": str(cache_dir), "OMP_NUM_THREADS": "1", "COLUMNS": "240"}
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def trained(python, tmp_path_factory):
    """The folder of a finished training run; its name has a space and an equals sign, as sweeps make them."""
    folder = tmp_path_factory.mktemp("a run") / "algo=maml"
    done = python("ldr2hdr.train", *TINY, "backbone.widths=[4,8]", f"hydra.run.dir='{folder}'", cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    return folder


def test_train_leaves_checkpoints_logs_and_a_manifest(trained):
    written = {str(path.relative_to(trained)) for path in trained.rglob("*") if path.is_file()}
    assert {"checkpoints/last.ckpt", "checkpoints/best.ckpt", "csv/metrics.csv", "manifest.json"} <= written
    assert not [name for name in written if Path(name).name.startswith(".")], "nothing half-written remains"
    assert "steps: 1" in json.loads((trained / "manifest.json").read_text())["config"]
    assert [path.name for path in trained.parent.iterdir()] == [trained.name], "nothing is written anywhere else"


def test_evaluate_writes_complete_results(python, trained, tmp_path):
    ckpt = trained / "checkpoints" / "last.ckpt"
    done = python(
        *("ldr2hdr.evaluate", f"ckpt={ckpt}", f"hydra.run.dir={tmp_path / 'out'}"),
        *("num_tasks=1", "steps=[0,1]", "task.crop_px=16", "num_resamples=20", "samples=1"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text(), parse_constant=pytest.fail)
    assert {"commit", "versions", "config", "protocol"} <= results.keys()
    assert results["seed"] == results["config"]["seed"] == 2
    assert results["checkpoint_sha256"] == hashlib.sha256(ckpt.read_bytes()).hexdigest()
    single, main = Stage("maml", "single-shot"), Stage("maml", "adapted", 1)
    fit = Stage("response fit")
    stages = {Stage("LDR input"), Stage("inverse gamma 2.2"), fit, single, Stage("maml", "adapted", 0), main}
    cells = {
        (*stage, family, ranges, metric, region)
        for stage in stages
        for family in ("pointwise", "phone")
        for ranges in ("seen", "unseen")
        for metric in ("pu_psnr", "log2_rmse")
        for region in ("all", "well_exposed", "clipped")
    }
    keys = (*Stage._fields, "camera_family", "ranges", "metric", "region")
    assert cells <= {tuple(row[key] for key in keys) for row in results["means"]}
    assert all(row["mean"] is not None for row in results["means"] if row["region"] == "all")
    compared = {(read_stage(row), read_stage(row["opponent"])) for row in results["differences"]}
    assert {(main, single), (main, fit)} <= compared
    assert len((tmp_path / "out" / "scores.csv").read_text().splitlines()) > len(cells)
    assert done.stdout.count("means over") == 4
    assert "results.json" in done.stdout
    samples = read_samples(tmp_path / "out" / "samples")  # one of each table, with every system's picture
    assert [(sample.camera_family, sample.ranges) for sample in samples] == [
        (family, ranges) for family in ("pointwise", "phone") for ranges in ("seen", "unseen")
    ]
    assert all(stages <= {output.stage for output in sample.outputs} for sample in samples)


def test_a_run_in_its_own_folder_takes_paths_from_where_it_was_started(python, cache_dir, tmp_path):
    (tmp_path / "cache").symlink_to(cache_dir)
    words = ("ldr2hdr.train", "paths.cache_dir=cache", "hydra.job.chdir=true")
    done = python(*words, *TINY, "backbone.widths=[4,8]", "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "run" / "cache").exists(), "each run would fill a cache of its own"
    done = python(*words, "resume=run", "trainer.max_steps=3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", ["ldr2hdr.train", "ldr2hdr.evaluate"])
def test_help_lists_the_groups(python, tmp_path, program):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = python(program, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 3, "torch is imported for it"
    for line in ("algo: .*fomaml, .*maml, .*reptile, supervised", "backbone: .*resnet, unet", "experiment: .*smoke"):
        assert re.search(f"^{line}", done.stdout, re.MULTILINE), line


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["backbone.foo=1"], "backbone.foo"),
        (["ckpt={ckpt}", "backbone=resnet"], "{ckpt}"),
        (["dataset=hdr_folder", "dataset.root={folder}"], "{folder}/bad.hdr"),
    ],
)
def test_a_bad_run_is_told_in_one_screen(python, trained, tmp_path, overrides, named):
    names = {"ckpt": trained / "checkpoints" / "last.ckpt", "folder": tmp_path / "pictures"}
    names["folder"].mkdir()
    (names["folder"] / "bad.hdr").write_bytes(b"\x89PNG\r\n\x1a\n an 8-bit picture under another name")
    overrides = [override.format(**names) for override in overrides]
    quoted = [
        f"{key}='{value}'" if "/" in value else f"{key}={value}" for key, value in (o.split("=", 1) for o in overrides)
    ]
    done = python("ldr2hdr.train", *TINY, *quoted, f"hydra.run.dir={tmp_path / 'run'}", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert named.format(**names) in done.stderr
    assert len(done.stderr.splitlines()) < 25
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_sweep_runs_every_combination(python, tmp_path):
    done = python(
        *("ldr2hdr.train", "-m", "algo=maml,fomaml,reptile", "backbone=unet,resnet", *TINY),
        f"hydra.sweep.dir={tmp_path}",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*/checkpoints/last.ckpt"))) == 6
