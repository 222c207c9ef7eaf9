"""Scene sources: splits, determinism, the cache, and every refusal."""

import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch

import ldr2hdr.data.scenes.cache
from ldr2hdr.data.datasets.hdr_folder import HdrFolder
from ldr2hdr.data.scenes.cache import cache_picture
from ldr2hdr.data.scenes.places import read_manifest, split_by_hash
from ldr2hdr.data.scenes.sources import PanoramaSource
from ldr2hdr.io import ImageError, write_image
from ldr2hdr.io.exr import write_exr

SPLITS = ("train", "val", "test")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(height, width, seed=0, scale=8.0):
    return torch.rand(3, height, width, generator=generator(seed)) * scale


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures of 40 x 30 pixels and more, in two folders and both formats."""
    root = tmp_path / "pictures"
    (root / "sub").mkdir(parents=True)
    for i in range(12):
        write_image(root / ("sub" if i % 2 else ".") / f"scene{i}{'.hdr' if i % 3 else '.exr'}", noise(30, 40 + i, i))
    (root / "notes.txt").write_text("not a picture")
    return root


@pytest.fixture
def panoramas(tmp_path):
    root = tmp_path / "panoramas"
    root.mkdir()
    for i in range(3):
        write_image(root / f"pano{i}.exr", noise(16, 32, i))
    return root


@pytest.fixture(params=["panoramas", "folder"])
def source(request, tmp_path):
    root = request.getfixturevalue(request.param)
    kind = PanoramaSource if request.param == "panoramas" else HdrFolder
    return kind(root=root, cache_dir=tmp_path / "cache", fractions=(0.5, 0.25, 0.25))


def test_every_place_is_in_exactly_one_split(source):
    places = [place for split in SPLITS for place in source.places(split)]
    assert len(places) == len(set(places)) >= 3
    assert all(source.places(split) == tuple(sorted(source.places(split))) for split in SPLITS)


def test_a_view_is_a_function_of_the_generator_alone(source):
    place = next(place for split in SPLITS for place in source.places(split))
    first = source.sample(place, crop_px=12, generator=generator())
    state = generator()
    torch.rand(100)  # the global generator plays no part
    assert torch.equal(source.sample(place, crop_px=12, generator=state), first)
    assert not torch.equal(source.sample(place, crop_px=12, generator=state), first)
    assert first.shape == (3, 12, 12)
    assert first.dtype == torch.float32
    assert 0 <= first.min() < first.max() <= 8.0 * (1 + 2**-11)


def test_a_pickled_source_gives_the_same_views(source):
    place = next(place for split in SPLITS for place in source.places(split))
    copy = pickle.loads(pickle.dumps(source))
    expected = source.sample(place, crop_px=9, generator=generator())
    assert torch.equal(copy.sample(place, crop_px=9, generator=generator()), expected)


@pytest.mark.parametrize("method", ["check_crop", "sample"])
def test_a_crop_without_pixels_is_refused(source, method):
    place = next(place for split in SPLITS for place in source.places(split))
    arguments = {"place": place, "generator": generator()} if method == "sample" else {}
    with pytest.raises(ValueError, match=r"task.crop_px must be at least 1, got 0"):
        getattr(source, method)(crop_px=0, **arguments)


def test_an_unknown_place_is_refused_with_the_known_ones(source):
    with pytest.raises(ValueError, match=r"unknown place 'nowhere', expected one of .*(pano0|scene0)"):
        source.sample("nowhere", crop_px=8, generator=generator())


def test_a_second_source_decodes_nothing(folder, tmp_path, monkeypatch):
    HdrFolder(root=folder, cache_dir=tmp_path / "cache").check_crop(8)
    monkeypatch.setattr(ldr2hdr.data.scenes.cache, "read_radiance", None)
    renamed = tmp_path / "moved"
    folder.rename(renamed)  # the key is the content, not the name
    HdrFolder(root=renamed, cache_dir=tmp_path / "cache").check_crop(8)
    write_image(renamed / "scene0.exr", noise(30, 40, seed=99))
    with pytest.raises(TypeError, match="not callable"):
        HdrFolder(root=renamed, cache_dir=tmp_path / "cache").check_crop(8)


def _cache_and_sum(arguments):
    return float(cache_picture(*arguments).open().half.astype(np.float64).sum())


def test_processes_that_decode_at_once_agree_and_leave_one_file(tmp_path):
    write_image(tmp_path / "a.exr", noise(64, 64))
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as pool:
        sums = list(pool.map(_cache_and_sum, [(tmp_path / "a.exr", tmp_path / "cache")] * 6))
    assert len(set(sums)) == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.parametrize("peak", [1e-9, 3.0, 65504.0, 1e30])
def test_the_cache_keeps_eleven_bits_over_28_stops_of_any_range(tmp_path, peak):
    radiance = peak * torch.exp2(-28 * torch.rand(3, 20, 20, generator=generator(), dtype=torch.float64)).float()
    radiance[0, 0, 0] = peak
    write_image(tmp_path / "a.exr", radiance, is_half=False)
    stored = cache_picture(tmp_path / "a.exr", tmp_path / "cache").open()
    restored = torch.from_numpy(stored.half.astype(np.float64) * stored.unit)
    assert ((restored - radiance.double()).abs() <= 2.0**-11 * radiance.double()).all()


def test_a_black_picture_is_cached(tmp_path):
    write_image(tmp_path / "a.exr", torch.zeros(3, 4, 4))
    assert cache_picture(tmp_path / "a.exr", tmp_path / "cache").open().half.max() == 0


def test_a_broken_picture_is_named_and_leaves_no_cache_file(folder, tmp_path):
    (folder / "scene3.exr").write_bytes(b"\x76\x2f\x31\x01")
    with pytest.raises(ImageError, match=r"scene3\.exr.*dataset.hdr_folder.skip_bad=true leaves such pictures out"):
        HdrFolder(root=folder, cache_dir=tmp_path / "cache").check_crop(8)
    cached = list((tmp_path / "cache").iterdir()) if (tmp_path / "cache").exists() else []
    assert all(file.suffix == ".npy" and not file.name.startswith(".") for file in cached)


def test_splits_stay_when_files_are_added_and_follow_the_fractions(folder, tmp_path):
    options = {"root": folder, "cache_dir": tmp_path / "cache", "fractions": (0.5, 0.25, 0.25)}
    before = HdrFolder(**options)
    for i in range(12, 18):
        write_image(folder / f"scene{i}.exr", noise(30, 40, i))
    after = HdrFolder(**options)
    assert all(set(before.places(split)) <= set(after.places(split)) for split in SPLITS)
    splits = [split_by_hash(f"name{i}", (0.6, 0.3, 0.1), seed=1) for i in range(4000)]
    counts = [splits.count(split) / 4000 for split in SPLITS]
    np.testing.assert_allclose(counts, (0.6, 0.3, 0.1), atol=0.025)  # three standard deviations
    assert splits != [split_by_hash(f"name{i}", (0.6, 0.3, 0.1), seed=2) for i in range(4000)]


def test_a_crop_at_full_size_is_the_picture(tmp_path):
    picture = noise(16, 16)
    write_image(tmp_path / "a.exr", picture, is_half=False)
    source = HdrFolder(root=tmp_path, cache_dir=tmp_path / "cache", fractions=(1.0, 0.0, 0.0))
    crop = source.sample("a.exr", crop_px=16, generator=generator())
    torch.testing.assert_close(crop, picture, rtol=2**-11, atol=1e-6)


def test_a_coarser_crop_averages(tmp_path):
    """A fine checkerboard has no trace in a crop of a quarter of the resolution; nearest pixels would be 0 or 2."""
    checkerboard = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 2.0
    write_image(tmp_path / "a.exr", checkerboard.expand(3, 64, 64))
    source = HdrFolder(root=tmp_path, cache_dir=tmp_path / "cache", fractions=(1.0, 0.0, 0.0))
    views = [source.sample("a.exr", crop_px=16, generator=generator(seed)) for seed in range(40)]
    assert min((view - 1).abs().max().item() for view in views) < 0.1
    assert all(abs(view.mean().item() - 1) < 0.02 for view in views)


def test_a_scene_smaller_than_the_crop_names_file_sizes_and_key(folder, tmp_path):
    source = HdrFolder(root=folder, cache_dir=tmp_path / "cache")
    source.check_crop(30)
    message = r"smaller than the crop: 40 x 30 pixels, but task.crop_px=31; lower task.crop_px or .*scene0\.exr"
    with pytest.raises(ImageError, match=message + r" \(and 11 more\)"):
        source.check_crop(31)
    with pytest.raises(ValueError, match=r"smaller than the crop: 40 x 30 pixels, but task.crop_px=31"):
        source.sample("scene0.exr", crop_px=31, generator=generator())


def test_bad_pictures_are_listed_and_left_out_on_request(folder, tmp_path, caplog):
    (folder / "sub" / "scene1.hdr").write_bytes(b"\x89PNG\r\n\x1a\n an 8-bit picture under another name")
    sound = (folder / "scene6.exr").read_bytes()
    (folder / "scene6.exr").write_bytes(sound[: len(sound) // 2])
    write_image(folder / "small.hdr", noise(20, 50))
    source = HdrFolder(root=folder, cache_dir=tmp_path / "cache", skip_bad=True)
    for _ in range(2):
        source.check_crop(24)
    listed = sorted(record.getMessage().rsplit("/", 1)[-1] for record in caplog.records)
    assert listed == ["scene1.hdr", "scene6.exr", "small.hdr"]
    places = {place for split in SPLITS for place in source.places(split)}
    assert len(places) == 10
    assert places.isdisjoint({"sub/scene1.hdr", "scene6.exr", "small.hdr"})


def test_of_copies_one_is_shown(folder, tmp_path):
    for i in range(6):
        shutil.copy(folder / "scene0.exr", folder / f"copy{i}.exr")
    source = HdrFolder(root=folder, cache_dir=tmp_path / "cache", fractions=(0.5, 0.25, 0.25))
    shown = [place for split in SPLITS for place in source.places(split)]
    assert len(shown) == 12


@pytest.mark.parametrize("kind", [PanoramaSource, HdrFolder])
def test_a_missing_or_empty_root_names_the_key(tmp_path, kind):
    with pytest.raises(ValueError, match=r"found none: dataset.root=.*nowhere"):
        kind(root=tmp_path / "nowhere", cache_dir=tmp_path / "cache")
    with pytest.raises(ValueError, match=r"expected .hdr or .exr pictures below the folder, found none: dataset.root="):
        kind(root=tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(ValueError, match=r"found none: dataset.root=None"):
        HdrFolder(root=None, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("fractions", [(0.5, 0.2, 0.2), (1.2, -0.1, -0.1), (0.5, 0.5)])
def test_fractions_that_are_no_shares_are_refused(folder, tmp_path, fractions):
    with pytest.raises(ValueError, match=r"dataset.fractions must be shares"):
        HdrFolder(root=folder, cache_dir=tmp_path, fractions=fractions)


def test_a_scale_below_one_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"dataset.max_scale at least 1, got 0.75 and 0.5"):
        HdrFolder(root=folder, cache_dir=tmp_path, max_scale=0.5)


@pytest.mark.parametrize(
    ("key", "value"),
    [("fov_deg", (0.0, 90.0)), ("fov_deg", (90.0, 40.0)), ("pitch_deg", (-91.0, 0.0)), ("fov_deg", (60.0,))],
)
def test_angles_outside_their_range_name_the_key(tmp_path, key, value):
    with pytest.raises(ValueError, match=rf"dataset.{key} must be an increasing pair within"):
        PanoramaSource(cache_dir=tmp_path, **{key: value})


def test_a_picture_that_is_no_panorama_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"twice as wide as high, got 40 x 30: .*scene0\.exr"):
        PanoramaSource(root=folder, cache_dir=tmp_path / "cache")


def test_more_panoramas_all_train_and_the_others_stay(panoramas, tmp_path):
    (panoramas / "manifest.csv").write_text(
        "file,place,split\npano0.exr,hall,train\npano1.exr,kitchen,val\npano2.exr,yard,test\n"
    )
    more = tmp_path / "more"
    more.mkdir()
    for i in range(12):  # by their names, a fifth would be held out
        write_image(more / f"extra{i}.exr", noise(8, 16, i))
    source = PanoramaSource(root=panoramas, train_root=more, cache_dir=tmp_path / "cache")
    assert [source.places(split) for split in ("val", "test")] == [("kitchen",), ("yard",)]
    assert set(source.places("train")) == {"hall", *(f"extra{i}.exr" for i in range(12))}
    assert source.sample("extra3.exr", crop_px=4, generator=generator()).shape == (3, 4, 4)
    shutil.copy(panoramas / "pano2.exr", more / "yard_1k.exr")
    with pytest.raises(ValueError, match=r"yard_1k.exr seems to show 'yard', which is kept for test \(.*pano2.exr\)"):
        PanoramaSource(root=panoramas, train_root=more, cache_dir=tmp_path / "cache")


def test_a_place_with_two_files_shows_both(panoramas, tmp_path):
    (panoramas / "manifest.csv").write_text("file,place,split\npano0.exr,room,train\npano1.exr,room,train\n")
    for i in range(2):
        write_image(panoramas / f"pano{i}.exr", torch.full((3, 8, 16), 1.0 + i))
    source = PanoramaSource(root=panoramas, cache_dir=tmp_path / "cache")
    assert source.places("train") == ("room",)
    state = generator()
    seen = [source.sample("room", crop_px=2, generator=state).mean().item() for _ in range(40)]
    assert set(seen) == {1.0, 2.0}
    assert 8 <= seen.count(1.0) <= 32
    chosen = {"yaw_deg": 0.0, "pitch_deg": 0.0, "fov_deg": 60.0, "size_px": (2, 3)}
    assert source.view("room", **chosen).mean() == 1
    assert source.view("pano1.exr", **chosen).mean() == 2
    with pytest.raises(ValueError, match=r"unknown place 'pano2.exr'"):
        source.view("pano2.exr", **chosen)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("file,place\npano0.exr,a\n", "expected the columns file, place and split, got file, place"),
        ("file,place,split\npano9.exr,a,train\n", "expected an existing file and a split"),
        ("file,place,split\npano0.exr,a,dev\n", "expected an existing file and a split"),
        ("file,place,split\npano0.exr,a,train\npano1.exr,a,test\n", "place 'a' is in two splits, train and test"),
        ("file,place,split\n", "expected at least one panorama"),
    ],
)
def test_a_wrong_manifest_is_refused(panoramas, rows, message):
    (panoramas / "manifest.csv").write_text(rows)
    with pytest.raises(ValueError, match=message + r".*manifest\.csv"):
        read_manifest(panoramas / "manifest.csv")


def test_negative_traces_of_lossy_coding_become_black(tmp_path):
    write_exr(tmp_path / "a.exr", np.full((4, 4, 3), -1e-3, np.float32))
    assert cache_picture(tmp_path / "a.exr", tmp_path / "cache").open().half.max() == 0
    shutil.rmtree(tmp_path / "cache")  # the cache may be deleted between runs
    assert cache_picture(tmp_path / "a.exr", tmp_path / "cache").stored.exists()
