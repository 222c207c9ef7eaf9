"""Every launcher and search composes and fits its plug-in; joblib, submitit and Optuna really run."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.types import RunMode
from omegaconf import OmegaConf

from ldr2hdr.build import CONF_DIR

pytestmark = pytest.mark.slow

CONF = Path(CONF_DIR)
# Ours, and the plug-in's own of the same class
PLUGINS = {
    ("launcher", "local_joblib"): "joblib",
    ("launcher", "local_submitit"): "submitit_local",
    ("launcher", "slurm"): "submitit_slurm",
    ("launcher", "ray_cluster"): "ray",
    ("sweeper", "optuna_tpe"): "optuna",
}
TINY = ("experiment=smoke", "backbone.widths=[4,8]", "task.crop_px=16", "~callbacks.progress", "~callbacks.panels")


@pytest.fixture(scope="module")
def composed():
    """Compose train.yaml with the part that is Hydra's own."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path

    Plugins.instance()
    loader = ConfigLoaderImpl(create_config_search_path(CONF_DIR))
    return lambda *overrides: loader.load_configuration("train", list(overrides), run_mode=RunMode.MULTIRUN)


def require(package):
    if importlib.util.find_spec("hydra_plugins") is None or importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: see the extras `sweeps` and `ray` in pyproject.toml")


def test_every_option_of_hydra_has_its_plugin_named():
    found = {(path.parent.name, path.stem) for path in CONF.glob("hydra/*/*.yaml")}
    assert found == PLUGINS.keys()


@pytest.mark.parametrize(("part", "ours"), PLUGINS)
def test_options_of_hydra_compose_without_the_plugin(composed, part, ours):
    config = composed(f"hydra/{part}={ours}", "hydra.job.name=train").hydra[part]
    assert config._target_.startswith("hydra_plugins.")
    OmegaConf.to_container(config, resolve=False, throw_on_missing=True)


@pytest.mark.parametrize(("part", "ours"), PLUGINS)
def test_options_of_hydra_have_keys_that_the_plugin_has(composed, part, ours):
    config = composed(f"hydra/{part}={ours}").hydra[part]
    require(config._target_.rpartition(".")[0].rpartition(".")[0])
    theirs = ConfigStore.instance().load(f"hydra/{part}/{PLUGINS[part, ours]}.yaml").node
    assert config._target_ == theirs._target_
    assert set(config) - set(theirs) == set()


@pytest.mark.parametrize("name", sorted(path.stem for path in CONF.glob("hparams_search/*.yaml")))
def test_every_search_composes_and_names_keys_that_exist(composed, name):
    config = composed(f"hparams_search={name}")
    assert config.hydra.mode is RunMode.MULTIRUN
    assert config.hydra.sweeper.params
    for key in config.hydra.sweeper.params:
        assert OmegaConf.select(config, key) is not None, key


@pytest.mark.parametrize("hardware", ["multi_gpu", "multi_node"])
def test_hardware_of_many_gpus_splits_by_ddp(compose_train, tmp_path, hardware):
    trainer = compose_train(tmp_path, f"hardware={hardware}", "trainer.precision=bf16-mixed").trainer
    assert (trainer.accelerator, trainer.devices, trainer.strategy) == ("gpu", -1, "ddp")
    assert trainer.precision == "bf16-mixed"
    assert trainer.use_distributed_sampler is False


@pytest.fixture
def sweep(cache_dir, tmp_path):
    """Run a tiny sweep in a process of its own; its folder, and the process."""

    def run(*overrides):
        command = [
            sys.executable,
            "-m",
            "ldr2hdr.train",
            "-m",
            *TINY,
            *overrides,
            f"hydra.sweep.dir={tmp_path / 'out'}",
        ]
        env = os.environ | {"LDR2HDR_CACHE": str(cache_dir), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=400, check=False)
        return tmp_path / "out", done

    return run


def read_records(folder):
    return sorted((json.loads(path.read_text()) for path in folder.rglob("job.json")), key=lambda job: job["number"])


def test_joblib_goes_on_after_a_failed_job_and_tells_of_it(sweep):
    require("hydra_plugins.hydra_joblib_launcher")
    folder, done = sweep("hydra/launcher=local_joblib", "data.tasks_per_batch=3,2")
    assert done.returncode == 1, done.stderr
    failed, completed = read_records(folder)
    assert (failed["status"], completed["status"]) == ("failed", "completed")
    assert failed["error"].startswith("data.tasks_per_batch must be positive and divide")
    assert "Traceback" in failed["traceback"]
    assert completed["objective"] == pytest.approx(float(logged(folder, "data.tasks_per_batch=2")), abs=1e-4)
    assert "1 of 2 jobs did not end well:\n  0: data.tasks_per_batch=3\n    failed: data.tasks" in done.stderr
    assert "Traceback" not in done.stderr
    assert {"summary.csv", "summary.md", "summary.png"} <= {path.name for path in folder.iterdir()}


def logged(folder, override):
    """The last val/pu_psnr@1 that the job's own table has."""
    (table,) = folder.glob(f"*{override}*/csv/metrics.csv")
    header, *rows = (line.split(",") for line in table.read_text().splitlines())
    return [row[header.index("val/pu_psnr@1")] for row in rows if row[header.index("val/pu_psnr@1")]][-1]


def test_submitit_runs_a_job_in_a_process_of_its_own(sweep):
    require("hydra_plugins.hydra_submitit_launcher")
    folder, done = sweep("hydra/launcher=local_submitit", "seed=1")
    assert done.returncode == 0, done.stderr
    (record,) = read_records(folder)
    assert record["status"] == "completed"
    assert len(list(folder.glob(".submitit/*/*_0_result.pkl"))) == 1
    assert (folder / "summary.csv").is_file()


def test_optuna_searches_and_a_failed_trial_does_not_end_it(sweep):
    require("hydra_plugins.hydra_optuna_sweeper")
    folder, done = sweep(
        *("hparams_search=optuna", "hydra.sweeper.n_trials=3"),
        "data.tasks_per_batch=choice(2,3)",  # 3 is refused
    )
    records = read_records(folder)
    assert [record["number"] for record in records] == [0, 1, 2]
    rates = [float(re.search(r"algo.inner.lr=(\S+?)'", str(record["overrides"]))[1]) for record in records]
    assert len({*rates}) == 3
    assert all(0.005 <= rate <= 0.3 for rate in rates)
    # as the sampler's seed has it
    assert [record["status"] for record in records] == ["completed", "failed", "completed"], done.stderr
    assert done.returncode == 1
    best = OmegaConf.load(folder / "optimization_results.yaml")
    assert best.best_value == pytest.approx(max(records[0]["objective"], records[2]["objective"]))
