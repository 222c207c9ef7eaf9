"""EVs: every source, their order of trust, and what happens where they contradict."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lookalikes import GAMMA, light_of, shoot, write_ldr
from PIL import ExifTags

from ldr2hdr.data.datasets.bracket_folder import BracketFolder
from ldr2hdr.data.datasets.ev import Told, ev_in_name, resolve_exposures, tell_by_csv, tell_by_exif, tell_by_text
from ldr2hdr.data.datasets.headers import Setting
from ldr2hdr.data.datasets.measured import compare_with_pixels, estimate_evs
from ldr2hdr.io.shot import Shot

A, B, C = (Path(name) for name in ("a.jpg", "b.jpg", "c.jpg"))


def told(source, *evs, is_relative=True):
    paths = (A, B, C)
    return Told(
        source, {p: Setting(float(ev)) for p, ev in zip(paths, evs, strict=False) if ev is not None}, is_relative
    )


@pytest.mark.parametrize(
    ("stem", "ev"),
    [
        ("a_-2", -2.0),
        ("a_+1,5", 1.5),
        ("-1", -1.0),
        ("a_ev0", 0.0),
        ("EV+3_b", 3.0),
        ("ev_-1.5", -1.5),
        ("img-1", None),
        ("img_0001", None),
        ("a_-1_+2", None),
        ("never2", None),
        ("2024-11-02", None),
    ],
)
def test_a_name_tells_its_ev_by_a_sign_or_by_letters(stem, ev):
    assert ev_in_name(stem) == ev


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ([told("file", -1, 0, 3), told("exif", 7, 8, 9), told("name", -2, 0, 2)], ("file", (-1, 0, 3))),
        ([told("exif", 7, 8, 10, is_relative=False), told("name", -2, 0, 2)], ("exif", (-1, 0, 2))),
        ([told("exif", 7, None, 9, is_relative=False), told("name", -2, 0, 2)], ("name", (-2, 0, 2))),
        # three developments of one raw file
        ([told("exif", 7, 7, 7, is_relative=False), told("name", -2, 0, 2)], ("name", (-2, 0, 2))),
        ([told("file", 1, 1, 1), told("name", -2, 0, 2)], ("file", (1, 1, 1))),
    ],
)
def test_the_most_trusted_source_that_tells_all_exposures_apart_is_taken(sources, expected):
    exposures = resolve_exposures([C, A, B], sources).exposures
    assert [exposure.path for exposure in exposures] == [A, B, C]
    assert {exposure.ev_source for exposure in exposures} == {expected[0]}
    assert tuple(exposure.ev for exposure in exposures) == expected[1]


def test_sources_that_contradict_are_told():
    exact, off = told("exif", 5.0, 7.1, 9.0, is_relative=False), told("name", -2, 0, 3)
    (problem,) = resolve_exposures([A, B, C], [exact, off]).problems
    assert (problem.kind, problem.path) == ("ev_mismatch", C)
    assert "by name, the exposure is +1." in problem.message


def test_without_a_source_one_exposure_is_the_reference_and_several_are_nothing():
    (exposure,) = resolve_exposures([A], []).exposures
    assert (exposure.ev, exposure.ev_source) == (0.0, "pixels")
    assert resolve_exposures([A, B], []) == ((), ())


def scene(root, pictures, **exif):
    """One folder of exposures, by their names and EVs, with EXIF by name."""
    for name, ev in pictures.items():
        write_ldr(root / "scene" / name, shoot(light_of(3), ev), exif=exif.get(name.split(".")[0]))
    return root / "scene"


def exif(time_s, f_number=8.0, iso=100):
    base = ExifTags.Base
    return {base.ExposureTime: time_s, base.FNumber: f_number, base.ISOSpeedRatings: iso}


def records_of(root, open_set):
    dataset = open_set(BracketFolder)
    return dataset.records(), [(problem.kind, problem.path.name) for problem in dataset.problems()]


def test_time_aperture_and_iso_of_exif_count(root, open_set):
    """The middle: 1/60 s, f/8, ISO 100. Twice the time, half the f-number (4 x the light), a quarter of the ISO."""
    settings = {"a": exif(1 / 60), "b": exif(1 / 30), "c": exif(1 / 60, f_number=4.0)}
    settings["d"] = exif(1 / 60, iso=25)
    scene(root, {"a.jpg": 0.0, "b.jpg": 1.0, "c.jpg": 2.0, "d.jpg": -2.0}, **settings)
    ((record,), problems) = records_of(root, open_set)
    assert [e.path.name for e in record.exposures] == ["d.jpg", "a.jpg", "b.jpg", "c.jpg"]
    assert [e.ev for e in record.exposures] == pytest.approx([-2, 0, 1, 2])
    assert [e.exposure_time_s for e in record.exposures] == pytest.approx([1 / 60, 1 / 60, 1 / 30, 1 / 60])
    assert problems == []


@pytest.mark.parametrize("where", ["scene", "."])
def test_a_list_goes_before_exif(root, open_set, where):
    wrong = {name: exif(2.0**-i) for i, name in enumerate("abc")}
    scene(root, {"a.jpg": -3.0, "b.jpg": 0.0, "c.jpg": 1.0}, **wrong)
    prefix = "" if where == "scene" else "scene/"
    rows = "".join(f"{prefix}{name}.jpg,{time}\n" for name, time in zip("abc", (0.125, 1, 2), strict=True))
    (root / where / "exposures.csv").write_text("file,exposure_time_s\n" + rows)
    ((record,), problems) = records_of(root, open_set)
    assert [(e.path.name, e.ev, e.exposure_time_s, e.ev_source) for e in record.exposures] == [
        ("a.jpg", -3, 0.125, "file"),
        ("b.jpg", 0, 1, "file"),
        ("c.jpg", 1, 2, "file"),
    ]
    assert {kind for kind, _ in problems} == {"ev_mismatch"}


def test_a_list_of_evs_is_taken_as_it_is(root, open_set):
    folder = scene(root, {"a.png": 1.0, "b.png": 5.0})
    (folder / "exposures.csv").write_text("file,ev\nb.png,5\na.png,1\n")
    ((record,), problems) = records_of(root, open_set)
    assert [e.ev for e in record.exposures] == [1, 5]
    assert problems == []


def test_an_incomplete_list_is_told_and_the_next_source_taken(root, open_set):
    folder = scene(root, {"a_-2.png": -2.0, "b_+0.png": 0.0})
    (folder / "exposures.csv").write_text("file,ev\na_-2.png,7\nz.png,1\n")
    ((record,), problems) = records_of(root, open_set)
    assert [e.ev_source for e in record.exposures] == ["name", "name"]
    assert set(problems) == {("ev_missing", "b_+0.png"), ("orphan", "exposures.csv")}


@pytest.mark.parametrize("where", ["scene", "."])
@pytest.mark.parametrize(
    "text",
    [
        "file,time\na_-2.png,1\n",
        "file,ev\na_-2.png,\n",
        "file,ev\na_-2.png,nan\n",
        "file,exposure_time_s\na_-2.png,0\n",
    ],
)
def test_a_list_that_cannot_be_read_leaves_out_what_it_is_of(root, open_set, where, text):
    scene(root, {"a_-2.png": -2.0, "b_+0.png": 0.0})
    path = root / where / "exposures.csv"
    path.write_text(text)
    assert records_of(root, open_set) == ((), [("damaged", "exposures.csv")])
    with pytest.raises(ValueError, match="expected the columns file and exposure_time_s"):
        tell_by_csv(path)


TIMES = {"a.jpg": 1 / 60, "b.jpg": 2.0}


@pytest.mark.parametrize(
    "text",
    [
        "file,exposure_time_s\na.jpg,1/60\nb.jpg,2\n",
        "file;exposure_time_s\r\na.jpg;1/60\r\nb.jpg;2,0\r\n",
        "file, exposure_time_s\n a.jpg , 1 / 60\n\n b.jpg, 2.0 \n ,\n",
        "\ufefffile,exposure_time_s\ra.jpg,1/60\rb.jpg,2\r",
        "sep=;\nFile;Exposure_Time_s\na.jpg;1/60 s\nb.jpg;2 s\n",
        "file\texposure_time_s\na.jpg\t1/60s\nb.jpg\t2e0\n",
        '"file","exposure_time_s"\n"a.jpg","1/60"\n"b.jpg","2"\n',
        "# of a tripod\nfile,exposure_time_s\na.jpg,1/60,dark\n# and then\nb.jpg,2,\n",
    ],
)
def test_a_list_is_read_as_people_and_their_programs_write_it(tmp_path, text):
    (tmp_path / "exposures.csv").write_text(text, encoding="utf-8", newline="")
    settings = tell_by_csv(tmp_path / "exposures.csv").settings
    assert {path.name: setting.exposure_time_s for path, setting in settings.items()} == pytest.approx(TIMES)


def test_a_list_of_evs_may_have_signs_and_decimal_commas(tmp_path):
    text = "file;ev\na.jpg;\N{MINUS SIGN}1,5\nsub\\b.jpg;+2\n"
    (tmp_path / "exposures.csv").write_text(text, encoding="utf-8")
    settings = tell_by_csv(tmp_path / "exposures.csv").settings
    assert {path: setting.ev for path, setting in settings.items()} == {
        tmp_path / "a.jpg": -1.5,
        tmp_path / "sub" / "b.jpg": 2.0,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"file,exposure_time_s\na.jpg,1/0\n", "such as 0.0166 or 1/60"),
        (b"file,exposure_time_s\na.jpg,-1/60\n", "positive"),
        (b"file,exposure_time_s\na.jpg,1/60\na.jpg,1/30\n", "one line for each file, got two for a.jpg"),
        ("file,ev\na.jpg,1\n".encode("utf-16"), "a text file in UTF-8"),
        (b"file,ev\na.jpg,-1,5\nb.jpg,0,0\n", "one value for each of the columns file, ev.*decimal points"),
        (b"file,ev,ev\na.jpg,-1,5\n", "each named once"),
    ],
)
def test_a_list_that_is_none_says_what_is_expected(tmp_path, text, message):
    (tmp_path / "exposures.csv").write_bytes(text)
    with pytest.raises(ValueError, match=message + r".*exposures\.csv"):
        tell_by_csv(tmp_path / "exposures.csv")


@pytest.mark.parametrize("name", ["f_number", "iso"])
def test_exif_that_tells_a_setting_of_some_exposures_tells_nothing(name):
    shots = {path: Shot(exposure_time_s=2.0**index, f_number=8.0, iso=100) for index, path in enumerate((A, B, C))}
    assert [tell_by_exif(shots).settings[path].ev for path in (A, B, C)] == pytest.approx([-6, -5, -4])
    assert not tell_by_exif(shots | {B: shots[B]._replace(**{name: None})}).settings
    without = {path: shot._replace(**{name: None}) for path, shot in shots.items()}
    assert len(tell_by_exif(without).settings) == 3


def test_exposures_of_an_iso_that_exif_has_no_room_for_are_not_equal():
    """65535 stands for that and for all above."""
    shots = {path: Shot(exposure_time_s=2.0**index, is_iso_capped=True) for index, path in enumerate((A, B, C))}
    assert not tell_by_exif(shots).settings
    assert not tell_by_exif(shots | {A: Shot(exposure_time_s=1.0)}).settings


def test_without_any_source_the_pixels_tell(root, open_set):
    scene(root, {"a.png": 2.0, "b.png": -2.0, "c.png": 0.0})
    ((record,), problems) = records_of(root, open_set)
    assert [e.path.name for e in record.exposures] == ["b.png", "c.png", "a.png"]
    assert [e.ev for e in record.exposures] == pytest.approx([-2, 0, 2], abs=0.45)
    assert problems == [("ev_missing", "scene")]


def test_exposures_that_share_no_well_exposed_pixel_are_left_out(root, open_set):
    scene(root, {"a.png": -30.0, "b.png": 30.0})
    assert records_of(root, open_set) == ((), [("ev_missing", "scene")])


def test_an_exposure_that_cannot_be_decoded_is_told(root, open_set):
    folder = scene(root, {"a.png": -2.0, "b.png": 0.0})
    data = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(data[: len(data) // 2])
    assert records_of(root, open_set) == ((), [("damaged", "b.png")])


def test_pixels_tell_evs_up_to_the_contrast_of_the_response():
    """sRGB is close to a power of 2.2, the camera's response is one of 2: by the highlights, steps come out longer."""
    ldr = [torch.from_numpy(shoot(light_of(3), ev)).movedim(-1, 0) for ev in (3.0, -2.0, 0.5)]
    evs = estimate_evs(torch.stack(ldr))
    assert evs[2] == 0
    assert evs == pytest.approx([2.5 * 2.2 / GAMMA, -2.5 * 2.2 / GAMMA, 0], rel=0.1)


def test_nominal_evs_are_compared_with_the_pixels(root, open_set):
    scene(root, {"a_-2.png": -2.0, "a_+0.png": 0.0, "a_+2.png": 4.5})
    ((record,), _) = records_of(root, open_set)
    (problem,) = compare_with_pixels(record)
    assert (problem.kind, problem.path.name) == ("ev_mismatch", "a_+2.png")
    assert "2.00 stops above a_+0.png by name" in problem.message


def test_one_exposure_is_not_compared_and_distant_ones_cannot_be(root, open_set):
    scene(root, {"a_-2.png": -30.0, "a_+0.png": 30.0})
    ((record,), _) = records_of(root, open_set)
    assert [problem.kind for problem in compare_with_pixels(record)] == ["ev_missing"]
    (root / "scene" / "a_+0.png").unlink()
    ((record,), _) = records_of(root, open_set)
    assert compare_with_pixels(record) == ()


@pytest.mark.parametrize("suffix", [".txt", ".npy"])
def test_a_text_file_or_array_tells_evs_in_order(tmp_path, suffix):
    path = tmp_path / f"evs{suffix}"
    path.write_text("-2\n0\n 3.5\n") if suffix == ".txt" else np.save(path, np.array([[-2, 0, 3.5]]))
    assert [tell_by_text(path, [C, A, B]).settings[p].ev for p in (C, A, B)] == [-2, 0, 3.5]
    with pytest.raises(ValueError, match=r"expected 2 EVs, got \[-2.0, 0.0, 3.5\]: .*evs"):
        tell_by_text(path, [A, B])
    path.write_text("one two three")
    with pytest.raises(ValueError, match=r"expected 3 EVs, cannot read them: .*evs"):
        tell_by_text(path, [A, B, C])
