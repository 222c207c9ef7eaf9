"""What a run writes about itself can be read back, and is of this code."""

import json
import subprocess
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from torch import nn

from ldr2hdr.build import build_training
from ldr2hdr.io import ImageError
from ldr2hdr.io.files import write_json
from ldr2hdr.meta.inner_loop import InnerLoop
from ldr2hdr.meta.supervised import SupervisedLearner
from ldr2hdr.training.callbacks import RunManifest, manifest, panels, provenance
from ldr2hdr.training.callbacks.panels import PanelLogger
from ldr2hdr.training.module import MetaModule

pytestmark = pytest.mark.slow


def module(run_config="algo: {inner: {steps: 1}}\n"):
    learner = SupervisedLearner(nn.Linear(1, 1), nn.functional.l1_loss, inner=InnerLoop(lr=0.1, steps=1))
    return MetaModule(learner, torch.optim.Adam, run_config=run_config)


@pytest.fixture
def trainer():
    return L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)


def test_the_manifest_holds_configuration_and_versions(tmp_path, trainer):
    path = tmp_path / "manifest.json"
    RunManifest(str(path)).on_fit_start(trainer, module())
    manifest = json.loads(path.read_text())
    assert manifest["config"] == "algo: {inner: {steps: 1}}\n"
    assert manifest["versions"]["torch"] in torch.__version__
    assert manifest["versions"].keys() >= {"ldr2hdr", "lightning", "learn2learn", "hydra-core"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["manifest.json"]


def test_only_the_first_process_writes_the_manifest(tmp_path, trainer, monkeypatch):
    monkeypatch.setattr(L.Trainer, "is_global_zero", False)
    RunManifest(str(tmp_path / "manifest.json")).on_fit_start(trainer, module())
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one commit that the callbacks take for their own."""

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "--quiet")
    (tmp_path / "callbacks.py").write_text("first")
    git("add", ".")
    git("commit", "--quiet", "--message=first")
    monkeypatch.setattr(manifest, "__file__", str(tmp_path / "callbacks.py"))
    return SimpleNamespace(folder=tmp_path, head=git("rev-parse", "HEAD"))


def test_provenance_names_the_commit_and_marks_changes(checkout):
    assert provenance()["commit"] == checkout.head
    (checkout.folder / "callbacks.py").write_text("second")
    assert provenance()["commit"] == checkout.head + "+"


def test_a_package_that_is_not_installed_has_no_version(monkeypatch):
    monkeypatch.setattr(manifest, "_PACKAGES", ("ldr2hdr", "no-such-package"))
    versions = provenance()["versions"]
    assert versions["no-such-package"] is None
    assert versions["ldr2hdr"] is not None


def test_outside_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "__file__", str(tmp_path / "callbacks.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance()["commit"] is None


def test_json_appears_whole_or_not_at_all(tmp_path):
    write_json(tmp_path / "a.json", {"x": 1.5})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1.5}
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"x": object()})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1.5}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(ImageError, match="folder"):
        write_json(tmp_path / "missing" / "a.json", {})


@pytest.mark.parametrize("setting", ["every_n_val", "num_tasks"])
def test_numbers_of_panels_are_positive(setting):
    with pytest.raises(ValueError, match=r"callbacks\.panels\.num_tasks must be positive, got .*\b0\b"):
        PanelLogger(**{setting: 0})


@pytest.fixture
def train(compose_train, tiny, tmp_path):
    """Train in three epochs of two steps; what came out, and the generator afterwards."""

    def run(name, *overrides):
        overrides = ("trainer.max_steps=6", "logger=csv", "~callbacks.progress", *overrides)
        (tmp_path / name).mkdir()
        training = build_training(compose_train(tmp_path / name, *tiny, *overrides))
        training.trainer.fit(training.module, training.datamodule)
        # not that of Python, from which beartype draws what it checks
        return SimpleNamespace(
            folder=tmp_path / name, weights=training.module.state_dict(), generator=torch.get_rng_state()
        )

    return run


def test_what_is_shown_leaves_no_trace_in_what_is_learned(train, monkeypatch):
    draw = panels.compose_panel

    def draw_at_random(*arguments, **keywords):
        torch.rand(3)
        return draw(*arguments, **keywords)

    monkeypatch.setattr(panels, "compose_panel", draw_at_random)
    shown = train("shown", "callbacks.panels.every_n_val=1")
    plain = train("plain", "~callbacks.panels", "~callbacks.task_scores", "~callbacks.keeper")
    assert len(list((shown.folder / "panels").iterdir())) == 3 * 4
    assert not (plain.folder / "panels").exists()
    assert shown.weights.keys() == plain.weights.keys()
    assert all(torch.equal(tensor, plain.weights[name]) for name, tensor in shown.weights.items())
    assert torch.equal(shown.generator, plain.generator)


@pytest.mark.parametrize(("every_n_val", "steps"), [(2, [2, 6]), (5, [2, 6])])
def test_panels_are_drawn_at_first_then_sometimes_and_in_the_end(train, every_n_val, steps):
    run = train("run", f"callbacks.panels.every_n_val={every_n_val}", "callbacks.panels.num_tasks=1")
    names = [f"{where}_task0_step_{step:06d}.png" for where in ("val", "val_unseen") for step in steps]
    assert sorted(path.name for path in (run.folder / "panels").iterdir()) == sorted(names)


def test_without_validation_there_is_nothing_to_show(train):
    run = train("run", "+trainer.limit_val_batches=0", "~callbacks.best")
    assert not (run.folder / "panels").exists()
    assert not (run.folder / "task_scores.csv").exists()
