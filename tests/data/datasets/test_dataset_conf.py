"""Every set can be named on the command line: its configuration makes the reader, and the reader makes tasks."""

from pathlib import Path

import pytest
import torch
from lookalikes import LOOKALIKES

from ldr2hdr.build import CONF_DIR, RunError, build_training, one_screen_errors

FRACTIONS = "dataset.fractions=[0.5,0.3,0.2]"
SMALL = ("task.crop_px=16", "backbone.widths=[4,8]", "~callbacks.progress")
OPTIONS = {path.stem for path in (Path(CONF_DIR) / "dataset").glob("*.yaml")}
SCENE_SOURCES = {"panoramas", "hdr_folder", "folder"}


def test_every_reader_has_its_option_and_every_option_is_tried():
    assert set(LOOKALIKES) == OPTIONS - SCENE_SOURCES


@pytest.fixture
def build(compose_train, root, tmp_path):
    """Build a training run on a look-alike with scenes in all splits; ``{root}`` stands for its folder."""

    def build_run(name, *overrides):
        LOOKALIKES[name].write_all(root, range(18))
        cfg = compose_train(tmp_path, *SMALL, f"dataset={name}", f"dataset.root={root}", *overrides)
        with one_screen_errors():
            return build_training(cfg)

    return build_run


@pytest.mark.parametrize("name", sorted(set(LOOKALIKES) - {"drtmo", "hdr_eye"}))
def test_a_set_with_hdr_is_rendered_by_virtual_cameras(build, name):
    datamodule = build(name, "task=scene", FRACTIONS).datamodule
    for tasks in (datamodule.train_tasks, *datamodule.val_tasks):
        task = tasks[0]
        assert torch.isfinite(task.query.exposure).all()
        assert task.camera.startswith("pointwise-")


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("hdr_real", ["task=bracket"], "for 1 exposures in scene 'train/.*lower task.shots"),
        ("drtmo", ["task=bracket"], "no scene with exposures and an HDR"),
        ("drtmo", ["task=scene"], "shows no place; change dataset"),
        ("hdr_eye", ["task=scene"], "the train split of HdrEye shows no place"),
        ("funt", ["task=scene", "dataset.fractions=[1.0,1.0,0.0]"], "dataset.fractions must be shares"),
    ],
)
def test_what_a_set_cannot_be_used_for_is_told(build, name, overrides, message):
    with pytest.raises(RunError, match=message):
        build(name, *overrides)
