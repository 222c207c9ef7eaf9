"""What a run writes about itself can be read back, and is of this code."""

import json
import subprocess
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from torch import nn

from ldr2hdr import callbacks
from ldr2hdr.callbacks import RunManifest, provenance, write_json
from ldr2hdr.io import ImageError
from ldr2hdr.meta.supervised import SupervisedLearner
from ldr2hdr.module import MetaModule


def module(run_config="algo: {inner_steps: 1}\n"):
    learner = SupervisedLearner(nn.Linear(1, 1), nn.functional.l1_loss, inner_lr=0.1, inner_steps=1)
    return MetaModule(learner, torch.optim.Adam, run_config=run_config)


@pytest.fixture
def trainer():
    return L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)


def test_the_manifest_holds_configuration_and_versions(tmp_path, trainer):
    path = tmp_path / "manifest.json"
    RunManifest(str(path)).on_fit_start(trainer, module())
    manifest = json.loads(path.read_text())
    assert manifest["config"] == "algo: {inner_steps: 1}\n"
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
    monkeypatch.setattr(callbacks, "__file__", str(tmp_path / "callbacks.py"))
    return SimpleNamespace(folder=tmp_path, head=git("rev-parse", "HEAD"))


def test_provenance_names_the_commit_and_marks_changes(checkout):
    assert provenance()["commit"] == checkout.head
    (checkout.folder / "callbacks.py").write_text("second")
    assert provenance()["commit"] == checkout.head + "+"


def test_outside_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks, "__file__", str(tmp_path / "callbacks.py"))
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
