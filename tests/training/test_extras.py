"""What lightning-hydra-template's users look for: tags, the configuration as a tree, one file a callback, .env."""

import os
from types import SimpleNamespace

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from ldr2hdr.build import build_training
from ldr2hdr.configuration.choices import note_choices
from ldr2hdr.configuration.env_file import load_env_file
from ldr2hdr.training.extras import Extras


def test_a_run_without_tags_is_refused_unless_that_is_asked_for(compose_train, tmp_path) -> None:
    cfg = compose_train(tmp_path, "tags=[]")
    with pytest.raises(ValueError, match=r"tags=\[\]: expected a tag or more; extras\.enforce_tags=false"):
        Extras()(cfg)
    Extras(enforce_tags=False)(cfg)
    Extras()(compose_train(tmp_path))


def test_the_configuration_is_printed_as_a_tree(compose_train, tmp_path, capsys) -> None:
    Extras(print_config=True)(compose_train(tmp_path, "seed=1234"))
    shown = capsys.readouterr().out
    assert "1234" in shown
    assert "_target_: ldr2hdr.meta.maml.MAMLLearner" in shown


def test_callbacks_come_one_by_one(compose_train, tiny, tmp_path) -> None:
    added = "callbacks=[default,early_stopping,lr_monitor,model_summary,rich_progress]"
    training = build_training(compose_train(tmp_path, *tiny, added))
    names = [type(callback).__name__ for callback in training.trainer.callbacks]
    for name in ("EarlyStopping", "LearningRateMonitor", "RichModelSummary", "RichProgressBar", "LastCheckpoint"):
        assert name in names
    assert "StepProgress" not in names


@pytest.mark.parametrize(("mode", "sweep"), [(RunMode.RUN, None), (RunMode.MULTIRUN, "my sweep")])
def test_a_run_is_called_by_its_choices(compose_train, tmp_path, monkeypatch, mode, sweep) -> None:
    cfg = compose_train(tmp_path, "logger=wandb", "algo=anil", "backbone=resnet", "tags=[a,b]")
    assert cfg.logger.wandb.name is None
    runtime = SimpleNamespace(choices={"algo": "anil", "backbone": "resnet", "hydra/launcher": "basic"})
    hydra = SimpleNamespace(runtime=runtime, mode=mode, sweep=SimpleNamespace(dir="multirun/my sweep"))
    monkeypatch.setattr(HydraConfig, "get", lambda: hydra)
    note_choices(cfg)
    logger = cfg.logger.wandb
    assert (logger.name, logger.group) == ("algo=anil backbone=resnet", sweep)
    assert (logger.job_type, list(logger.tags)) == ("train", ["a", "b"])
    assert cfg.choices == {"algo": "anil", "backbone": "resnet"}


def test_env_files_set_what_is_not_set(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LDR2HDR_A", "kept")
    monkeypatch.delenv("LDR2HDR_B", raising=False)
    (tmp_path / ".env").write_text("LDR2HDR_A=lost\nLDR2HDR_B='of the file'\n")
    load_env_file(tmp_path / ".env")
    load_env_file(tmp_path / "missing")
    assert (os.environ["LDR2HDR_A"], os.environ["LDR2HDR_B"]) == ("kept", "of the file")
    monkeypatch.delenv("LDR2HDR_B")
