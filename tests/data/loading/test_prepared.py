"""A prepared set holds the pixels of the files, whatever happened while it was made."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import torch

from ldr2hdr import cli
from ldr2hdr.data.datasets.bracket_folder import BracketFolder
from ldr2hdr.data.datasets.ldr_hdr_pair import LdrHdrPair
from ldr2hdr.data.loading.encoding import encode_hdr, encode_ldr
from ldr2hdr.data.loading.prepared import PreparedPixels
from ldr2hdr.data.loading.prepared_index import read_index, scene_path
from ldr2hdr.data.loading.preparing import prepare
from ldr2hdr.data.tasks.brackets import BracketTasks
from ldr2hdr.io import read_ldr
from ldr2hdr.io.radiance import encode_hdr as encode_radiance

pytestmark = pytest.mark.slow

SIZE = 96
EVS = {"LDR_exposure_-2": -2.0, "LDR_exposure_0": 0.0, "LDR_exposure_+2": 2.0}


def write_pair(root, number, *, size=SIZE, suffix=".jpg", unit=37.0):
    """A scene of LDR-HDR-pair: 11 stops of smooth light, shot by a camera of gamma 2."""
    rng = np.random.default_rng(number)
    waves = cv2.resize(rng.uniform(0, 1, (5, 5, 3)).astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    light = np.exp2(11 * waves - 9)
    for folder, ev in EVS.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        picture = np.rint(np.clip(light * 2.0**ev, 0, 1) ** 0.5 * 255).astype(np.uint8)
        cv2.imwrite(str(root / folder / f"LDR_{number:03}{suffix}"), picture[..., ::-1])
    (root / "HDR").mkdir(exist_ok=True)
    (root / "HDR" / f"HDR_{number:03}.hdr").write_bytes(encode_radiance(light * unit))


@pytest.fixture
def root(tmp_path):
    for number in range(4):
        write_pair(tmp_path / "set", number)
    return tmp_path / "set"


def run(root, folder, *words):
    return cli.main(["prepare", str(root), "--dataset", "ldr_hdr_pair", "-o", str(folder), *words])


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("dtype", "levels"), [("uint8", 255), ("uint16", 65535)])
def test_every_code_of_every_depth_survives(tmp_path, dtype, levels):
    codes = np.resize(np.arange(levels + 1), (256, 256, 3)).astype(dtype)
    cv2.imwrite(str(tmp_path / "a.png"), codes)
    decoded = read_ldr(tmp_path / "a.png").numpy()
    encoded = encode_ldr([decoded])
    assert encoded.dtype == dtype
    np.testing.assert_array_equal(encoded[0], codes[..., ::-1].transpose(2, 0, 1))
    restored = torch.from_numpy(encoded[0]).float().div_(np.iinfo(dtype).max)
    assert torch.equal(restored, torch.from_numpy(decoded))


def test_8_bit_pictures_beside_16_bit_ones_lose_nothing():
    wide = np.resize(np.arange(65536, dtype=np.float32) / np.float32(65535), (3, 256, 256))
    narrow = np.resize(np.arange(256, dtype=np.float32) / np.float32(255), (3, 256, 256))
    encoded = encode_ldr([narrow, wide])
    assert encoded.dtype == np.uint16
    assert torch.equal(torch.from_numpy(encoded).float().div_(65535), torch.from_numpy(np.stack([narrow, wide])))


@pytest.mark.parametrize("unit", [2.0**-100, 1e-7, 1.0, 37.0, 2.0**100])
def test_half_precision_states_its_error_at_any_scale(unit):
    rng = np.random.default_rng(0)
    linear = (np.exp2(rng.uniform(-27, 0, (3, 64, 64))) * unit).astype(np.float32)
    linear[0, :8] = 0
    encoded = encode_hdr(linear)
    restored = encoded.stored.astype(np.float64) * encoded.unit
    error = np.abs(restored - linear)[linear > 0] / linear[linear > 0]
    assert encoded.stored.dtype == np.float16
    assert error.max() == pytest.approx(encoded.max_relative_error)
    assert 2.0**-13 < error.max() <= 2.0**-11
    assert (restored[0, :8] == 0).all()


@pytest.mark.parametrize("darkest", [1.1 * 2.0**-32, 1e-38])
def test_what_half_precision_cannot_hold_stays_single(darkest):
    linear = np.array([1.0, 0.3, darkest], dtype=np.float32).reshape(3, 1, 1)
    encoded = encode_hdr(linear)
    assert encoded.stored.dtype == np.float32
    np.testing.assert_array_equal(encoded.stored * np.float32(encoded.unit), linear)
    assert encoded.max_relative_error == 0


def test_black_and_the_largest_floats_are_encoded():
    assert not encode_hdr(np.zeros((3, 2, 2), dtype=np.float32)).stored.any()
    largest = np.full((3, 1, 1), np.finfo(np.float32).max)
    encoded = encode_hdr(largest)
    assert encoded.stored.astype(np.float64).max() * encoded.unit == pytest.approx(float(largest.max()), rel=2.0**-11)


def test_tasks_are_those_of_the_files(root, tmp_path):
    write_pair(root, 4, suffix=".png")
    assert run(root, tmp_path / "out") == 0
    source = LdrHdrPair(root, cache_dir=tmp_path / "cache", fractions=(1.0, 0.0, 0.0))
    settings = {"split": "train", "ranges": "seen", "seed": 0, "shots": 2, "queries": 1, "crop_px": 40}
    plain = BracketTasks(source, {}, **settings)
    prepared = BracketTasks(source, {}, **settings, prepared=tmp_path / "out")
    assert len(plain.records) == 5
    for index in range(7):
        for expected, got in zip(pictures(plain[index]), pictures(prepared[index]), strict=True):
            assert torch.equal(expected.ldr, got.ldr)
            assert torch.equal(expected.exposure, got.exposure)  # RGBE fits into half precision
        assert plain[index].support_places == prepared[index].support_places


def pictures(task):
    return task.support, task.query


def test_the_index_tells_what_is_stored(root, tmp_path, capsys):
    assert run(root, tmp_path / "out") == 0
    assert "4 scenes: 4 decoded, 0 kept\n4 HDR pictures in half precision" in capsys.readouterr().out
    index = read_index(tmp_path / "out")
    assert (index.dataset, index.is_complete, index.skipped) == ("ldr_hdr_pair", True, ())
    for scene in index.scenes:
        assert [exposure.ev for exposure in scene.source.exposures] == [-2.0, 0.0, 2.0]
        assert scene.source.hdr.file.startswith("HDR/HDR_")
        assert (scene.stored.height, scene.stored.width) == (SIZE, SIZE)
        assert (scene.stored.ldr_dtype, scene.stored.hdr_dtype) == ("uint8", "float16")
        assert scene.stored.hdr_max_relative_error == 0  # RGBE has 8 bits of mantissa, half precision 11
    assert str(tmp_path) not in (tmp_path / "out" / "index.json").read_text()


NUM_SCENES = 16


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    for number in range(NUM_SCENES):
        write_pair(folder / "set", number, size=320)
    assert run(folder / "set", folder / "once") == 0
    return folder


@pytest.mark.parametrize("num_done", [0, 3, 6])
def test_a_killed_run_is_resumed_to_the_identical_folder(undisturbed, tmp_path, num_done):
    """0 is in the middle of the first scene: its temporary file is there."""
    out = tmp_path / "out"
    scenes = out / "scenes"
    # a glob of pathlib finds hidden names too, which the temporary ones are
    pattern = "[!.]*.json" if num_done else ".*.npy"
    command = [sys.executable, "-m", "ldr2hdr.cli", "prepare", str(undisturbed / "set"), "-o", str(out)]
    with subprocess.Popen([*command, "--dataset", "ldr_hdr_pair"], stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while len(list(itertools.islice(scenes.glob(pattern), num_done + 1))) < max(num_done, 1):
            assert process.poll() is None
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not read_index(out).is_complete
    with pytest.raises(ValueError, match=r"has not finished this folder; run it again: task.prepared="):
        PreparedPixels(out, [])
    done = {path: path.stat().st_mtime_ns for path in scenes.glob("[!.]*.json")}
    assert num_done <= len(done) < NUM_SCENES
    assert run(undisturbed / "set", out) == 0
    assert contents(out) == contents(undisturbed / "once")
    assert {path: path.stat().st_mtime_ns for path in done} == done  # kept, not made again


def test_a_flipped_bit_is_found_and_its_scene_made_again(root, tmp_path, capsys):
    out = tmp_path / "out"
    run(root, out)
    before = contents(out)
    broken = scene_path(out, read_index(out).scenes[2].source.content_hash)
    pixels = bytearray(broken.read_bytes())
    pixels[5000] ^= 1
    broken.write_bytes(pixels)
    capsys.readouterr()
    assert run(root, out) == 0
    assert "4 scenes: 1 decoded, 3 kept" in capsys.readouterr().out
    assert contents(out) == before


@pytest.mark.parametrize("damage", [b"", b"{", b'{"source": {}}'])
def test_a_damaged_entry_is_made_again(root, tmp_path, damage):
    run(root, tmp_path / "out")
    before = contents(tmp_path / "out")
    next((tmp_path / "out" / "scenes").glob("*.json")).write_bytes(damage)
    assert run(root, tmp_path / "out") == 0
    assert contents(tmp_path / "out") == before


def test_changed_files_are_made_again_and_the_old_ones_go(root, tmp_path):
    run(root, tmp_path / "out")
    write_pair(root, 1, unit=11.0)
    write_pair(root, 4)
    assert run(root, tmp_path / "out") == 0
    assert run(root, tmp_path / "fresh") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_corrupt_files_are_listed_and_stop_it_unless_they_may_be_skipped(root, tmp_path, capsys):
    truncated, empty = root / "HDR" / "HDR_001.hdr", root / "LDR_exposure_0" / "LDR_002.jpg"
    truncated.write_bytes(truncated.read_bytes()[:-100])
    empty.write_bytes(b"")
    assert run(root, tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "corrupt: HDR/HDR_001.hdr: the file is truncated" in told
    assert "corrupt: LDR_exposure_0/LDR_002.jpg: expected a picture, the file is empty" in told
    assert "--skip-bad" in told
    assert not read_index(tmp_path / "out").is_complete

    assert run(root, tmp_path / "out", "--skip-bad") == 0
    output = capsys.readouterr()
    assert "2 scenes: 0 decoded, 2 kept" in output.out
    assert "2 corrupt files, whose scenes are missing" in output.out
    index = read_index(tmp_path / "out")
    assert index.is_complete
    assert [skipped.file for skipped in index.skipped] == ["HDR/HDR_001.hdr", "LDR_exposure_0/LDR_002.jpg"]
    assert all(skipped.reason and str(root) not in skipped.reason for skipped in index.skipped)
    assert run(root, tmp_path / "fresh", "--skip-bad") == 0
    assert contents(tmp_path / "fresh") == contents(tmp_path / "out")


def test_sets_without_hdr_are_prepared(tmp_path):
    for number, ev in itertools.product(range(2), (-1, 1)):
        path = tmp_path / "set" / f"scene{number}" / f"EV{ev:+}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((8, 8, 3), 40 * (ev + 2) + number, np.uint8))
    dataset = BracketFolder(tmp_path / "set", cache_dir=tmp_path / "cache")
    done = prepare(dataset, tmp_path / "out", name="bracket_folder", root=tmp_path / "set")
    scenes = done.written.scenes
    assert [(scene.stored.ldr_dtype, scene.stored.hdr_dtype) for scene in scenes] == [("uint8", None)] * 2
    with pytest.raises(ValueError, match=r"has no scene 'scene0' with HDR; run `ldr2hdr prepare` on the set"):
        PreparedPixels(tmp_path / "out", dataset.records()[:1])


def test_tasks_refuse_pixels_of_other_files(tmp_path):
    light = np.linspace(0, 1, 8 * 8 * 3, dtype=np.float32).reshape(8, 8, 3)
    folder = tmp_path / "set" / "desk"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "EV+0.png"), np.rint(light * 255))
    (folder / "desk.hdr").write_bytes(encode_radiance(light))

    def read():
        return BracketFolder(tmp_path / "set", cache_dir=tmp_path / "cache")

    prepare(read(), tmp_path / "out", name="bracket_folder", root=tmp_path / "set")
    assert PreparedPixels(tmp_path / "out", read().records()).size_of(read().records()[0]) == (8, 8)
    (folder / "desk.hdr").write_bytes(encode_radiance(light * 3))
    with pytest.raises(ValueError, match=r"scene 'desk' has changed since it was prepared; run .*task.prepared="):
        PreparedPixels(tmp_path / "out", read().records())


def test_folders_of_something_else_are_left_alone(root, tmp_path, capsys):
    other = tmp_path / "photos"
    other.mkdir()
    (other / "holiday.jpg").write_bytes(b"precious")
    assert run(root, other) == 2
    assert "found no index.json" in capsys.readouterr().err
    assert contents(other) == {"holiday.jpg": b"precious"}
    run(root, tmp_path / "out")
    assert cli.main(["prepare", str(root), "--dataset", "bracket_folder", "-o", str(tmp_path / "out")]) == 2
    assert "it holds the prepared set ldr_hdr_pair" in capsys.readouterr().err
    assert cli.main(["prepare", str(tmp_path / "nowhere"), "-o", str(tmp_path / "new")]) == 2


def test_two_processes_do_not_prepare_one_folder(root, tmp_path):
    import fcntl

    run(root, tmp_path / "out")
    descriptor = os.open(tmp_path / "out", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another process is preparing this folder"):
            prepare(LdrHdrPair(root, cache_dir=tmp_path), tmp_path / "out", name="ldr_hdr_pair", root=root)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("change", [{"version": 0}, {"scenes": [{}]}, {"skipped": [{"what": 1}]}])
def test_an_index_of_another_kind_is_refused(root, tmp_path, change):
    run(root, tmp_path / "out")
    index = tmp_path / "out" / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | change))
    with pytest.raises(ValueError, match=r"the index cannot be used .*; delete the folder and prepare again"):
        read_index(tmp_path / "out")
