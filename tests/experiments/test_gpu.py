"""The command for the day a GPU is there, on devices that are here: the CPU, and the emulated one."""

import json
from pathlib import Path

import pytest
import torch
from accelerator.emulated import NAME, counting
from load_scripts import load_scripts

from ldr2hdr.losses import LogL1
from ldr2hdr.tasks import Shots, TaskBatch

FOLDER = Path(__file__).parents[2] / "experiments" / "gpu"


@pytest.fixture(scope="module")
def scripts():
    return load_scripts(FOLDER, ("vmap_baseline", "measure"))


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", NAME])
def test_steps_and_precisions_are_measured_on_any_device(scripts, device, tmp_path):
    small = ["--px", "8", "--tasks", "2", "--repeats", "1", "--outer-steps", "1", "--algorithms", "fomaml", "r2d2"]
    scripts["measure"].main(["--device", device, "--out", str(tmp_path), "--pieces", "steps", "bf16", *small])
    found = json.loads((tmp_path / f"{device}.json").read_text())
    engines = {row["engine"] for row in found["steps"]}
    assert engines == {"learn2learn", "plain vmap", "one after another", "stacked"}
    assert all(row["ms"] > 0 for row in found["steps"])
    assert min(min(pair.values()) for pair in found["bf16"].values()) > 0.95


def test_a_piece_after_its_time_is_left_out_and_others_stay(scripts, tmp_path):
    out = ["--device", "cpu", "--out", str(tmp_path), "--outer-steps", "0"]
    scripts["measure"].main([*out, "--pieces", "bf16", "--px", "8", "--tasks", "2", "--algorithms", "fomaml"])
    scripts["measure"].main([*out, "--pieces", "steps", "ddp", "--minutes", "0"])
    found = json.loads((tmp_path / "cpu.json").read_text())
    assert found["steps"] == found["ddp"] == {"left_out": "the time was over"}
    assert list(found["bf16"]) == ["fomaml"]


def test_a_command_that_fails_shows_why(scripts, capsys):
    with pytest.raises(SystemExit, match="ended with 1"):
        scripts["measure"].run(["python", "-c", "raise SystemExit('the reason')"], 60)
    assert "the reason" in capsys.readouterr().out


@pytest.mark.slow
def test_a_training_on_the_device_is_judged_beside_one_on_the_cpu(scripts, cache_dir, tmp_path):
    tiny = ["trainer.max_steps=2", "backbone.widths=[4,8]", "task.crop_px=16", f"paths.cache_dir={cache_dir}"]
    places = ["--out", str(tmp_path), "--work", str(tmp_path / "runs")]
    pieces = ["--pieces", "score", "ddp", "--device", "cpu", *places, "--training", *tiny]
    scripts["measure"].main(pieces)
    found = json.loads((tmp_path / "cpu.json").read_text())
    assert found["score"]["is_equal"]
    assert found["score"]["device"] == found["score"]["cpu"]["mean"]
    assert found["ddp"]["seconds"] > 0


@pytest.mark.parametrize("algorithm", ["maml", "fomaml", "reptile"])
def test_plain_vmap_has_our_gradient_by_more_launches(scripts, algorithm):
    """T = 2 at 8 pixels, in double precision."""
    cpu = torch.device("cpu")
    given = scripts["measure"].tasks(cpu, px=8, num_tasks=2)
    support, query = (Shots(part.ldr.double(), part.exposure.double()) for part in (given.support, given.query))
    batch = TaskBatch(support, query, given.query_places, given.cameras).to(NAME)
    learner = scripts["measure"].make(algorithm, cpu, engine="stacked").double().to(NAME)
    step = scripts["vmap_baseline"].plain_vmap(learner.model, LogL1(), algorithm=algorithm, lr=0.05, steps=3)
    counts = []
    for take in (step, learner.outer_step):
        take(batch)
        with counting() as count:
            result = take(batch)
        counts.append(count.launches)
        if take is step:
            expected = result
    for found, wanted in zip(result.gradient_sum, expected, strict=True):
        torch.testing.assert_close(found.cpu(), wanted.cpu(), rtol=1e-8, atol=1e-10)
    assert counts[0] > 2 * counts[1]
