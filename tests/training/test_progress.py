"""Progress says steps and epochs as they are, by whole names."""

import pytest

from ldr2hdr.build import build_training
from ldr2hdr.train import fit
from ldr2hdr.training.callbacks.progress import count_steps


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_screen_tells_steps_epochs_and_whole_metrics(
    compose_train, tiny, tmp_path, monkeypatch, capsys, width
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    training = build_training(compose_train(tmp_path, *tiny, "trainer.max_steps=3", "logger=csv", "~callbacks.panels"))
    fit(training)
    shown = capsys.readouterr().out
    assert "epoch 2/2" in shown  # of 2 steps each, and the last one half
    assert "3/3" in shown
    for name, value in training.trainer.progress_bar_metrics.items():
        assert f"{name}: {value:.3f}" in shown
    assert all(len(line) <= width for line in shown.splitlines())


@pytest.mark.parametrize(
    ("limits", "steps"), [(["trainer.max_epochs=2", "trainer.max_steps=-1"], 4), (["trainer.max_steps=1"], 1)]
)
def test_the_number_of_steps_follows_either_limit(compose_train, tiny, tmp_path, limits, steps) -> None:
    overrides = (*tiny, *limits, "logger=csv", "~callbacks.progress", "~callbacks.panels")
    training = build_training(compose_train(tmp_path, *overrides))
    fit(training)
    assert count_steps(training.trainer) == training.trainer.global_step == steps
