"""Runs of version 0.1 load, predict and go on, with the numbers that version 0.1 gave.

``earlier_run`` is two steps of its demo with widths [4, 8]; the expected numbers are printed by its own code.
"""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from ldr2hdr.build import build_training, load_learner
from ldr2hdr.layers import convolution
from ldr2hdr.tasks import Shots
from ldr2hdr.train import fit
from ldr2hdr.training.checkpoints import read_checkpoint
from ldr2hdr.training.earlier import require_present_keys, upgrade_config
from ldr2hdr.training.replay import choose_config

pytestmark = pytest.mark.slow

RUN = Path(__file__).with_name("earlier_run")
# at row 3, column 5 of the picture, and its mean
PREDICTED = {
    0: ([1.2729018926620483, 0.48899567127227783, 0.07801584154367447], 0.4751105292889406),
    3: ([1.2540827989578247, 0.48115643858909607, 0.07668451964855194], 0.4683165494006971),
}
SINGLE_SHOT_MEAN = 0.31735476878263097
RESUMED = {
    "train/loss": [0.1366719752550125, 0.11914517730474472],
    "train/loss@single": [0.24234449863433838, 0.27426964044570923],
    "val/pu_psnr@0": [28.502357482910156],
    "val/pu_psnr@3": [28.413368225097656],
    "val_unseen/pu_psnr@3": [21.543487548828125],
    "val/log2_rmse@3": [0.23376977443695068],
}


def test_an_earlier_checkpoint_predicts_as_it_did(monkeypatch):
    # by the convolutions of then: three inner steps carry the rounding of others to 1.2e-5
    monkeypatch.setattr(convolution, "winograd_kernels", lambda *_, **__: None)
    learner, cfg = load_learner(RUN / "checkpoints" / "last.ckpt")
    assert (learner.inner.lr, learner.inner.steps, cfg.algo.single_shot_weight) == (0.05, 3, 0.1)
    ramp = torch.linspace(0, 1, 2 * 3 * 16 * 16).view(2, 3, 16, 16)
    support = Shots(ramp, 1.5 * ramp**2.2)
    picture = torch.linspace(1, 0, 3 * 16 * 16).view(1, 3, 16, 16)
    with torch.no_grad():
        for steps, (pixel, mean) in PREDICTED.items():
            predicted = learner.adapt(support, steps=steps)(picture)
            assert predicted[0, :, 3, 5].tolist() == pytest.approx(pixel, rel=1e-5)
            assert predicted.double().mean().item() == pytest.approx(mean, rel=1e-5)
        single = learner.single_shot()(picture)
    assert single.double().mean().item() == pytest.approx(SINGLE_SHOT_MEAN, rel=1e-5)


@pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning")  # to that of the copy
def test_an_earlier_run_goes_on_as_it_would_have(compose_train, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(RUN, folder)
    typed = (f"resume='{folder}'", "trainer.max_steps=4", "~callbacks.progress")
    fit(build_training(choose_config(compose_train(folder, f"resume='{folder}'"), typed)))
    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name, values in RESUMED.items():
        assert [float(row[name]) for row in rows if row[name]] == pytest.approx(values, rel=1e-4), name
    assert "inner_lr" not in read_checkpoint(folder / "checkpoints" / "last.ckpt").config.algo


def test_the_context_of_an_earlier_cavia_is_what_adapts():
    algo = OmegaConf.create(upgrade_config("algo: {inner_lr: 1.0, engine: fast, num_context: 4}")).algo
    assert algo.inner.adapts == ["context"]
    assert (algo.inner.lr, algo.inner.engine) == (1.0, "fast")
    assert set(algo) == {"inner", "num_context"}


def test_a_present_configuration_stays():
    text = upgrade_config(json.loads((RUN / "manifest.json").read_text())["composed"])
    assert upgrade_config(text) == text


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("algo.inner_lr=0.1", "algo.inner_lr is now algo.inner.lr"),
        ("algo.inner_steps=1,3", "algo.inner_steps is now algo.inner.steps"),
        ("++algo.inner_clip=1", "algo.inner_clip is now algo.inner.clip"),
        ("~algo.adapts", "algo.adapts is now algo.inner.adapts"),
        ("algo.engine=fast", "algo.engine is now algo.inner.engine"),
        ("algo.inner_optimizer.decay=0.5", "algo.inner_optimizer.decay is now algo.inner.optimizer.decay"),
    ],
)
def test_an_earlier_key_is_refused_with_the_present_one(typed, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        require_present_keys(["experiment=smoke", typed])


def test_present_keys_are_not_refused():
    require_present_keys(["algo.inner.lr=0.1", "algo=maml", "inner_optimizer=adam", "algo.single_shot_weight=1"])
