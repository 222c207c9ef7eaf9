"""A small run: what it came to if nobody disturbed it, and how to start it in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ldr2hdr.build import build_training
from ldr2hdr.train import fit
from ldr2hdr.training.replay import choose_config

NUM_STEPS = 14
# 5 steps an epoch: the last one is not whole
RUN = ("data.num_train_tasks=10", f"trainer.max_steps={NUM_STEPS}", "callbacks.last.every_n_steps=2")


@pytest.fixture(scope="session")
def overrides(tiny):
    """Of all runs: small, and their tasks are recorded in a folder."""

    def of(folder):
        # a replay of the run has a folder of its own
        record = ("+callbacks.record._target_=happenings.RecordTasks", "+callbacks.record.folder=${paths.output_dir}")
        return (*tiny, *RUN, *record, "~callbacks.progress", "~callbacks.panels", "logger=csv")

    return of


@pytest.fixture(scope="session")
def train_here(compose_train):
    """Train in this process as the entry point does; ``typed`` comes after the run's folder."""

    def train(folder, *typed):
        folder.mkdir(exist_ok=True)
        training = build_training(choose_config(compose_train(folder, *typed), typed))
        fit(training)
        return training

    return train


@pytest.fixture(scope="session")
def train_there(cache_dir):
    """Train in a process of its own."""

    def train(*typed, **env):
        return subprocess.run(
            [sys.executable, "-m", "ldr2hdr.train", *typed, f"paths.cache_dir={cache_dir}"],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1", **env},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return train


@pytest.fixture(scope="session")
def undisturbed(train_here, overrides, tmp_path_factory):
    """The folder of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    train_here(folder, *overrides(folder))
    return folder


@pytest.fixture(scope="session")
def outcome():
    """What a run came to: hashes of theta and of the tasks, and every byte of the log."""

    def read(folder):
        final = json.loads((folder / "manifest.json").read_text())["final"]
        return final, (folder / "csv" / "metrics.csv").read_text()

    return read


@pytest.fixture(scope="session")
def recorded_tasks():
    """The tasks of each step; of a step that was taken twice, both times the same."""

    def read(folder, rank=0):
        tasks = {}
        for line in (folder / f"tasks{rank}.jsonl").read_text().splitlines():
            step, *names = json.loads(line)
            assert tasks.setdefault(step, names) == names, f"step {step} had other tasks the second time"
        return tasks

    return read
