"""Two processes are one: the meta-gradient, the weights and the tasks of a really distributed run."""

import os
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch

from ldr2hdr.build import build_training

# What the one process and the two have in common: 4 tasks a step, 2 steps, no clipping, all shown to the recorder.
OVERRIDES = (
    "data.tasks_per_batch=4",
    "data.num_train_tasks=8",
    "data.num_val_tasks=2",
    "module.gradient_clip=1e9",
    "+callbacks.record._target_=test_ddp.RecordRun",
    "~callbacks.progress",
)


class RecordRun(L.Callback):
    """Save what each process saw and did: its tasks, the gradient of each step, and its weights in the end."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.gradients = []
        self.cameras = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        parameters = pl_module.learner.trainable()
        self.gradients.append(torch.cat([parameter.grad.flatten() for parameter in parameters]).clone())
        self.cameras.append(batch.cameras)

    def on_fit_end(self, trainer, pl_module):
        record = {
            "gradients": self.gradients,
            "cameras": self.cameras,
            "weights": pl_module.learner.state_dict(),
            "metrics": dict(trainer.callback_metrics),
        }
        torch.save(record, self.folder / f"rank{trainer.global_rank}of{trainer.world_size}.pt")


@pytest.fixture(scope="module")
def records(compose_train, tiny, cache_dir, tmp_path_factory):
    """The record of one process, and those of two."""
    folder = tmp_path_factory.mktemp("ddp")
    recorded = (*tiny, *OVERRIDES, f"+callbacks.record.folder={folder}")
    one = build_training(compose_train(folder / "one", *recorded))
    one.trainer.fit(one.module, one.datamodule)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ldr2hdr.train", *recorded, f"paths.cache_dir={cache_dir}"),
            *("hardware=multi_gpu", "trainer.accelerator=cpu", "trainer.devices=2", f"hydra.run.dir={folder / 'two'}"),
        ],
        # the processes meet on the loopback interface alone
        env=os.environ
        | {"PYTHONPATH": str(Path(__file__).parent), "MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
        | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names = ("rank0of1", "rank0of2", "rank1of2")
    return folder, [torch.load(folder / f"{name}.pt", weights_only=True) for name in names]


def test_two_processes_have_the_gradient_of_one(records):
    _, (one, *two) = records
    assert len(one["gradients"]) == 2
    for rank in two:
        for step, expected in enumerate(one["gradients"]):
            error = (rank["gradients"][step] - expected).norm() / expected.norm()
            assert expected.norm() > 0
            assert error < 1e-5, f"step {step}: {error}"


def test_two_processes_share_the_tasks_of_one(records):
    _, (one, first, second) = records
    for whole, *shares in zip(one["cameras"], first["cameras"], second["cameras"], strict=True):
        assert [len(share) for share in shares] == [2, 2]
        assert sorted(whole) == sorted(name for share in shares for name in share)


def test_the_processes_end_with_the_same_weights(records):
    _, (_, first, second) = records
    assert first["weights"].keys() == second["weights"].keys()
    assert all(torch.equal(tensor, second["weights"][name]) for name, tensor in first["weights"].items())


def test_validation_is_averaged_over_the_processes(records):
    _, (one, first, second) = records
    for key in ("val/pu_psnr@1", "val_unseen/pu_psnr@0"):
        assert first["metrics"][key] == second["metrics"][key]
        assert first["metrics"][key].item() == pytest.approx(one["metrics"][key].item(), abs=1e-3)


def test_the_first_process_alone_writes_the_run(records):
    folder, (_, first, _) = records
    written = {path.name for path in (folder / "two").rglob("*") if path.is_file()}
    assert {"last.ckpt", "best.ckpt", "manifest.json", "metrics.csv"} <= written
    checkpoint = torch.load(folder / "two" / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(
        torch.equal(tensor, first["weights"][name.removeprefix("learner.")])
        for name, tensor in checkpoint["state_dict"].items()
    )
