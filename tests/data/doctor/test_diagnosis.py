"""Every planted fault is found, with its severity and its file; a clean set has none."""

import io
import json
import shutil

import numpy as np
import pytest
from faults import crop, cut_in_half, cut_within_header
from lookalikes import LOOKALIKES, UNIT, light_of, shoot, write_hdr, write_ldr, write_pair_folder
from rich.console import Console

from doctor.reading import found
from ldr2hdr.calibration.scale import fit_scale
from ldr2hdr.data.datasets import fitting
from ldr2hdr.data.doctor.command import examine_folder


def write_pairs(root, numbers=(1, 4, 7)):
    return LOOKALIKES["ldr_hdr_pair"].write_all(root, numbers)


@pytest.mark.parametrize("name", LOOKALIKES)
def test_a_clean_set_has_no_errors(name, root, doctor):
    LOOKALIKES[name].write_all(root, (1, 4, 7))
    code, report = doctor("--dataset", name)
    assert code == 0
    assert found(report, "error") == found(report, "warning") == set()
    assert report["dataset"] == name
    assert report["is_guessed"] is False
    assert len(report["scenes"]) == report["counts"]["scenes"] == 3


def cut_hdr(scene):
    cut_in_half(scene.hdr)
    return "error", "damaged", scene.hdr


def cut_ldr(scene):
    cut_in_half(scene.ldrs[1])
    return "error", "damaged", scene.ldrs[1]


def cut_header(scene):
    cut_within_header(scene.ldrs[0])
    return "error", "damaged", scene.ldrs[0]


def remove_hdr(scene):
    scene.hdr.unlink()
    return "warning", "orphan", scene.ldrs[0]


def resize(scene):
    crop(scene.ldrs[2])
    return "warning", "size_mismatch", scene.ldrs[2]


def change_ev(scene):
    write_ldr(scene.ldrs[2], shoot(light_of(4), 3.0))
    return "warning", "ev_mismatch", scene.ldrs[2]


def change_hdr(scene):
    write_hdr(scene.hdr, light_of(77) * UNIT)
    return "warning", "misfit", scene.hdr


def shift(scene):
    write_ldr(scene.ldrs[2], np.roll(shoot(light_of(4), 2.0), (2, 3), (0, 1)))
    return "warning", "misaligned", scene.ldrs[2]


def repeat(scene):
    shutil.copy(scene.ldrs[1], scene.ldrs[2])
    return "warning", "duplicate", scene.ldrs[2]


def flatten(scene):
    write_hdr(scene.hdr, np.full_like(light_of(4), 3.0))
    return "warning", "low_range", scene.hdr


def blacken(scene):
    write_ldr(scene.ldrs[0], np.zeros_like(light_of(4)))
    return "note", "clipped", scene.ldrs[0]


def add_stray(scene):
    stray = write_ldr(scene.ldrs[0].parent / "preview.jpg", shoot(light_of(4), 0))
    return "note", "unused", stray


def add_broken_stray(scene):
    stray = write_ldr(scene.ldrs[0].parent / "preview.jpg", shoot(light_of(4), 0))
    cut_in_half(stray)
    return "warning", "damaged", stray


@pytest.mark.parametrize(
    "plant",
    [
        *(cut_hdr, cut_ldr, cut_header, remove_hdr, resize, change_ev, change_hdr, shift, repeat, flatten, blacken),
        *(add_stray, add_broken_stray),
    ],
    ids=lambda plant: plant.__name__,
)
def test_a_planted_fault_is_found(plant, root, doctor):
    severity, kind, path = plant(write_pairs(root)[1])
    code, report = doctor()
    assert (severity, kind, path.relative_to(root).as_posix()) in found(report)
    assert code == (severity == "error")
    assert bool(found(report, "error")) == (severity == "error")


def test_a_shift_is_told_in_pixels(root, doctor):
    shift(write_pairs(root, (4,))[0])
    _, report = doctor()
    shifts = [exposure["shift_px"] for exposure in report["scenes"][0]["exposures"]]
    assert shifts == [[0, 0], [0, 0], [2, 3]]


def test_a_measured_ev_is_told_beside_the_nominal_one(root, doctor):
    change_ev(write_pairs(root, (4,))[0])
    _, report = doctor()
    exposures = report["scenes"][0]["exposures"]
    assert [exposure["ev"] for exposure in exposures] == [-2, 0, 2]
    assert exposures[2]["measured_ev"] - exposures[1]["measured_ev"] == pytest.approx(3, abs=0.2)


def test_the_response_and_scale_are_those_of_the_camera(root, doctor):
    """The camera has gamma 2, the HDR is in units of 1/37 of white, and the light spans 11 stops."""
    write_pairs(root)
    _, report = doctor()
    (response,) = report["responses"]
    curve = np.array(response["curve"])
    levels = np.arange(32, 240)
    assert np.abs(curve[:, levels] - 2 * np.log2(levels / 255)).max() < 0.3
    for scene in report["scenes"]:
        assert scene["hdr"]["scale"] == pytest.approx(1 / UNIT, rel=0.05)
        assert 10 < scene["hdr"]["range_stops"] < 12
        assert scene["hdr"]["residual_stops"] < 0.1


def write_test_set(root, seed, *, noise):
    """Six training scenes in published folders, and a test scene that shows one of them again."""
    kind = LOOKALIKES["kalantari"]
    kind.write_all(root, (1, 2, 4, 5, 7, 8))
    scene = kind.write(root, 3, seed=seed)
    light = light_of(seed) * (1 + noise * np.random.default_rng(0).uniform(-1, 1, light_of(seed).shape))
    for path, ev in zip(scene.ldrs, scene.evs, strict=True):
        write_ldr(path, shoot(light, ev))
    write_hdr(scene.hdr, (light * UNIT).astype(np.float32))
    return scene


def test_a_scene_shown_again_in_another_split_is_suspected(root, doctor):
    scene = write_test_set(root, 4, noise=0.05)
    code, report = doctor()
    assert code == 0
    assert found(report, "warning") == {("warning", "near_duplicate", scene.hdr.relative_to(root).as_posix())}


def test_a_new_scene_in_another_split_is_not(root, doctor):
    write_test_set(root, 3, noise=0.05)
    assert found(doctor()[1], "warning") == set()


def test_one_file_in_two_splits_is_a_leak(root, doctor):
    scene = write_test_set(root, 4, noise=0.05)
    shutil.copy(root / "Training" / "004" / "261.tif", scene.ldrs[1])
    code, report = doctor()
    assert code == 1
    ((_, kind, path),) = found(report, "error")
    assert kind == "leak"
    assert path in (scene.ldrs[1].relative_to(root).as_posix(), "Training/004/261.tif")


def test_one_hdr_for_two_photographs_is_a_note(root, doctor):
    written = LOOKALIKES["hdr_real"].write_all(root, (10, 20, 30))
    shutil.copy(written[0].hdr, written[2].hdr)
    write_ldr(written[2].ldrs[0], shoot(light_of(10), 1))
    code, report = doctor()
    assert code == 0
    assert found(report) == {("note", "duplicate", "HDR_gt/00030.hdr")}


def test_a_bracket_that_no_shift_aligns_is_noted(root, doctor):
    scene = write_pairs(root, (4,))[0]
    write_ldr(scene.ldrs[2], np.full_like(light_of(4), 0.5))
    _, report = doctor()
    assert ("note", "not_alignable", "LDR_exposure_-2/LDR_004.jpg") in found(report)


def test_a_set_without_a_scene_or_without_a_fit_is_an_error(root, doctor):
    scene = write_pairs(root, (4,))[0]
    change_hdr(scene)
    code, report = doctor()
    assert code == 1
    assert found(report, "error") == {("error", "empty", ".")}
    scene.ldrs[0].unlink()
    code, report = doctor()
    assert code == 1
    assert found(report, "error") == {("error", "empty", ".")}


def test_each_pair_is_fitted_once(root, doctor, monkeypatch):
    """And its files are read by the doctor alone."""
    write_pairs(root)
    calls = []

    def count(*args, **settings):
        calls.append(settings)
        return fit_scale(*args, **settings)

    monkeypatch.setattr(fitting, "fit_scale", count)
    monkeypatch.setattr(fitting, "read_exposures", None)
    _, report = doctor()
    assert len(calls) == len(report["scenes"]) == 3


def test_hdr_real_is_examined_with_its_test_set(root, tmp_path):
    """The test set's own folder: split, counted and decoded as the rest."""
    LOOKALIKES["hdr_real"].write_all(root, (10, 20, 30))
    tests = [write_pair_folder(tmp_path / "test", number, seed=number) for number in (1, 2)]
    cut_in_half(tests[1].ldrs[0])
    add = write_ldr(tmp_path / "test" / "preview.jpg", shoot(light_of(4), 0))
    reported = examine_folder(
        root, tmp_path / "out", dataset=None, console=Console(file=io.StringIO()), test_root=tmp_path / "test"
    )
    report = json.loads(reported.report.read_text())
    assert report["dataset"] == "hdr_real"
    assert {scene["id"] for scene in report["scenes"] if scene["split"] == "test"} == {"test/00001"}
    assert found(report) >= {("error", "damaged", str(tests[1].ldrs[0])), ("note", "unused", str(add))}
    assert reported.diagnosis.num_files == 3 * 2 + 2 * 2 + 1


def test_a_test_set_beside_another_set_is_refused(root, tmp_path):
    write_pairs(root)
    with pytest.raises(ValueError, match=r"hdr_real alone may have its test set in another folder, got .* for ldr_hdr"):
        examine_folder(root, tmp_path / "out", dataset=None, console=Console(), test_root=tmp_path)
