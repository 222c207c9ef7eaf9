"""Every planted fault is found, with its severity and its file; a clean set has none; the report is one safe page."""

import json
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml

sys.path.append(str(Path(__file__).parent / "data" / "datasets"))

from faults import crop, cut_in_half, cut_within_header
from lookalikes import LOOKALIKES, UNIT, light_of, shoot, write_hdr, write_ldr

from ldr2hdr import cli
from ldr2hdr.build import CONF_DIR
from ldr2hdr.doctor.known_sets import guess_set, open_set

PAIR = "ldr_hdr_pair"
EXPECTED = ("hdr_real", "ldr_hdr_pair", "kalantari", "ntire2021", "si_hdr", "drtmo", "hdr_synth", "funt")


class Page(HTMLParser):
    """Tags and text of a page, whose tags must all be closed in order."""

    VOID = ("meta", "img")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.sources, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for key, value in attrs if key in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    return folder


@pytest.fixture
def doctor(root, tmp_path):
    """Run the command on the set; the exit code and doctor.json."""

    def run(*words, of=root):
        code = cli.main(["doctor", str(of), "-o", str(tmp_path / "out"), *words])
        return code, json.loads((tmp_path / "out" / "doctor.json").read_text())

    return run


def found(report, severity=None):
    return {
        (entry["severity"], entry["kind"], entry["path"])
        for entry in report["findings"]
        if entry["kind"] != "split" and severity in (None, entry["severity"])
    }


def write_pairs(root, numbers=(1, 4, 7)):
    return LOOKALIKES[PAIR].write_all(root, numbers)


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


def test_the_schema_is_stable(root, doctor):
    cut_hdr(write_pairs(root)[1])
    _, report = doctor()
    assert report["schema_version"] == 1
    assert list(report) == [
        *("schema_version", "root", "dataset", "is_guessed", "counts", "findings", "scenes", "responses")
    ]
    assert list(report["counts"]) == [
        *("files", "scenes", "places", "cameras", "exposures", "hdr"),
        *("train", "val", "test", "error", "warning", "note"),
    ]
    assert list(report["findings"][0]) == ["severity", "kind", "path", "message", "scene"]
    scene = report["scenes"][0]
    assert list(scene) == [
        *("id", "place", "camera", "height", "width", "is_usable", "exposures", "hdr", "split"),
    ]
    assert list(scene["exposures"][0]) == ["path", "ev", "ev_source", "measured_ev", "black", "white", "shift_px"]
    assert list(scene["hdr"]) == ["path", "range_stops", "scale", "residual_stops", "peak_stops", "num_pixels"]
    assert list(report["responses"][0]) == ["camera", "num_scenes", "curve"]


def test_the_page_stands_alone_and_shows_each_thumbnail_once(root, doctor, tmp_path):
    change_hdr(write_pairs(root)[1])
    doctor()
    text = (tmp_path / "out" / "doctor.html").read_text()
    page = Page(text)
    assert "http" not in text
    assert page.tags.count("img") == len(page.sources) == 3 * 4
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert page.tags.count("svg") == 1
    assert "usable, with doubts" in page.text


def test_the_page_shows_few_scenes_of_many(root, doctor, tmp_path):
    LOOKALIKES["funt"].write_all(root, range(1, 41))
    doctor()
    assert Page((tmp_path / "out" / "doctor.html").read_text()).tags.count("img") == 8


def test_names_cannot_change_the_page_or_the_table(root, doctor, tmp_path, capsys):
    kind = LOOKALIKES["hdr_real"]
    kind.write_all(root, (1,))
    (root / "LDR_in" / "<script>.jpg").write_bytes(b"\xff\xd8\xff")
    write_ldr(root / "LDR_in" / "[bold]&amp;.png", shoot(light_of(5), 0))
    _, report = doctor()
    page = Page((tmp_path / "out" / "doctor.html").read_text())
    assert "script" not in page.tags
    assert "LDR_in/<script>.jpg" in page.text
    assert "LDR_in/[bold]&amp;.png" in page.text
    assert {"LDR_in/<script>.jpg", "LDR_in/[bold]&amp;.png"} <= {path for _, _, path in found(report)}
    assert "[bold]&amp;.png" in capsys.readouterr().out


def test_a_name_that_is_no_text_can_be_reported(root, doctor, tmp_path):
    LOOKALIKES["hdr_real"].write_all(root, (1,))
    shutil.copy(root / "LDR_in" / "00001.jpg", bytes(root / "LDR_in") + b"/\xff.jpg")
    _, report = doctor()
    assert ("warning", "orphan", "LDR_in/\udcff.jpg") in found(report)
    Page((tmp_path / "out" / "doctor.html").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_a_layout_is_recognised(name, root):
    LOOKALIKES[name].write_all(root, (1, 4))
    assert guess_set(root) == name


@pytest.mark.parametrize(("name", "guess"), [("bracket_folder", "bracket_folder"), ("fairchild", "fairchild")])
def test_a_loose_layout_is_recognised_where_no_other_is(name, guess, root, doctor, capsys):
    LOOKALIKES[name].write_all(root, (1, 4))
    _, report = doctor()
    assert (report["dataset"], report["is_guessed"]) == (guess, True)
    assert "guessed" in capsys.readouterr().out


def test_wrong_usage_names_the_sets(root, tmp_path, capsys):
    LOOKALIKES["hdr_eye"].write_all(root, (1,))
    for words, expected in (
        ([str(root)], "may be any of hdr_real, hdr_eye: say which by --dataset"),
        ([str(tmp_path / "none")], "found none"),
        ([str(root), "--dataset", "nonsense"], "unknown data set 'nonsense', expected one of ldr_hdr_pair, "),
        ([str(root), "--dataset", "kalantari"], "expected **/exposure.txt"),
        ([str(CONF_DIR)], "looks like no set: name one of ldr_hdr_pair, "),
        ([str(root), "--dataset", "hdr_eye", "-o", str(root / "00001" / "gt.hdr")], "gt.hdr"),
    ):
        assert cli.main(["doctor", *(["-o", str(tmp_path / "out")] if "-o" not in words else []), *words]) == 2
        assert expected in capsys.readouterr().err


def test_names_are_those_of_the_conf(root):
    """Every reader of records that has a conf can be named, and no other."""
    confs = {path.stem: yaml.safe_load(path.read_text()) for path in Path(CONF_DIR).glob("dataset/*.yaml")}
    readers = {name: conf["_target_"] for name, conf in confs.items() if ".datasets." in conf["_target_"]}
    with pytest.raises(ValueError, match="expected one of") as told:
        open_set(root, "nonsense", cache_dir=root)
    names = str(told.value).split("expected one of ")[1].split(", ")
    assert set(names) == set(readers)


def test_a_long_bracket_is_shown_by_five_of_its_exposures(root, doctor, tmp_path):
    LOOKALIKES["drtmo"].write_all(root, (1,))
    doctor()
    page = Page((tmp_path / "out" / "doctor.html").read_text())
    assert page.tags.count("img") == 5
    assert page.text.count("-2.0 EV") == page.text.count("+2.0 EV") == 1
