"""What a training run gives a sweep, and which runs a sweep refuses."""

import pytest
import torch

from ldr2hdr.build import build_training
from ldr2hdr.train import read_objective, require_own_processes


def test_the_objective_is_the_metric_asked_for():
    metrics = {"val/pu_psnr@1": torch.tensor(25.5), "train/loss": torch.tensor(1.0)}
    assert read_objective("val/pu_psnr@1", metrics) == 25.5
    assert read_objective(None, metrics) is None
    assert read_objective("val/pu_psnr@1", {"train/loss": torch.tensor(1.0)}) is None
    with pytest.raises(ValueError, match=r"optimized_metric=val/psnr is none of what was logged: val/pu_psnr@1"):
        read_objective("val/psnr", metrics)


def test_a_job_of_a_sweep_is_one_process(compose_train, tiny, tmp_path):
    many = ("hardware=multi_gpu", "trainer.accelerator=cpu", "trainer.devices=2")
    with pytest.raises(ValueError, match=r"cannot start 2 processes itself, got trainer.devices=2"):
        require_own_processes(build_training(compose_train(tmp_path, *tiny, *many)).trainer)
    require_own_processes(build_training(compose_train(tmp_path, *tiny)).trainer)
