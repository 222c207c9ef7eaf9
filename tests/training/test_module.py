"""Real runs of the trainer: what is logged and saved, resuming, and the guards against numbers that are not finite."""

import logging
import math

import lightning as L
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn
from torch.utils.data import DataLoader

from ldr2hdr.build import build_training, load_learner
from ldr2hdr.meta.inner_loop import InnerLoop
from ldr2hdr.meta.maml import MAMLLearner
from ldr2hdr.meta.supervised import SupervisedLearner
from ldr2hdr.tasks import Shots, TaskBatch
from ldr2hdr.training.checkpoints import read_checkpoint
from ldr2hdr.training.module import MetaModule


class Constant(nn.Module):
    """Predicts one learned number everywhere."""

    def __init__(self, value=0.5):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(value))

    def sufficient_statistics(self, support):
        """No closed-form part."""

    def forward(self, ldr, statistics=None):
        return self.w.expand_as(ldr)


def half_square(pred, target):
    return 0.5 * (pred - target).square().mean()


def batch(*targets):
    exposure = torch.tensor(targets).view(-1, 1, 1, 1, 1).expand(-1, 2, 3, 8, 8)
    shots = Shots(torch.full_like(exposure, 0.5), exposure)
    names = tuple(f"camera{i}" for i in range(len(targets)))
    return TaskBatch(shots, shots, query_places=(("place",) * 2,) * len(targets), cameras=names)


@pytest.fixture
def fit(tmp_path):
    """Run MetaModule by a real trainer on the given batches, one each step."""

    def run(module, *batches):

        trainer = L.Trainer(
            accelerator="cpu",
            max_epochs=1,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        loaders = [DataLoader(list(part), batch_size=None) for part in (batches, batches)]
        trainer.fit(module, *loaders)
        return trainer

    return run


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=1.0)


def halving(optimizer):
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)


@pytest.fixture(scope="module")
def train(compose_train, tiny):
    """Train as the command line would: two steps an epoch, two epochs by default."""

    def run(folder, *overrides):
        cfg = compose_train(folder, *tiny, "trainer.max_steps=4", "~callbacks.progress", *overrides)
        training = build_training(cfg)
        training.trainer.fit(training.module, training.datamodule, ckpt_path=cfg.ckpt, weights_only=True)
        return training

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def trained(train, folder):
    return train(folder)


def theta(module):
    return {name: tensor.clone() for name, tensor in module.learner.state_dict().items()}


def test_metrics_are_logged_before_and_after_adaptation(trained):
    logged = trained.trainer.callback_metrics
    kinds = [f"{m}@{steps}" for m in ("pu_psnr", "log2_rmse") for steps in (0, 1)]
    assert {f"{where}/{kind}" for where in ("val", "val_unseen") for kind in kinds} <= logged.keys()
    assert {"train/loss", "train/loss@single", "train/skipped_tasks"} <= logged.keys()
    assert all(math.isfinite(value) for value in logged.values())
    assert logged["train/skipped_tasks"] == 0
    assert trained.trainer.global_step == 4


def test_validation_metrics_are_those_of_the_learner(trained):
    """Independent of Lightning's averaging: the mean over the two validation tasks, each of two pictures."""
    from ldr2hdr.metrics.hdr import evaluate_pictures

    (tasks, _) = trained.datamodule.val_tasks
    means = []
    for index in range(2):
        prediction = trained.module.learner.adapt(tasks[index].support)(tasks[index].query.ldr).detach()
        means.append(evaluate_pictures(prediction, tasks[index].query)["pu_psnr", "all"].mean().item())
    assert sum(means) / 2 == pytest.approx(trained.trainer.callback_metrics["val/pu_psnr@1"].item(), abs=1e-4)


def test_a_checkpoint_is_theta_and_the_configuration(trained, folder):
    path = folder / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["config"] == trained.module.run_config
    assert read_checkpoint(path).config.algo.inner.steps == 1
    state = theta(trained.module)
    assert checkpoint["state_dict"].keys() == {f"learner.{name}" for name in state}
    learner, _ = load_learner(path)
    assert not learner.training
    assert learner.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in learner.state_dict().items())


def test_validation_leaves_theta_bit_identical(train, tmp_path):
    run = train(tmp_path, "trainer.max_epochs=1")
    before = theta(run.module)
    run.trainer.validate(run.module, run.datamodule, verbose=False)
    assert all(torch.equal(tensor, before[name]) for name, tensor in theta(run.module).items())
    assert all(p.requires_grad for p in run.module.learner.parameters())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning")  # to that of the second run
@pytest.mark.parametrize(("name", "num_workers"), [("last", 0), ("best", 0), ("last", 2)])
def test_resuming_is_as_if_nothing_had_happened(train, trained, folder, tmp_path, name, num_workers):
    half = train(tmp_path, "trainer.max_epochs=1", f"data.num_workers={num_workers}")
    assert half.trainer.global_step == 2
    ckpt = tmp_path / "checkpoints" / f"{name}.ckpt"
    resumed = train(tmp_path / "again", f"ckpt={ckpt}", f"data.num_workers={num_workers}")
    assert resumed.trainer.global_step == 4
    whole = theta(trained.module)
    assert any(not torch.equal(tensor, whole[key]) for key, tensor in theta(half.module).items())
    for key, tensor in theta(resumed.module).items():
        assert torch.equal(tensor, whole[key]), key
    assert resumed.trainer.callback_metrics == trained.trainer.callback_metrics
    first, second = (
        torch.load(at / "checkpoints" / "last.ckpt", weights_only=True) for at in (folder, tmp_path / "again")
    )
    assert first["lr_schedulers"] == second["lr_schedulers"]


def test_the_mean_gradient_is_stepped(fit):
    module = MetaModule(SupervisedLearner(Constant(), half_square, inner=InnerLoop(lr=0.1, steps=1)), sgd)
    fit(module, batch(1.0, 2.0))
    assert module.learner.model.w.item() == pytest.approx(0.5 + ((1.0 - 0.5) + (2.0 - 0.5)) / 2, abs=1e-6)


def test_a_bad_task_is_skipped_counted_and_named(fit, caplog):
    module = MetaModule(SupervisedLearner(Constant(), half_square, inner=InnerLoop(lr=0.1, steps=1)), sgd)
    with caplog.at_level(logging.WARNING, logger="ldr2hdr"):
        trainer = fit(module, batch(1.0, float("nan"), 2.0))
    assert module.learner.model.w.item() == pytest.approx(1.5, abs=1e-6)
    assert module.num_skipped_tasks == 1
    assert trainer.callback_metrics["train/skipped_tasks"] == 1
    assert "camera1" in caplog.text


def test_one_bad_step_leaves_theta_the_schedule_and_the_count_of_steps(fit):
    module = MetaModule(
        SupervisedLearner(Constant(), half_square, inner=InnerLoop(lr=0.1, steps=1)),
        sgd,
        scheduler=halving,
        max_bad_steps=2,
        gradient_clip=10.0,
    )
    trainer = fit(module, batch(float("nan")), batch(1.0), batch(float("inf")), batch(3.0))
    assert trainer.global_step == 2
    # 0.5 -> 1 at rate 1, then half the way to 3
    assert module.learner.model.w.item() == pytest.approx(2.0, abs=1e-6)
    assert module.num_skipped_tasks == 2


def test_a_storm_of_bad_tasks_stops_the_run(fit):
    learner = MAMLLearner(Constant(), half_square, inner=InnerLoop(lr=1e30, steps=3))
    module = MetaModule(learner, sgd, max_bad_steps=3)
    with pytest.raises(FloatingPointError, match=r"in 3 outer steps in a row; lower algo\.inner\.lr"):
        fit(module, *[batch(1.0)] * 5)
    assert module.num_bad_steps == 3
    assert learner.model.w.item() == 0.5


def test_an_adaptation_that_diverges_in_validation_counts_as_black(train, tmp_path):
    run = train(tmp_path, "response=none", "+trainer.limit_train_batches=0", "trainer.max_epochs=1", "~callbacks.best")
    run.module.learner.rule.lr = 1e30
    (metrics, _) = run.trainer.validate(run.module, run.datamodule, verbose=False)
    assert 0 < metrics["val/pu_psnr@1"] < metrics["val/pu_psnr@0"]


@pytest.mark.parametrize("clip", [0.25, 100.0])
def test_clipping_bounds_the_norm_of_the_gradient(fit, clip):
    module = MetaModule(
        SupervisedLearner(Constant(), half_square, inner=InnerLoop(lr=0.1, steps=1)), sgd, gradient_clip=clip
    )
    fit(module, batch(4.0, 6.0))
    # theta - lr * clip: the gradient of -4.5 is cut to the bound
    assert module.learner.model.w.item() - 0.5 == pytest.approx(min(4.5, clip), rel=1e-5)


def test_guards_survive_a_checkpoint():
    module = MetaModule(SupervisedLearner(Constant(), half_square, inner=InnerLoop(lr=0.1, steps=1)), sgd)
    module.num_bad_steps, module.num_skipped_tasks = 3, 7
    checkpoint = {}
    module.on_save_checkpoint(checkpoint)
    module.num_bad_steps = module.num_skipped_tasks = 0
    module.on_load_checkpoint(checkpoint)
    assert (module.num_bad_steps, module.num_skipped_tasks) == (3, 7)


def test_the_anomaly_configuration_names_the_first_bad_layer(compose_train, tiny, tmp_path):
    training = build_training(compose_train(tmp_path, *tiny, "debug=anomaly", "~callbacks.progress"))
    with torch.no_grad():
        training.module.learner.model.backbone.down[0][3].weight[0, 0, 0, 0] = float("nan")
    layer = r"learner\.model\.backbone\.down\.0\.3 \((Closed)?Conv2d\) gave the first number that is not finite"
    with pytest.raises(FloatingPointError, match=layer + r".*input 0 .*: 0 bad.*weight .*: 1 bad"):
        training.trainer.fit(training.module, training.datamodule)


def test_a_run_starts_from_the_theta_of_another_algorithm(trained, folder, compose_train, tiny, tmp_path):
    ckpt = folder / "checkpoints" / "last.ckpt"
    start = build_training(compose_train(tmp_path, *tiny, "algo=reptile", f"init_ckpt={ckpt}")).module.learner.model
    theta = read_checkpoint(ckpt).learner_state
    assert all(torch.equal(tensor, theta[f"model.{name}"]) for name, tensor in start.state_dict().items())
    with pytest.raises(ValueError, match=r"was trained with backbone="):
        build_training(compose_train(tmp_path, *tiny, "backbone.widths=[5,9]", f"init_ckpt={ckpt}"))


def test_a_checkpoint_of_before_a_key_came_is_of_the_same_model(trained, folder, compose_train, tiny, tmp_path):
    content = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    config = OmegaConf.create(content["config"])
    assert config.backbone.pop("norm") == "pixel", "the parameter's default"
    torch.save(content | {"config": OmegaConf.to_yaml(config)}, tmp_path / "early.ckpt")
    start = f"init_ckpt={tmp_path / 'early.ckpt'}"
    build_training(compose_train(tmp_path, *tiny, start))
    with pytest.raises(ValueError, match=r"was trained with backbone="):
        build_training(compose_train(tmp_path, *tiny, start, "backbone.norm=group"))
