"""HDR-Real: crops of a photograph stay together, and the test set apart from the folder that seems to hold it."""

import pytest
from lookalikes import light_of, shoot, write_hdr, write_hdr_real, write_ldr, write_pair_folder

from ldr2hdr.data.datasets.hdr_real import HdrReal


def problems_of(dataset):
    return {(problem.kind, problem.path.name) for problem in dataset.problems()}


def test_crops_of_one_photograph_of_hdr_real_are_one_place(root, open_set):
    for number in range(6):
        write_hdr_real(root, number, seed=number)
    places = [record.place for record in open_set(HdrReal).records()]
    assert places == [f"train/{first:05}" for first in (0, 0, 2, 2, 4, 4)]
    wide = open_set(HdrReal, files_per_place=4)
    assert [record.place for record in wide.records()] == [f"train/{first:05}" for first in (0, 0, 0, 0, 4, 4)]


def test_named_crops_of_hdr_real_are_one_place(root, open_set):
    for name, seed in (("lake_0", 0), ("lake_1", 1), ("hill", 2)):
        write_ldr(root / "LDR_in" / f"{name}.jpg", shoot(light_of(seed), 0))
        write_hdr(root / "HDR_gt" / f"{name}.hdr", light_of(seed))
    assert [record.place for record in open_set(HdrReal).records()] == ["train/hill", "train/lake", "train/lake"]


def test_the_published_test_set_of_hdr_real_is_kept_apart_from_its_training_folder(root, open_set, tmp_path):
    for number in range(20):
        write_hdr_real(root, number, seed=number)
    for number in (4, 30):
        write_pair_folder(tmp_path / "test", number, seed=number)
    dataset = open_set(HdrReal, test_root=tmp_path / "test", fractions=(0.6, 0.2, 0.2))
    # 4 is in both: the pair is a duplicate, and its neighbour a crop of a test photograph as well
    assert {record.id for record in dataset.split("test")} == {"test/00004", "test/00030", "train/00005"}
    assert problems_of(dataset) == {("duplicate", "00004.hdr")}
    assert dataset.split("val")
    assert open_set(HdrReal, fractions=(0.6, 0.2, 0.2)).split("test")


def test_options_of_hdr_real_name_their_key(root, open_set, tmp_path):
    write_hdr_real(root, 0, seed=0)
    with pytest.raises(ValueError, match=r"dataset.files_per_place must be at least 1, got 0"):
        open_set(HdrReal, files_per_place=0)
    with pytest.raises(ValueError, match=r"found none: dataset.test_root=.*nowhere"):
        open_set(HdrReal, test_root=tmp_path / "nowhere")
