"""The package of docs/extending.md trains, and its checkpoint is loaded where it is trusted and nowhere else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import ldr2hdr
from ldr2hdr import cli
from ldr2hdr.build import build_learner, build_teacher, build_training, load_learner
from ldr2hdr.configuration.folders import CONF_DIR, registered_folders, search_registered_folders
from ldr2hdr.io import write_image
from ldr2hdr.training.checkpoints import Checkpoint, require_known_classes
from ldr2hdr.training.replay import choose_config

pytestmark = pytest.mark.slow

PAGE = (Path(CONF_DIR).parent / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = re.findall(r"```(?:python|yaml|toml)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)
SMALL = ("experiment=smoke", "task.crop_px=16", "logger=csv", "~callbacks.progress")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the package as the page has it."""
    folder = tmp_path_factory.mktemp("own")
    for name, content in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "mypackage" / "__init__.py").touch()
    return folder


@pytest.fixture(scope="module")
def trained(package: Path, cache_dir: Path) -> Path:
    """The folder of a run, from where the package lies."""
    search = f"hydra.searchpath=[file://{package}/mypackage/conf]"
    command = [sys.executable, "-m", "ldr2hdr.train", search, "backbone=tiny", *SMALL, "hydra.run.dir=run"]
    environment = os.environ | {"LDR2HDR_CACHE": str(cache_dir)}
    done = subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return package / "run"


@pytest.fixture
def installed(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package as pip installs it, for this process."""
    pytest.importorskip("setuptools", minversion="77")
    words = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(tmp_path / "site"))
    subprocess.run([sys.executable, "-m", "pip", "install", *words, str(package)], check=True, capture_output=True)
    monkeypatch.syspath_prepend(tmp_path / "site")


def ckpt_of(run: Path) -> Path:
    return run / "checkpoints" / "last.ckpt"


def test_the_checkpoint_of_a_stranger_is_refused(trained: Path) -> None:
    with pytest.raises(ValueError, match=r"conf/backbone/ names, got mypackage\.nets\.Tiny; .*trust=\[mypackage\]"):
        load_learner(ckpt_of(trained))
    with pytest.raises(ValueError, match="is refused"):
        load_learner(ckpt_of(trained), trust=["torch", "another"])


def test_it_is_loaded_by_those_who_trust_the_package(
    trained: Path, package: Path, monkeypatch: pytest.MonkeyPatch, compose_train
) -> None:
    monkeypatch.syspath_prepend(package)
    learner, _ = load_learner(ckpt_of(trained), trust=["mypackage"])
    assert type(learner.model.backbone).__name__ == "Tiny"
    assert ldr2hdr.load(ckpt_of(trained), trust=["mypackage"]).sha256
    assert build_teacher(str(ckpt_of(trained)), trust=["mypackage"])
    typed = (f"resume={trained}", "trainer.max_steps=3")
    training = build_training(choose_config(compose_train(trained, *typed), typed))
    assert training.ckpt == ckpt_of(trained)


def test_the_commands_load_it_from_the_folder_that_holds_the_package(
    trained: Path,
    package: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_image(tmp_path / "a.png", torch.full((3, 8, 8), 0.5))
    monkeypatch.chdir(package)
    monkeypatch.setattr(sys, "path", [*sys.path])
    words = ["convert", str(tmp_path / "a.png"), "--ckpt", str(ckpt_of(trained))]
    assert cli.main(words) == 1
    assert "--trust-package mypackage" in capsys.readouterr().err
    assert cli.main([*words, "--trust-package", "another"]) == 1
    assert cli.main([*words, "--trust-package", "another", "--trust-package", "mypackage", "--trust"]) == 0
    assert (tmp_path / "a.exr").is_file()


@pytest.mark.parametrize("command", ["adapt", "convert", "merge", "app", "export"])
def test_every_command_with_a_checkpoint_takes_the_package(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    assert "--trust-package NAME" in capsys.readouterr().out


def test_what_is_installed_is_found_and_trusted(trained: Path, installed: None) -> None:
    assert list(registered_folders()) == ["mypackage"]
    learner, _ = load_learner(ckpt_of(trained))
    assert type(learner.model.backbone).__name__ == "Tiny"
    search_registered_folders()
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("train", overrides=["backbone=tiny", "paths.output_dir=a", "paths.cache_dir=b"])
    assert type(build_learner(cfg).model.backbone).__name__ == "Tiny"


@pytest.mark.parametrize(
    "target",
    [
        "mypackage.nets.nn.Conv2d",  # a class of another package
        "mypackage.nets.stem_features",  # a function
        "mypackage.missing.Net",
        "mypackagex.nets.Tiny",
        "os.system",
    ],
)
def test_trust_goes_no_further_than_the_classes_of_the_package(
    trained: Path, package: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.syspath_prepend(package)
    _, config = load_learner(ckpt_of(trained), trust=["mypackage"])
    OmegaConf.update(config, "backbone._target_", target)
    with pytest.raises(ValueError, match=re.escape(f"names, got {target};")):
        require_known_classes(Checkpoint(Path("a.ckpt"), config, {}), [Path(CONF_DIR)], trust=["mypackage"])


def test_a_registered_folder_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad-1.dist-info").mkdir()
    (tmp_path / "bad-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1\n")
    (tmp_path / "bad-1.dist-info" / "entry_points.txt").write_text("[ldr2hdr.conf]\nbad = nowhere.conf\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"entry point bad = 'nowhere\.conf' of ldr2hdr\.conf"):
        registered_folders()
