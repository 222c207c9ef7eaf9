"""The manifest of a run is enough to do it again, bit by bit."""

import json
import shutil
from pathlib import Path

import pytest

from ldr2hdr.training.replay import choose_config, compare_runs, warn_of_differences

pytestmark = pytest.mark.slow


@pytest.fixture
def edited(undisturbed, tmp_path):
    """A copy of the run whose manifest is another one."""

    def edit(change):
        folder = tmp_path / "edited"
        shutil.copytree(undisturbed, folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return edit


def test_a_replay_is_identical(train_here, undisturbed, outcome, tmp_path, caplog):
    training = train_here(tmp_path / "again", f"replay='{undisturbed}'")
    assert outcome(tmp_path / "again") == outcome(undisturbed)
    message = compare_runs(undisturbed, tmp_path / "again")
    assert message.startswith(f"identical: theta {outcome(undisturbed)[0]['theta_sha256'][:16]}")
    warn_of_differences(undisturbed, training.trainer, training.datamodule)
    assert [record for record in caplog.records if "now it is" in record.getMessage()] == []


def test_a_replay_with_another_seed_says_where_it_parts(train_here, undisturbed, tmp_path, caplog):
    training = train_here(tmp_path / "again", f"replay='{undisturbed}'", "seed=1", "trainer.max_steps=2")
    warn_of_differences(undisturbed, training.trainer, training.datamodule)
    (train,) = (record.getMessage() for record in caplog.records if "data.train of" in record.getMessage())
    assert f"data.train of {undisturbed} was" in train
    with pytest.raises(ValueError, match=r"theta_sha256 was .*the first difference logged is .* after step 0: "):
        compare_runs(undisturbed, tmp_path / "again")


def test_differences_are_told_in_a_line_each(edited, undisturbed, train_here, caplog, tmp_path):
    def change(manifest):
        manifest["versions"]["torch"] = "1.0"
        manifest["commit"] = "abc"
        manifest["resumed"] = [{"step": 3, "config": manifest["config"].replace("max_steps: 14", "max_steps: 15")}]

    folder = edited(change)
    training = train_here(tmp_path / "again", f"replay='{undisturbed}'", "trainer.max_steps=1")
    warn_of_differences(folder, training.trainer, training.datamodule)
    messages = [record.getMessage() for record in caplog.records if str(folder) in record.getMessage()]
    assert [message.partition(" of ")[0] for message in messages[:2]] == ["commit", "versions.torch"]
    assert messages[2:] == [f"{folder} was resumed after step 3 with another configuration"]


def test_a_run_that_did_not_end_has_nothing_to_compare(edited, undisturbed):
    folder = edited(lambda manifest: manifest.pop("final"))
    with pytest.raises(ValueError, match=r"has not come to its end.*resume="):
        compare_runs(folder, undisturbed)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["resume={run}", "replay={run}"], "give one"),
        (["resume={empty}"], r"expected the folder of a run, found no .*manifest\.json"),
        (["resume={run}", "algo=fomaml"], "algo=fomaml is no single value"),
    ],
)
def test_what_cannot_be_resumed(compose_train, undisturbed, tmp_path, typed, message):
    typed = [word.format(run=f"'{undisturbed}'", empty=f"'{tmp_path}'") for word in typed]
    with pytest.raises(ValueError, match=message):
        choose_config(compose_train(tmp_path, *typed), typed)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_manifest_that_is_none_is_refused(compose_train, tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    typed = [f"resume='{tmp_path}'"]
    with pytest.raises(ValueError, match=r"not a manifest of ldr2hdr\.train"):
        choose_config(compose_train(tmp_path, *typed), typed)


def test_what_depends_on_a_changed_value_follows_it(compose_train, undisturbed, tmp_path):
    """A longer run needs a longer schedule: at the rate after the old one's end nothing would be learned."""
    typed = [f"resume='{undisturbed}'", "trainer.max_steps=90", "algo.inner.steps=2"]
    chosen = choose_config(compose_train(tmp_path, *typed), typed)
    assert chosen.scheduler.lr_lambda.num_steps == 90
    assert chosen.callbacks.best.monitor == "val/pu_psnr@2"
    assert Path(chosen.callbacks.last.dirpath) == undisturbed / "checkpoints"
