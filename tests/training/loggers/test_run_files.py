"""Checkpoints on their way to the loggers: what is said of them, and what becomes of those that came to harm."""

import math

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from ldr2hdr.training.callbacks.run_files import RunKeeper
from ldr2hdr.training.loggers.surviving import AbstractSurvivingLogger


class Keeping(AbstractSurvivingLogger):
    """Remembers what it is handed."""

    name = version = "keeping"
    keeps_checkpoints = True

    def __init__(self):
        self.kept = {}

    def ignore(self, *arguments):
        """Not here."""

    log_metrics = log_hyperparams = show_panel = show_table = ignore

    def keep_checkpoint(self, checkpoint):
        self.kept[checkpoint.name] = checkpoint.about


@pytest.fixture
def keep(tmp_path):
    """End a training that wrote ``best.ckpt`` and ``last.ckpt``; what the logger then has."""

    def end(*, score=None, damage=None):
        best = ModelCheckpoint(dirpath=tmp_path, monitor="val/loss")
        logger = Keeping()
        trainer = L.Trainer(logger=logger, callbacks=[best], accelerator="cpu", enable_progress_bar=False)
        for name in ("best", "last"):
            torch.save({"global_step": 7, "state_dict": {"weight": torch.zeros(100)}}, tmp_path / f"{name}.ckpt")
        best.best_model_path, best.best_model_score = str(tmp_path / "best.ckpt"), score
        if damage is not None:
            damage(tmp_path / "best.ckpt")
        RunKeeper(str(tmp_path)).on_fit_end(trainer, L.LightningModule())
        return logger.kept

    return end


@pytest.mark.parametrize("score", [0.0, -1.5])
def test_the_score_of_the_best_is_kept_as_it_is(keep, score):
    kept = keep(score=torch.tensor(score))
    assert (kept["best"]["outer_step"], kept["best"]["monitor"], kept["best"]["score"]) == (7, "val/loss", score)
    assert "score" not in kept["last"]


def test_a_best_without_a_score_says_so(keep):
    assert math.isnan(keep()["best"]["score"])


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:300]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("words"),
        lambda path: torch.save(torch.zeros(2), path),
    ],
)
def test_a_damaged_checkpoint_is_left_out_and_ends_nothing(keep, damage, caplog):
    assert list(keep(damage=damage)) == ["last"]
    (message,) = [record.getMessage() for record in caplog.records if record.name.startswith("ldr2hdr")]
    assert message.startswith("not handed to the loggers: ")
    assert "best.ckpt" in message


def test_a_missing_checkpoint_is_nothing_to_speak_of(keep, caplog):
    assert list(keep(damage=lambda path: path.unlink())) == ["last"]
    assert not [record for record in caplog.records if record.name.startswith("ldr2hdr")]
