"""What is wrong with a set is told, with the file, and left out; what is only unusual is read."""

import shutil

import pytest
import torch
from faults import (
    crop,
    cut_in_half,
    cut_within_header,
    store_as_png16,
    store_as_xyze,
    store_by_columns,
    store_lying,
    store_with_data_window,
)
from lookalikes import BRACKETS, HEIGHT, LOOKALIKES, PAIRED, WIDTH, light_of, shoot, write_hdr, write_ldr
from PIL import ExifTags, Image

from ldr2hdr.data.datasets.pixels import read_exposures, read_linear
from ldr2hdr.data.scenes.places import SPLITS

ALL = pytest.mark.parametrize("name", LOOKALIKES)
NUMBERS = (1, 4, 7)


@pytest.fixture
def kind(name):
    return LOOKALIKES[name]


def told(dataset):
    """Problems as kind and path, but for what the set with unknown EVs always tells."""
    return {(problem.kind, problem.path) for problem in dataset.problems() if problem.kind != "ev_missing"}


def fit_all(dataset):
    return [record for split in SPLITS for record in dataset.fitted(split)]


def files_of(scene):
    return [*scene.ldrs, *([scene.hdr] if scene.hdr else [])]


@pytest.mark.parametrize("name", [name for name, kind in LOOKALIKES.items() if kind.has_partners])
def test_an_orphan_is_told_and_its_scene_left_out(kind, root, open_set):
    written = kind.write_all(root, NUMBERS)
    written[1].hdr.unlink()
    dataset = open_set(kind.reader)
    assert len(dataset.records()) == 2
    problems = told(dataset)
    assert {what for what, _ in problems} == {"orphan"}
    near = {path.name for path in files_of(written[1])} | {"exposure.txt", f"{written[1].hdr.stem[:4]}_alignratio.npy"}
    assert all(path.exists() and path.name in near for _, path in problems)


@pytest.mark.parametrize("cut", [cut_within_header, lambda path: path.write_bytes(b"")])
@ALL
def test_a_file_cut_within_its_header_is_told_and_its_scene_left_out(kind, root, open_set, cut):
    written = kind.write_all(root, NUMBERS)
    for scene, position in zip(written, (0, -1), strict=False):
        cut(files_of(scene)[position])
    dataset = open_set(kind.reader)
    assert [set(record.paths) for record in dataset.records()] == [set(files_of(written[2]))]
    assert told(dataset) >= {("damaged", files_of(written[1])[-1])}
    assert {what for what, _ in told(dataset)} == {"damaged"}


@pytest.mark.parametrize("position", [0, -1])
@pytest.mark.parametrize("name", PAIRED)
def test_a_truncated_file_is_told_when_its_pixels_are_read(kind, root, open_set, position):
    written = kind.write_all(root, NUMBERS)
    cut_in_half(files_of(written[1])[position])
    dataset = open_set(kind.reader)
    fitted = fit_all(dataset)
    assert {frozenset(record.paths) for record in fitted} == {frozenset(files_of(written[n])) for n in (0, 2)}
    assert told(dataset) == {("damaged", files_of(written[1])[position])}


@ALL
def test_a_scene_under_two_names_is_kept_once(kind, root, open_set):
    written = kind.write_all(root, NUMBERS)
    copy = kind.write(root, 5, seed=4)
    dataset = open_set(kind.reader)
    assert len(dataset.records()) == 3
    ((what, path),) = told(dataset)
    assert what == "duplicate"
    assert path in {files_of(copy)[-1], files_of(written[1])[-1]}
    assert path not in {path for record in dataset.records() for path in record.paths}


@pytest.mark.parametrize("name", [name for name in PAIRED if name != "kalantari"])
def test_pictures_of_two_sizes_are_told_and_left_out(kind, root, open_set):
    written = kind.write_all(root, NUMBERS)
    crop(written[1].ldrs[-1])
    dataset = open_set(kind.reader)
    assert len(dataset.records()) == 2
    ((what, path),) = told(dataset)
    assert what == "size_mismatch"
    assert path in files_of(written[1])


@pytest.mark.parametrize("name", PAIRED)
def test_the_hdr_of_another_scene_is_told_and_left_out(kind, root, open_set):
    written = kind.write_all(root, NUMBERS)
    first, second = written[0].hdr, written[1].hdr
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    dataset = open_set(kind.reader)
    assert len(fit_all(dataset)) == 1
    # unrelated light may look like a wrong EV, too
    assert told(dataset) >= {("misfit", first), ("misfit", second)}
    (message,) = {p.message for p in dataset.problems() if p.kind == "misfit" and p.path == first}
    assert "no response of a camera leads" in message
    assert "dataset.max_residual_stops=0.75" in message


@pytest.mark.parametrize("name", [name for name in BRACKETS if name != "si_hdr"])
def test_an_exposure_of_a_wrong_ev_is_told_and_left_out(kind, root, open_set):
    """The brightest exposure is a stop brighter than everything says."""
    written = kind.write_all(root, [1])[0]
    write_ldr(written.ldrs[-1], shoot(light_of(1), written.evs[-1] + 1), exif=exif_of(written.ldrs[-1]))
    dataset = open_set(kind.reader)
    (record,) = fit_all(dataset)
    assert {exposure.path for exposure in record.exposures} == set(written.ldrs[:-1])
    assert told(dataset) == {("ev_mismatch", written.ldrs[-1]), ("misfit", written.ldrs[-1])}
    (message,) = {p.message for p in dataset.problems() if p.kind == "ev_mismatch"}
    stops = float(message.split("is ")[1].split(" stops")[0])
    assert stops == pytest.approx(1.0, abs=0.15)


def exif_of(path):
    with Image.open(path) as picture:
        return dict(picture.getexif().get_ifd(ExifTags.IFD.Exif))


JPEG = [name for name in PAIRED if name in ("ldr_hdr_pair", "hdr_real", "hdr_eye", "bracket_folder")]
RADIANCE = ["ldr_hdr_pair", "hdr_real", "hdr_eye", "kalantari"]


@pytest.mark.parametrize(
    ("name", "fault", "of_hdr"),
    [
        *((name, store_as_png16, False) for name in ("ldr_hdr_pair", "hdr_real", "hdr_eye")),
        *((name, store_lying, False) for name in JPEG),
        *((name, store_as_xyze, True) for name in RADIANCE),
        *((name, store_by_columns, True) for name in RADIANCE),
        *((name, store_with_data_window, True) for name in ("bracket_folder", "si_hdr")),
    ],
)
def test_what_is_only_unusual_is_read(kind, root, open_set, fault, of_hdr):
    """16-bit PNG, pictures lying on their side, XYZE, columns, data windows: the pixels are those meant."""
    written = kind.write_all(root, [4])[0]
    before = {record.id: record for record in fit_all(open_set(kind.reader))}
    (usual,) = before.values()
    usual_ldr, usual_hdr = read_exposures(usual.exposures), read_linear(usual.hdr)
    for path in [written.hdr] if of_hdr else written.ldrs:
        fault(path)
    dataset = open_set(kind.reader)
    (record,) = fit_all(dataset)
    assert told(dataset) == set()
    assert record.hdr.scale == pytest.approx(usual.hdr.scale, rel=0.05)
    torch.testing.assert_close(read_linear(record.hdr), usual_hdr, rtol=0.02, atol=0.3)
    ldr = read_exposures(record.exposures)
    assert ldr.shape[-2:] == (HEIGHT, WIDTH)
    assert (ldr - usual_ldr).abs().max() < 6 / 255
    dataset.check_crop(HEIGHT)


def test_two_files_of_one_stem_are_told(root, open_set):
    kind = LOOKALIKES["hdr_real"]
    kind.write_all(root, NUMBERS)
    write_ldr(root / "LDR_in" / "00004.png", shoot(light_of(4), 0))
    write_hdr(root / "HDR_gt" / "00007.exr", light_of(7))
    dataset = open_set(kind.reader)
    assert {(what, path.name) for what, path in told(dataset)} == {
        ("duplicate", "00004.png"),
        ("duplicate", "00007.hdr"),
    }
    assert len(dataset.records()) == 3


def test_two_scenes_with_one_hdr_are_one_place(root, open_set):
    """Two photographs of one scene, by two cameras, have the same ground truth."""
    kind = LOOKALIKES["hdr_real"]
    written = kind.write_all(root, (10, 20, 30))
    shutil.copy(written[0].hdr, written[2].hdr)
    write_ldr(written[2].ldrs[0], shoot(light_of(10), 1))
    records = open_set(kind.reader).records()
    assert len(records) == 3
    assert records[0].place == records[2].place != records[1].place
