"""Every option of every group works, every experiment takes a step, typos are rejected, the default is known."""

import csv
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf

from ldr2hdr.build import CONF_DIR, RunError, build_source, build_tasks, build_training, one_screen_errors

CONF = Path(CONF_DIR)
SNAPSHOT = Path(__file__).with_name("train_default.yaml")
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
# experiments of evaluate.yaml set keys that train.yaml has not
OF_EVALUATION = [name for name in EXPERIMENTS if name.endswith("evaluate")]
# the sets of pictures, and the task that wants them, are tried in tests/data/datasets on sets written there
OF_SETS = {("task", "bracket")} | {
    ("dataset", path.stem)
    for path in CONF.glob("dataset/*.yaml")
    if OmegaConf.load(path)._target_.startswith("ldr2hdr.data.datasets.")
}
# groups that are no part of a training run: tried elsewhere
OTHERS = ("experiment", "hparams_search", "metrics", "systems")
OPTIONS = sorted(
    (path.parent.name, path.stem)
    for path in CONF.glob("*/*.yaml")
    if path.parent.name not in OTHERS and (path.parent.name, path.stem) not in OF_SETS
)


@pytest.fixture
def picture_folder(tmp_path):
    """What dataset=hdr_folder needs, which has no default: two pictures for each split."""
    from ldr2hdr.data.scenes.places import SPLITS, split_by_hash
    from ldr2hdr.io import write_image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for peak, split in enumerate(SPLITS, start=2):  # of copies one alone would be shown
        names = (f"scene{i}" for i in range(200))
        name = next(name for name in names if split_by_hash(name, (0.8, 0.1, 0.1), seed=0) == split)
        write_image(folder / f"{name}.exr", torch.linspace(0, peak, 3 * 32 * 32).view(3, 32, 32))
    return folder


def test_the_groups_are_those_known():
    """A new group needs a line in conf/train.yaml, or its options are never tried here."""
    groups = {name for name, _ in OPTIONS} | {"experiment"}
    defaults = OmegaConf.load(CONF / "train.yaml").defaults
    assert groups <= {group for entry in defaults if entry != "_self_" for group in entry}


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_builds(compose_train, tmp_path, picture_folder, group, option):
    if option == "mlflow":
        pytest.importorskip("mlflow")
    if (group, option) == ("labels", "teacher"):
        pytest.skip("a teacher is a checkpoint: tests/test_build.py makes one")
    needs = {"dataset=hdr_folder": [f"dataset.root={picture_folder}"], "labels=merge": ["task=scene"]}
    cfg = compose_train(tmp_path, "task.crop_px=16", f"{group}={option}", *needs.get(f"{group}={option}", []))
    if cfg.trainer.accelerator == "gpu" and not torch.cuda.is_available():
        with pytest.raises(RunError, match=r"trainer\.accelerator=gpu"), one_screen_errors():
            build_training(cfg)
        return
    training = build_training(cfg)
    task = training.datamodule.train_tasks[0]
    loss = training.module.learner.loss(training.module.learner.single_shot()(task.query.ldr), task.query.exposure)
    assert torch.isfinite(loss)
    assert training.trainer.loggers
    assert training.module.configure_optimizers()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*EXPERIMENTS} - {*OF_EVALUATION}))
def test_every_experiment_takes_a_step(compose_train, tmp_path, name):
    small = ("data.tasks_per_batch=1", "data.num_train_tasks=1", "data.num_val_tasks=1", "data.num_workers=0")
    once = ("task.crop_px=16", "trainer.max_steps=1", "trainer.log_every_n_steps=1", "~callbacks.progress")
    cfg = compose_train(tmp_path, f"experiment={name}", *small, *once)
    training = build_training(cfg)
    before = [parameter.clone() for parameter in training.module.learner.trainable()]
    training.trainer.fit(training.module, training.datamodule)
    assert training.trainer.global_step == 1
    after = training.module.learner.trainable()
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert all(bool(torch.isfinite(parameter).all()) for parameter in after)


@pytest.mark.parametrize("name", [None, *OF_EVALUATION])
def test_every_evaluation_has_its_tasks(cache_dir, name):
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        experiment = [] if name is None else [f"experiment={name}"]
        cfg = compose("evaluate", overrides=["ckpt=a.ckpt", f"paths.cache_dir={cache_dir}", *experiment])
    for ranges in cfg.ranges:
        tasks = build_tasks(cfg, build_source(cfg), split="test", ranges=ranges, seed=cfg.seed)
        names = {tasks[index].camera.split("-")[0] for index in range(len(cfg.camera))}
        assert names == set(cfg.camera)
    assert 0 in cfg.steps


@pytest.mark.parametrize(
    ("typo", "named"),
    [("foo=1", "foo"), ("backbone.foo=1", "backbone.foo"), ("algo=mmal", "mmal"), ("trainer.max_step=3", "max_step")],
)
def test_typos_are_rejected(compose_train, tmp_path, typo, named):
    with pytest.raises(ConfigCompositionException, match=named):
        compose_train(tmp_path, typo)


def test_the_resolved_default_is_the_checked_in_one():
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("train", overrides=["paths.output_dir=OUTPUT", "paths.cache_dir=CACHE"])
    assert OmegaConf.to_yaml(cfg, resolve=True) == SNAPSHOT.read_text(), (
        "the default run has changed; if that is meant, write it down by `python -m ldr2hdr.train --cfg job --resolve "
        "paths.output_dir=OUTPUT paths.cache_dir=CACHE > tests/conf/train_default.yaml`"
    )


@pytest.fixture
def smoke(compose_train, tiny, tmp_path):
    """Run the smoke experiment with some loggers."""

    def run(*overrides):
        training = build_training(compose_train(tmp_path, *tiny, "~callbacks.progress", *overrides))
        training.trainer.fit(training.module, training.datamodule)
        return training

    return run


def test_local_logs_are_csv_and_tensorboard(smoke, tmp_path):
    training = smoke("logger=local")
    with (tmp_path / "csv" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = {
        f"{w}/{m}@{k}" for w in ("val", "val_unseen") for m in ("pu_psnr", "log2_rmse") for k in ("single", 0, 1)
    }
    expected |= {"train/loss", "train/loss@single", "train/skipped_tasks", "train/lr", "train/gradient_norm"}
    assert rows[0].keys() == expected | {"epoch", "step"}
    rate = training.trainer.optimizers[0].defaults["lr"]
    assert next(float(row["train/lr"]) for row in rows if row["train/lr"]) == pytest.approx(rate)
    assert [row["step"] for row in rows if row["train/loss"]] == ["0", "1"]
    assert [row["step"] for row in rows if row["val/pu_psnr@1"]] == ["1"]
    (events,) = (tmp_path / "tensorboard").glob("events.out.tfevents.*")
    assert events.stat().st_size > 500


def test_wandb_works_offline_without_an_account(smoke, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    smoke("logger=wandb")
    wandb.finish()
    (run,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    assert run.stat().st_size > 0
    assert (tmp_path / "csv" / "metrics.csv").is_file()
