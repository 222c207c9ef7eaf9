"""Every set can be named on the command line: its configuration makes the reader, and the reader makes tasks."""

from pathlib import Path

import pytest
import torch
from lookalikes import BRACKETS, LOOKALIKES

from ldr2hdr import cli
from ldr2hdr.build import CONF_DIR, RunError, build_training, one_screen_errors
from ldr2hdr.data.tasks.brackets import BracketTasks

pytestmark = pytest.mark.slow

SMALL = ("task.crop_px=16", "backbone.widths=[4,8]", "~callbacks.progress")
OPTIONS = {path.stem for path in (Path(CONF_DIR) / "dataset").glob("*.yaml")}
SCENE_SOURCES = {"panoramas", "hdr_folder"}


def test_every_reader_has_its_option_and_every_option_is_tried():
    assert set(LOOKALIKES) == OPTIONS - SCENE_SOURCES


@pytest.fixture
def build(compose_train, root, tmp_path):
    """Build a training run on a look-alike with scenes in all splits; ``{root}`` stands for its folder."""

    def build_run(name, *overrides):
        LOOKALIKES[name].write_all(root, range(18))
        shares = [] if name == "hdr_eye" else [f"dataset.{name}.fractions=[0.5,0.3,0.2]"]
        cfg = compose_train(tmp_path, *SMALL, f"dataset={name}", f"dataset.root={root}", *shares, *overrides)
        with one_screen_errors():
            return build_training(cfg)

    return build_run


@pytest.mark.parametrize("name", sorted(set(LOOKALIKES) - {"drtmo", "hdr_eye"}))
def test_a_set_with_hdr_is_rendered_by_virtual_cameras(build, name):
    datamodule = build(name, "task=scene").datamodule
    for tasks in (datamodule.train_tasks, *datamodule.val_tasks):
        task = tasks[0]
        assert torch.isfinite(task.query.exposure).all()
        assert task.camera.startswith("pointwise-")


@pytest.mark.parametrize("name", BRACKETS)
def test_a_set_of_brackets_is_taken_as_photographed(build, name):
    training = build(name, "task=bracket", "task.shots=1")
    for tasks in (training.datamodule.train_tasks, *training.datamodule.val_tasks):
        assert isinstance(tasks, BracketTasks)
        assert tasks[0].query.ldr.shape == (1, 3, 16, 16)


def test_a_training_step_on_photographed_brackets(build):
    training = build("bracket_folder", "experiment=smoke", "task=bracket", "algo.inner.steps=1")
    before = [parameter.clone() for parameter in training.module.learner.trainable()]
    training.trainer.fit(training.module, training.datamodule)
    after = training.module.learner.trainable()
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert all(bool(torch.isfinite(parameter).all()) for parameter in after)


def test_training_on_a_prepared_set_is_training_on_its_files(build, root, tmp_path):
    """To the last bit: batches that travel packed are those of the files."""

    def train(*overrides):
        training = build("bracket_folder", "experiment=smoke", "task=bracket", "algo.inner.steps=1", *overrides)
        training.trainer.fit(training.module, training.datamodule)
        return training.module.learner.state_dict(), training.trainer.callback_metrics

    weights, metrics = train(f"paths.output_dir={tmp_path / 'of_files'}")
    assert cli.main(["prepare", str(root), "--dataset", "bracket_folder", "-o", str(tmp_path / "out")]) == 0
    of_prepared, metrics_of_prepared = train(f"task.prepared={tmp_path / 'out'}")
    assert all(torch.equal(tensor, of_prepared[name]) for name, tensor in weights.items())
    assert metrics == metrics_of_prepared
    assert "val/pu_psnr@1" in metrics


@pytest.fixture
def build_two(compose_train, tmp_path):
    """Build a run on two sets with scenes in all splits."""
    for name in ("kalantari", "ntire2021"):
        LOOKALIKES[name].write_all(tmp_path / name, range(18))

    def build_run(*overrides):
        roots = [f"dataset.{name}.root={tmp_path / name}" for name in ("kalantari", "ntire2021")]
        cfg = compose_train(tmp_path, *SMALL, "dataset=[kalantari,ntire2021]", *roots, *overrides)
        with one_screen_errors():
            return build_training(cfg)

    return build_run


def test_several_sets_take_turns(build_two):
    tasks = build_two("task=bracket").datamodule.train_tasks
    assert [tasks[i].camera for i in range(4)] == ["kalantari", "ntire2021"] * 2
    weighted = build_two("task=bracket", "dataset.weights={ntire2021: 3, kalantari: 1}").datamodule.train_tasks
    assert [weighted[i].camera for i in range(8)].count("ntire2021") == 6
    rendered = build_two("task=scene").datamodule.train_tasks
    assert len({rendered[i].camera for i in range(6)}) == 6


def test_weights_of_other_sets_are_refused(build_two):
    with pytest.raises(RunError, match=r"dataset.weights must be a positive number for each data set, kalantari, nt"):
        build_two("task=bracket", "dataset.weights={kalantari: 1}")


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("hdr_real", ["task=bracket"], "for 1 exposures in scene 'train/.*lower task.shots"),
        ("drtmo", ["task=bracket"], "no scene with exposures and an HDR"),
        ("drtmo", ["task=scene"], "shows no place: a small folder may leave a split empty"),
        ("hdr_eye", ["task=scene"], "the train split of HdrEye shows no place"),
        ("funt", ["task=scene", "dataset.funt.fractions=[1.0,1.0,0.0]"], "dataset.fractions must be shares"),
    ],
)
def test_what_a_set_cannot_be_used_for_is_told(build, name, overrides, message):
    with pytest.raises(RunError, match=message):
        build(name, *overrides)
