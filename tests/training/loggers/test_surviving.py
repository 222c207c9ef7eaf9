"""A logger may fail in any call and at any moment: it is reported once, and training ends as it would have."""

import logging

import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from ldr2hdr.build import build_training
from ldr2hdr.training.loggers.surviving import _GUARDED, AbstractSurvivingLogger

pytestmark = pytest.mark.slow

DISK_FULL = OSError(28, "No space left on device")


class Failing(AbstractSurvivingLogger):
    """Raises in every call."""

    name = version = "failing"

    def __init__(self, error):
        self.error = error
        self.num_calls = 0

    def fail(self, *arguments):
        self.num_calls += 1
        raise self.error

    @property
    def experiment(self):
        self.fail()

    log_metrics = log_hyperparams = log_graph = after_save_checkpoint = save = finalize = fail
    show_panel = show_table = show_config = keep_checkpoint = fail


@pytest.mark.parametrize("name", _GUARDED)
def test_a_call_that_raises_is_reported_in_one_line_and_is_the_last_one(name, caplog):
    logger = Failing(RuntimeError("no answer\nfrom the service"))
    for _ in range(3):
        getattr(logger, name)({})
    logger.save()
    assert logger.num_calls == 1
    assert not logger.is_on
    (record,) = caplog.records
    assert record.getMessage() == "Failing failed and is switched off, training goes on: RuntimeError: no answer"


def test_an_experiment_that_cannot_be_opened_ignores_what_it_is_told(caplog):
    logger = Failing(DISK_FULL)
    assert logger.experiment.add_image("a", 1) is None
    assert logger.experiment.log({}) is None
    assert logger.num_calls == len(caplog.records) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_what_stops_a_run_is_let_through(error):
    logger = Failing(error)
    with pytest.raises(type(error)):
        logger.save()
    assert logger.is_on


@pytest.fixture(scope="module")
def train(compose_train, tiny):
    def run(folder, *overrides):
        cfg = compose_train(folder, *tiny, "trainer.max_steps=4", "~callbacks.progress", *overrides)
        training = build_training(cfg)
        training.trainer.fit(training.module, training.datamodule)
        return training

    return run


@pytest.fixture(scope="module")
def undisturbed(train, tmp_path_factory):
    return train(tmp_path_factory.mktemp("undisturbed"), "logger=csv")


@pytest.mark.parametrize("method", ["__init__", "add_image"])
def test_training_outlives_tensorboard(train, undisturbed, tmp_path, monkeypatch, caplog, method):
    def fail(*arguments, **keywords):
        raise DISK_FULL

    monkeypatch.setattr(SummaryWriter, method, fail)
    with caplog.at_level(logging.WARNING, logger="ldr2hdr"):
        assert_undisturbed(train(tmp_path), undisturbed)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("TensorBoardLogger failed and is switched off, training goes on: ")
    assert (tmp_path / "csv" / "metrics.csv").is_file()
    assert len(list((tmp_path / "panels").glob("*.png"))) == 8


def test_training_outlives_pictures_that_cannot_be_written(train, undisturbed, tmp_path, caplog):
    (tmp_path / "panels").write_text("a file where a folder belongs")
    assert_undisturbed(train(tmp_path, "logger=csv"), undisturbed)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("FileLogger failed")
    assert str(tmp_path / "panels") in message


def test_training_outlives_wandb(train, undisturbed, tmp_path, monkeypatch, caplog):
    wandb = pytest.importorskip("wandb")

    def fail(*arguments, **keywords):
        raise wandb.errors.CommError("the network is gone")

    monkeypatch.setattr(wandb, "init", fail)
    assert_undisturbed(train(tmp_path, "logger=wandb"), undisturbed)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message == "WandbLogger failed and is switched off, training goes on: CommError: the network is gone"


def assert_undisturbed(training, undisturbed):
    assert training.trainer.global_step == 4
    expected = undisturbed.module.state_dict()
    for name, tensor in training.module.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
