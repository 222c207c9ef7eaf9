"""Brackets without an HDR file: the merge of all exposures is the truth, that of the support its labels."""

import numpy as np
import pytest
import torch
from lookalikes import GAMMA, LOOKALIKES, write_ldr

from ldr2hdr.data.datasets.bracket_folder import BracketFolder
from ldr2hdr.data.tasks.brackets import BracketTasks
from ldr2hdr.data.tasks.labels import MergeLabels
from ldr2hdr.io.exr import read_exr

EVERYTHING = {"fractions": (1.0, 0.0, 0.0)}
SETTINGS = {"split": "train", "ranges": "seen", "seed": 0, "shots": 3, "queries": 1, "crop_px": 24}


@pytest.fixture
def bare(root):
    """Brackets of five exposures without HDR."""
    scenes = LOOKALIKES["bracket_folder"].write_all(root, range(4))
    for scene in scenes:
        scene.hdr.unlink()
    return scenes


def test_labels_of_bare_brackets_are_the_sensor_exposure_of_the_pictures(bare, open_set):
    tasks = BracketTasks(open_set(BracketFolder, **EVERYTHING), {}, **SETTINGS, label_source=MergeLabels())
    assert len(tasks.records) == len(bare)
    for index in range(4):
        task = tasks[index]
        for shots in (task.support, task.query):
            is_told = (shots.ldr > 0.15) & (shots.ldr < 0.95)
            errors = (shots.ldr**GAMMA / shots.exposure).log2()[is_told]
            # the camera's white is where the merge puts it: one factor for all. 24 px tell little of the curve's top,
            # and the prior expects the shoulder of real cameras, which a power law lacks
            assert (errors - errors.median()).abs().median() < 0.1
            assert errors.median().abs() < 0.8


def test_the_support_of_a_bare_bracket_is_labelled_by_itself_alone(bare, open_set):
    tasks = BracketTasks(open_set(BracketFolder, **EVERYTHING), {}, **SETTINGS, label_source=MergeLabels())
    task, choice = tasks[0], tasks._choose(0, 0)
    evs = torch.tensor([choice.record.exposures[number].ev for number in choice.numbers[:3]])
    assert torch.equal(task.support.exposure, MergeLabels().label(task.support.ldr, evs))


def test_the_merge_is_made_once(bare, open_set, tmp_path):
    first = open_set(BracketFolder, **EVERYTHING).fitted("train", merges=True)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "merged").iterdir()}
    assert len(kept) == len(bare)
    assert open_set(BracketFolder, **EVERYTHING).fitted("train", merges=True) == first
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_truth_of_bare_brackets_is_refused_with_the_labels_that_need_none(bare, open_set):
    with pytest.raises(ValueError, match=r"\(0 have both, 4 have exposures alone; labels=merge trains on the latter\)"):
        BracketTasks(open_set(BracketFolder, **EVERYTHING), {}, **SETTINGS)


def test_an_empty_split_names_the_key_of_the_fractions(bare, open_set):
    source = open_set(BracketFolder, **EVERYTHING)
    with pytest.raises(ValueError, match=r"val split .* shows no place.* change dataset\.bracket_folder\.fractions"):
        BracketTasks(source, {}, **SETTINGS | {"split": "val"}, label_source=MergeLabels())


def test_brackets_that_all_misfit_are_refused_with_a_reason(bare, open_set, monkeypatch):
    monkeypatch.setattr("ldr2hdr.data.datasets.merging._MAX_RESIDUAL_STOPS", -1.0)
    with pytest.raises(ValueError, match=r"see its problems: .*the exposures cannot be merged"):
        BracketTasks(open_set(BracketFolder, **EVERYTHING), {}, **SETTINGS, label_source=MergeLabels())


def test_a_bare_bracket_that_shows_no_one_scene_is_a_problem(bare, open_set):
    rng = np.random.default_rng(0)
    for ldr in bare[1].ldrs:
        write_ldr(ldr.with_suffix(".png"), rng.random((24, 40, 3)))
        ldr.unlink()
    folder = bare[1].ldrs[0].parent
    names = "".join(f"{path.stem}.png,{ev}\n" for path, ev in zip(bare[1].ldrs, bare[1].evs, strict=True))
    (folder / "exposures.csv").write_text(f"file,ev\n{names}")
    source = open_set(BracketFolder, **EVERYTHING)
    assert len(source.fitted("train", merges=True)) == len(bare) - 1
    (problem,) = (problem for problem in source.problems() if problem.kind == "misfit")
    assert problem.path == folder
    assert "cannot be merged: they disagree about the scene" in problem.message


def test_a_damaged_file_of_a_bare_bracket_is_a_problem(bare, open_set, monkeypatch):
    source = open_set(BracketFolder, **EVERYTHING)
    source.records()
    damaged = bare[0].ldrs[2]
    damaged.write_bytes(damaged.read_bytes()[:600])
    assert len(source.fitted("train", merges=True)) == len(bare) - 1
    (problem,) = source.problems()
    assert (problem.kind, problem.path) == ("damaged", damaged)


def test_large_pictures_are_merged_in_strips(bare, open_set, monkeypatch):
    whole = open_set(BracketFolder, **EVERYTHING).fitted("train", merges=True)[0]
    monkeypatch.setattr("ldr2hdr.data.datasets.merging._MAX_MERGED", 24 * 40 // 3)
    monkeypatch.setattr("ldr2hdr.data.datasets.merging._FORMAT_VERSION", 0)
    stripped = open_set(BracketFolder, **EVERYTHING).fitted("train", merges=True)[0]
    assert stripped.hdr.path != whole.hdr.path
    assert np.array_equal(*(read_exr(scene.hdr.path) for scene in (stripped, whole)))
