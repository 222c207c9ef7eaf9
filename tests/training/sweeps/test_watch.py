"""The callback alone: what it records, what it tells the sweeper, when it stays out."""

import math

import pytest
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import RunMode
from omegaconf import OmegaConf

from ldr2hdr.build import RunError
from ldr2hdr.training.sweeps.folder import read_sweep
from ldr2hdr.training.sweeps.watch import SweepWatch

BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


def make_config(folder, *, sweeper=BASIC, launcher=BASIC, mode=RunMode.MULTIRUN):
    (folder / "0" / ".hydra").mkdir(parents=True, exist_ok=True)
    (folder / "0" / ".hydra" / "overrides.yaml").write_text("[a=1]")
    hydra = {
        "mode": mode,
        "job": {"num": 0},
        "overrides": {"task": ["a=1"]},
        "runtime": {"output_dir": str(folder / "0")},
        "sweep": {"dir": str(folder)},
        "sweeper": {"_target_": sweeper},
        "launcher": {"_target_": launcher},
    }
    return OmegaConf.create({"hydra": hydra, "optimized_metric": "val/pu_psnr@1"})


def make_return(status, value):
    job_return = JobReturn(status=status)
    job_return.return_value = value
    return job_return


def run_job(config, job_return):
    watch = SweepWatch()
    watch.on_job_start(config, task_function=None)
    watch.on_job_end(config, job_return)
    return job_return


def test_a_killed_job_leaves_a_record_too(tmp_path):
    SweepWatch().on_job_start(make_config(tmp_path), task_function=None)
    assert [job.record.status for job in read_sweep(tmp_path)] == ["running"]


def test_a_completed_job_is_recorded_with_its_objective(tmp_path):
    run_job(make_config(tmp_path), make_return(JobStatus.COMPLETED, 25.5))
    (job,) = read_sweep(tmp_path)
    assert (job.record.status, job.record.objective, job.record.optimized_metric) == (
        "completed",
        25.5,
        "val/pu_psnr@1",
    )
    assert job.record.seconds >= 0


def test_hydras_sweeper_is_given_nan_for_a_failed_job(tmp_path):
    job_return = run_job(make_config(tmp_path), make_return(JobStatus.FAILED, RunError("task.shots\n is 0")))
    assert math.isnan(job_return.return_value)
    (job,) = read_sweep(tmp_path)
    assert (job.record.status, job.record.error) == ("failed", "task.shots is 0")


def test_other_sweepers_are_told_of_the_failure(tmp_path):
    job_return = run_job(make_config(tmp_path, sweeper="a.B"), make_return(JobStatus.FAILED, KeyError("shots")))
    assert job_return.status is JobStatus.FAILED
    (job,) = read_sweep(tmp_path)
    assert job.record.error == "KeyError: 'shots'"


@pytest.mark.parametrize("name", ["RANK", "SLURM_PROCID", "SUBMITIT_LOCAL_GLOBALRANK"])
def test_the_first_process_of_a_job_alone_writes(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    run_job(make_config(tmp_path), make_return(JobStatus.COMPLETED, 1.0))
    assert not list(tmp_path.rglob("job.json"))


def test_a_single_run_is_left_alone(tmp_path):
    job_return = run_job(make_config(tmp_path, mode=RunMode.RUN), make_return(JobStatus.FAILED, RunError("no")))
    assert job_return.status is JobStatus.FAILED
    assert not list(tmp_path.rglob("job.json"))


def test_the_sweep_fails_if_a_job_did(tmp_path):
    config = make_config(tmp_path)
    watch = SweepWatch()
    watch.on_multirun_start(config)
    run_job(config, make_return(JobStatus.FAILED, RunError("no")))
    with pytest.raises(SystemExit) as end:
        watch.on_multirun_end(config)
    assert end.value.code == 1
    run_job(config, make_return(JobStatus.COMPLETED, 1.0))
    watch.on_multirun_end(config)


def test_a_missing_plugin_is_told_before_the_sweep_starts(tmp_path, capsys):
    config = make_config(tmp_path, launcher="hydra_plugins.hydra_absent_launcher.launcher.Launcher")
    with pytest.raises(SystemExit):
        SweepWatch().on_multirun_start(config)
    assert "hydra_plugins.hydra_absent_launcher, which is not installed" in capsys.readouterr().err
