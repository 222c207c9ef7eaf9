"""What is special about single sets."""

import shutil

import numpy as np
import pytest
from lookalikes import (
    LOOKALIKES,
    UNIT,
    light_of,
    shoot,
    write_drtmo,
    write_hdr,
    write_kalantari,
    write_ldr,
    write_ldr_hdr_pair,
    write_ntire2021,
    write_pair_folder,
)

from ldr2hdr.data.datasets.bracket_folder import BracketFolder
from ldr2hdr.data.datasets.drtmo import Drtmo
from ldr2hdr.data.datasets.hdr_files import is_colour_checker_twin
from ldr2hdr.data.datasets.hdr_synth import HdrSynth
from ldr2hdr.data.datasets.kalantari import Kalantari
from ldr2hdr.data.datasets.ldr_hdr_pair import LdrHdrPair
from ldr2hdr.data.datasets.ntire2021 import Ntire2021
from ldr2hdr.data.datasets.pixels import read_linear
from ldr2hdr.data.datasets.si_hdr import SiHdr
from ldr2hdr.data.scenes.places import SPLITS


def problems_of(dataset):
    return {(problem.kind, problem.path.name) for problem in dataset.problems()}


def test_a_renumbered_copy_of_ldr_hdr_pair_has_the_same_scenes_and_splits(root, open_set, tmp_path):
    for number in range(8):
        write_ldr_hdr_pair(root, number, seed=number)
    before = {split: {record.id for record in open_set(LdrHdrPair).split(split)} for split in SPLITS}
    root.rename(tmp_path / "old")
    for number in range(8):
        write_ldr_hdr_pair(root, 8 - number, seed=number)
    after = {split: {record.id for record in open_set(LdrHdrPair).split(split)} for split in SPLITS}
    assert after == before
    assert all(record.id == record.content_hash for record in open_set(LdrHdrPair).records())


def test_other_folders_of_ldr_hdr_pair_are_not_looked_at(root, open_set):
    write_ldr_hdr_pair(root, 1, seed=1)
    write_ldr(root / "UNet_exposure_0" / "000001_out.png", shoot(light_of(1), 0))
    write_ldr(root / "LDR_exposure_0" / ".LDR_007.jpg", shoot(light_of(1), 0))
    dataset = open_set(LdrHdrPair)
    assert len(dataset.records()) == 1
    assert dataset.problems() == ()


def test_an_ldr_without_hdr_is_an_orphan_of_numbered_folders_too(root, open_set):
    write_pair_folder(root, 1, seed=1)
    write_pair_folder(root, 2, seed=2).ldrs[0].unlink()
    dataset = open_set(LOOKALIKES["hdr_eye"].reader)
    assert [record.id for record in dataset.records()] == ["00001"]
    assert problems_of(dataset) == {("orphan", "gt.hdr")}


def test_hdr_synth_leaves_out_twins_of_the_sources_that_have_them(root, open_set):
    names = ("funt/hdr/S0350.hdr", "funt/hdr/S0350CC.hdr", "fairchild/LabBooth.exr", "hdr_book/hdr/ACC.hdr")
    for seed, name in enumerate(names):
        write_hdr(root / name, light_of(seed))
    write_hdr(root / "fairchild" / "LabBooth.hdr", light_of(9))
    dataset = open_set(HdrSynth)
    assert [record.id for record in dataset.records()] == ["fairchild/LabBooth", "funt/hdr/S0350", "hdr_book/hdr/ACC"]
    assert problems_of(dataset) == {("duplicate", "LabBooth.hdr")}
    assert dataset.records()[0].hdr.path.suffix == ".exr"
    assert is_colour_checker_twin(root / names[1])


def test_a_scene_of_kalantari_at_rest_is_preferred(root, open_set):
    moving = write_kalantari(root, 1, seed=1)
    folder = moving.hdr.parent
    static = [write_ldr(folder / f"ref_{i}.tif", shoot(light_of(1), ev)) for i, ev in enumerate(moving.evs)]
    (record,) = open_set(Kalantari).records()
    assert [exposure.path for exposure in record.exposures] == static


def test_the_aligned_release_of_kalantari_is_read(root, open_set):
    folder = write_kalantari(root, 1, seed=1).hdr.parent
    for i, path in enumerate(sorted(folder.glob("*.tif"))):
        path.rename(folder / f"input_{i + 1}_aligned.tif")
    (folder / "HDRImg.hdr").rename(folder / "ref_hdr_aligned.hdr")
    (folder / "exposure.txt").rename(folder / "input_exp.txt")
    dataset = open_set(Kalantari)
    (record,) = (record for split in ("train", "val") for record in dataset.fitted(split))
    assert record.hdr.scale * UNIT == pytest.approx(1, rel=0.04)
    assert record.id == "Training/001"


def test_splits_of_kalantari_are_those_published(root, open_set):
    for number in range(12):
        write_kalantari(root, number, seed=number)
    write_kalantari(root / "mine", 3, seed=33)
    records = {record.id: record.split for record in open_set(Kalantari, fractions=(0.5, 0.5, 0.0)).records()}
    assert {split for name, split in records.items() if name.startswith("Test/PAPER/Named")} == {"test"}
    assert {split for name, split in records.items() if name.startswith("Training/")} == {"train", "val"}
    assert records["mine/Test/PAPER/Named3"] is None
    held = open_set(Kalantari, fractions=(0.0, 0.0, 1.0)).records()
    assert {record.split for record in held} == {"train", "test", None}


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda folder: (folder / "exposure.txt").write_text("1\n2\n"), ("damaged", "exposure.txt")),
        (lambda folder: (folder / "exposure.txt").unlink(), ("orphan", "HDRImg.hdr")),
        (lambda folder: [path.unlink() for path in folder.glob("*.tif")], ("orphan", "HDRImg.hdr")),
    ],
)
def test_a_folder_of_kalantari_that_lacks_something_is_told(root, open_set, damage, expected):
    write_kalantari(root, 1, seed=1)
    damage(write_kalantari(root, 2, seed=2).hdr.parent)
    dataset = open_set(Kalantari)
    assert [record.id for record in dataset.records()] == ["Training/001"]
    assert problems_of(dataset) == {expected}


def test_the_hdr_of_ntire_is_made_linear(root, open_set):
    write_ntire2021(root, 1, seed=1)
    (record,) = open_set(Ntire2021).records()
    linear = read_linear(record.hdr).movedim(0, -1).numpy()
    np.testing.assert_allclose(linear, light_of(1) * UNIT, rtol=0.03, atol=1e-3)
    assert [exposure.path.stem[5:] for exposure in record.exposures] == ["short", "medium", "long"]
    assert record.exposures[1].ev == 0


def test_splits_of_ntire_are_those_published(root, open_set):
    for number in range(3):
        write_ntire2021(root, number, seed=number)
    for path in write_ntire2021(root / "flat", 3, seed=3).hdr.parent.glob("*"):
        shutil.move(path, root)
    assert {record.id: record.split for record in open_set(Ntire2021).records()} == {
        "train/0000": "train",
        "val/0001": "val",
        "test/0002": "test",
        "0003": None,
    }


def test_a_set_without_truth_or_of_track_1_has_ldr_only(root, open_set):
    for number in (0, 3):
        write_ntire2021(root, number, seed=number)
    for name in ("0000_gt.png", "0000_alignratio.npy", "0003_short.png", "0003_long.png", "0003_exposures.npy"):
        (root / "train" / name).unlink()
    dataset = open_set(Ntire2021)
    without_truth, of_track_1 = dataset.records()
    assert (len(without_truth.exposures), without_truth.hdr) == (3, None)
    assert [exposure.path.name for exposure in of_track_1.exposures] == ["0003_medium.png"]
    assert [record.id for record in dataset.fitted("train")] == ["train/0003"]
    assert problems_of(dataset) == set()


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("exposures", [1.0, 2.0], "damaged"),
        ("alignratio", [0.0], "damaged"),
        ("alignratio", [], "damaged"),
        ("alignratio", None, "orphan"),
        ("exposures", None, "orphan"),
    ],
)
def test_numbers_of_ntire_that_are_missing_or_impossible_are_told(root, open_set, name, values, kind):
    for number in (0, 3):
        write_ntire2021(root, number, seed=number)
    path = root / "train" / f"0003_{name}.npy"
    path.unlink()
    if values is not None:
        np.save(path, np.array(values))
    dataset = open_set(Ntire2021)
    assert [record.id for record in dataset.records()] == ["train/0000"]
    ((what, where),) = problems_of(dataset)
    assert what == kind
    assert where.startswith("0003_")


def test_si_hdr_counts_scenes_without_ldr(root, open_set):
    write_hdr(root / "reference" / "001.exr", light_of(1))
    (record,) = open_set(SiHdr).records()
    assert record.exposures == ()
    assert record.hdr.scale == 1 / 65536


def test_views_of_one_panorama_of_drtmo_are_one_place_by_several_cameras(root, open_set):
    first = write_drtmo(root, 1, seed=1).ldrs[0].parent
    other = first.with_name("Summi_Pool_1k_80_-10_0_kodak_x")
    for seed, ev, letter in ((2, 0.0, "e"), (2, 1.0, "g")):
        write_ldr(other / f"{letter}.png", shoot(light_of(seed), ev))
    write_ldr(other / "thumb.png", shoot(light_of(1), 0))
    (root / "Bracketed_images" / "unnamed").mkdir()
    dataset = open_set(Drtmo)
    few, all_nine = dataset.records()
    assert few.place == all_nine.place == "Summi_Pool_1k"
    assert (few.camera, all_nine.camera) == ("kodak_x", "agfacolor-vista-200CDBlue")
    assert [(e.ev, e.exposure_time_s) for e in few.exposures] == [(0.0, 2.0**-8), (1.0, 2.0**-7)]
    assert [e.exposure_time_s for e in all_nine.exposures] == pytest.approx([2 ** (-10 + i / 2) for i in range(9)])
    assert problems_of(dataset) == {("orphan", "unnamed")}


def test_a_bracket_folder_has_any_number_of_exposures_with_or_without_hdr(root, open_set):
    for name, evs in (("one", [0.0]), ("eight", [-4.0 + i for i in range(8)])):
        for ev in evs:
            write_ldr(root / name / f"x_{ev:+.1f}.png", shoot(light_of(1), ev))
    write_hdr(root / "one" / "a.hdr", light_of(1))
    write_hdr(root / "one" / "b.exr", light_of(1))
    (root / "empty").mkdir()
    dataset = open_set(BracketFolder)
    eight, one = dataset.records()
    assert (len(eight.exposures), eight.hdr) == (8, None)
    assert (len(one.exposures), one.hdr.path.name) == (1, "a.hdr")
    assert problems_of(dataset) == {("duplicate", "b.exr")}


def test_the_camera_is_that_of_exif(root, open_set):
    LOOKALIKES["bracket_folder"].write_all(root, [1])
    (record,) = open_set(BracketFolder).records()
    assert record.camera == "Acme X1"
