"""From configuration to objects: what is wrong with a run is told in one screen, before it starts."""

import hashlib
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ldr2hdr.build import (
    RunError,
    build_learner,
    build_source,
    build_tasks,
    build_training,
    load_learner,
    one_screen_errors,
    set_precision,
    set_threads,
)
from ldr2hdr.io.exr import write_exr
from ldr2hdr.training.checkpoints import checkpoint_hash, read_checkpoint

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


@pytest.fixture
def refused(compose_train, tiny, tmp_path):
    """The message with which a run of these overrides is refused."""

    def run(*overrides):
        before = sorted(tmp_path.rglob("*"))
        cfg = compose_train(tmp_path / "run", *tiny, *overrides)
        with pytest.raises(RunError) as caught, one_screen_errors():
            build_training(cfg)
        assert sorted(tmp_path.rglob("*")) == before, "something was written"
        assert caught.value.__suppress_context__
        assert len(str(caught.value).splitlines()) < 8
        return str(caught.value)

    return run


@pytest.fixture
def checkpoint(compose_train, tiny, tmp_path):
    """A file with the two entries that are read of a checkpoint."""

    def write(path, *overrides):
        training = build_training(compose_train(tmp_path, *tiny, *overrides))
        state = {f"learner.{name}": tensor for name, tensor in training.module.learner.state_dict().items()}
        torch.save({"config": training.module.run_config, "state_dict": state}, path)
        return path

    return write


def picture(height=40, width=48):
    return np.linspace(0, 4, height * width * 3, dtype=np.float32).reshape(height, width, 3)


def test_the_seed_decides_theta(compose_train, tiny, tmp_path):
    states = []
    for seed in (0, 0, 1):
        training = build_training(compose_train(tmp_path, *tiny, f"seed={seed}"))
        states.append(training.module.learner.state_dict())
    weight = "model.backbone" + next(k for k in states[0] if "backbone" in k).removeprefix("model.backbone")
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    assert not torch.equal(states[0][weight], states[2][weight])


def test_loading_a_learner_gives_its_parameters(compose_train, tiny, tmp_path, checkpoint):
    path = checkpoint(tmp_path / "a.ckpt", "seed=5", "algo.inner.lr=0.125")
    learner, cfg = load_learner(path)
    saved = torch.load(path, weights_only=True)["state_dict"]
    assert all(torch.equal(tensor, saved[f"learner.{name}"]) for name, tensor in learner.state_dict().items())
    assert (learner.inner.lr, learner.training, cfg.seed) == (0.125, False, 5)
    assert read_checkpoint(path).config == cfg
    assert checkpoint_hash(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_tasks_are_by_the_cameras_asked_for(compose_train, tiny, tmp_path):
    cfg = compose_train(tmp_path, *tiny, "camera=[pointwise,phone]")
    names = [
        [tasks[i].camera.split("-")[0] for i in range(2)]
        for tasks in (
            build_tasks(cfg, build_source(cfg), split="val", ranges="seen", seed=0, camera=camera)
            for camera in (None, "phone")
        )
    ]
    assert names == [["pointwise", "phone"], ["phone", "phone"]]


def test_threads_are_set_if_asked(compose_train, tmp_path):
    try:
        set_threads(compose_train(tmp_path, "num_threads=2"))
        assert torch.get_num_threads() == 2
        set_threads(compose_train(tmp_path))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.fixture
def torch_settings():
    """What a run may change for the whole process, put back."""
    cudnn, is_warning = torch.backends.cudnn, torch.is_deterministic_algorithms_warn_only_enabled()
    kept = cudnn.benchmark, cudnn.deterministic, torch.are_deterministic_algorithms_enabled()
    precision = torch.get_float32_matmul_precision(), cudnn.allow_tf32
    yield
    cudnn.benchmark, cudnn.deterministic, is_deterministic = kept
    torch.use_deterministic_algorithms(is_deterministic, warn_only=is_warning)
    torch.set_float32_matmul_precision(precision[0])
    cudnn.allow_tf32 = precision[1]


@pytest.mark.parametrize("is_tf32", [False, True, None])
def test_products_of_float32_are_whole_unless_asked_otherwise(compose_train, tmp_path, torch_settings, is_tf32):
    """None: a configuration of before the key."""
    cfg = compose_train(tmp_path, "~tf32" if is_tf32 is None else f"tf32={is_tf32}")
    torch.set_float32_matmul_precision("medium")
    set_precision(cfg)
    assert torch.get_float32_matmul_precision() == ("high" if is_tf32 else "highest")
    assert torch.backends.cudnn.allow_tf32 is bool(is_tf32)


def test_keys_of_the_trainer_reach_cudnn(compose_train, tiny, tmp_path, torch_settings):
    for value in (True, False):
        keys = (f"+trainer.benchmark={value}", f"+trainer.deterministic={not value}", f"tf32={value}")
        build_training(compose_train(tmp_path, *tiny, *keys))
        assert torch.backends.cudnn.benchmark is value
        assert torch.are_deterministic_algorithms_enabled() is not value
        assert torch.backends.cudnn.allow_tf32 is value


@pytest.mark.parametrize("hardware", ["gpu", "multi_gpu", "multi_node"])
def test_the_defaults_on_a_gpu_are_those_that_the_readme_states(compose_train, tmp_path, hardware):
    cfg = compose_train(tmp_path, f"hardware={hardware}")
    stated = Path("README.md").read_text()
    found = {"tf32": cfg.tf32, **{f"trainer.{key}": cfg.trainer[key] for key in ("benchmark", "deterministic")}}
    assert found == {"tf32": False, "trainer.benchmark": False, "trainer.deterministic": False}
    assert all(f"`{key}={str(value).lower()}`" in stated for key, value in found.items())
    assert f"`trainer.precision={cfg.trainer.precision}`" in stated


@pytest.mark.parametrize(
    "key",
    [
        "algo",
        "algo.inner",
        "backbone",
        "response",
        "loss",
        "optimizer",
        "scheduler",
        "data",
        "module",
        "task",
        "trainer",
    ],
)
def test_a_key_that_is_no_parameter_is_refused(refused, key):
    message = refused(f"+{key}.foo=1")
    assert "foo" in message


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["ckpt=nowhere.ckpt"], ["no checkpoint at ckpt=nowhere.ckpt"]),
        (["task=scene", "task.shots=5"], ["task.shots", "shots=5", "4 exposures"]),
        (["data.tasks_per_batch=3"], ["data.tasks_per_batch"]),
        (["algo.inner.lr=0.0"], ["algo.inner.lr"]),
        (["dataset=hdr_folder", "dataset.root=nowhere"], ["dataset.root=nowhere"]),
        (["dataset=hdr_folder"], ["dataset.root"]),
        (["algo.inner.steps=abc"], ["algo.inner.steps=abc: expected a whole number"]),
        (["algo.inner.lr=[1]"], ["algo.inner.lr=[1]: expected a number"]),
        (["seed=abc"], ["seed=abc: expected a whole number"]),
        (["+trainer.precision=abc"], ["trainer.precision=abc: expected", "bf16-mixed", "or null"]),
        (["dataset.panoramas.fov_deg=60"], ["dataset.panoramas.fov_deg=60: expected a list of numbers"]),
        (["logger=wandb", "logger.wandb.offline=abc"], ["logger.wandb.offline=abc: expected true or false"]),
        (["algo.first_order=1", "seed=null"], ["algo.first_order=1: expected true or false", "seed=null"]),
    ],
)
def test_bad_settings_name_their_key(refused, overrides, words):
    message = refused(*overrides)
    assert all(word in message for word in words), message


@NO_GPU
@pytest.mark.parametrize("hardware", ["gpu", "multi_gpu", "multi_node"])
def test_hardware_that_is_not_there_is_named(refused, hardware):
    message = refused(f"hardware={hardware}")
    assert "trainer.accelerator=gpu" in message
    assert "hardware=cpu" in message


def test_a_checkpoint_of_another_network_is_refused(refused, checkpoint, tmp_path):
    path = checkpoint(tmp_path / "unet.ckpt")
    message = refused(f"ckpt={path}", "backbone.widths=[4,4]")
    assert str(path) in message
    assert "backbone" in message
    assert "[4, 8]" in message
    assert "response" in refused(f"ckpt={path}", "response=none")


class Malicious:
    def __reduce__(self):
        return print, ("ran",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a readable PyTorch file"),
        (b"certainly no checkpoint", "is no PyTorch file"),
        (pickle.dumps(Malicious(), protocol=2), "no PyTorch file, or holds more than tensors"),
        ({"state_dict": {}}, "needs the keys config and state_dict"),
        ([1, 2], "needs the keys config and state_dict"),
    ],
)
def test_what_is_no_checkpoint_is_refused(refused, tmp_path, capsys, content, reason):
    path = tmp_path / "broken.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    message = refused(f"ckpt={path}")
    assert str(path) in message
    assert reason in message
    assert "ran" not in capsys.readouterr().out


def test_a_truncated_checkpoint_is_refused(refused, checkpoint, tmp_path):
    path = checkpoint(tmp_path / "cut.ckpt")
    path.write_bytes(path.read_bytes()[:-1000])
    assert f"ckpt={path} is not a readable PyTorch file" in refused(f"ckpt={path}")


def make_truncated(folder):
    write_exr(folder / "bad.exr", picture())
    (folder / "bad.exr").write_bytes((folder / "bad.exr").read_bytes()[:-2000])


def make_ldr_named_hdr(folder):
    cv2.imwrite(str(folder / "bad.png"), np.full((40, 48, 3), 128, np.uint8))
    (folder / "bad.png").rename(folder / "bad.hdr")


def make_undefined(folder):
    pixels = picture()
    pixels[3, 4, 1] = np.nan
    write_exr(folder / "bad.exr", pixels, is_half=False)


def make_small(folder):
    write_exr(folder / "bad.exr", picture(height=15))


@pytest.mark.parametrize(
    ("make_bad", "reason"),
    [
        (make_truncated, "bad.exr"),
        (make_ldr_named_hdr, "PNG"),
        (make_undefined, "bad.exr"),
        (make_small, "lower task.crop_px"),
    ],
)
def test_a_bad_picture_is_named(refused, tmp_path, make_bad, reason):
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_exr(folder / "good.exr", picture())
    make_bad(folder)
    message = refused("dataset=hdr_folder", f"dataset.root={folder}")
    assert str(folder / "bad.") in message
    assert reason in message


@pytest.mark.parametrize("error", [ValueError("a"), FileNotFoundError("a"), FloatingPointError("a")])
def test_what_a_user_can_mend_becomes_one_screen(error):
    with pytest.raises(RunError, match="a"), one_screen_errors():
        raise error


def test_our_own_mistakes_keep_their_frames():
    with pytest.raises(AttributeError), one_screen_errors():
        raise AttributeError("a bug")


def test_the_learner_is_what_the_configuration_says(compose_train, tiny, tmp_path):
    learner = build_learner(compose_train(tmp_path, *tiny, "algo=reptile", "loss=mu_law_l1", "algo.inner.steps=7"))
    assert (type(learner).__name__, type(learner.loss).__name__) == ("ReptileLearner", "MuLawL1")
    assert learner.inner.steps == 7


def test_a_teacher_labels_the_support_and_never_the_query(compose_train, tiny, tmp_path, checkpoint):
    teacher = checkpoint(tmp_path / "teacher.ckpt")
    cfgs = [compose_train(tmp_path, *tiny, "labels=teacher", f"labels.ckpt={teacher}"), compose_train(tmp_path, *tiny)]
    taught, true = (build_tasks(cfg, build_source(cfg), split="train", ranges="seen", seed=0)[0] for cfg in cfgs)
    learner, _ = load_learner(teacher)
    with torch.no_grad():
        expected = learner.single_shot()(taught.support.ldr)
    assert torch.equal(taught.support.exposure, expected)
    assert not torch.equal(taught.support.exposure, true.support.exposure)
    assert torch.equal(taught.query.exposure, true.query.exposure)


def test_merged_labels_want_one_scene(refused):
    assert "task=scene" in refused("labels=merge")
