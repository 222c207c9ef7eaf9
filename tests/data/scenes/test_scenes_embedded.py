"""The shipped panoramas: complete, small, of known origin, split by place, fit to be scenes."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

import ldr2hdr.data.scenes.panoramas
from ldr2hdr.data.scenes.sources import PanoramaSource
from ldr2hdr.io import read_radiance

FOLDER = Path(ldr2hdr.data.scenes.panoramas.__file__).parent
with (FOLDER / "manifest.csv").open(newline="") as _file:
    MANIFEST = {row["file"]: row for row in csv.DictReader(_file)}

# first eight digits of the sources' sha256, as published with the collection
SHA256 = {
    "blender_city.exr": "70940108",
    "blender_courtyard.exr": "1518fa37",
    "blender_forest.exr": "63ad3243",
    "blender_interior.exr": "4f6810b1",
    "blender_night.exr": "a46488f5",
    "blender_studio.exr": "e501dd8a",
    "blender_sunrise.exr": "b9720621",
    "dikhololo_night_1k.hdr": "6861489f",
    "empty_warehouse_01_1k.hdr": "9b3d611c",
    "forest_slope_1k.hdr": "926a6bb8",
    "kiara_1_dawn_1k.hdr": "ee70fb8c",
    "lebombo_1k.hdr": "a02c9615",
    "potsdamer_platz_1k.hdr": "7afe4c2f",
    "rooitou_park_1k.hdr": "af15cb5c",
    "st_fagans_interior_1k.hdr": "8b73849c",
    "studio_small_03_1k.hdr": "29267a4a",
    "venice_sunset_1k.hdr": "0e72ed46",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return PanoramaSource(cache_dir=tmp_path_factory.mktemp("cache"))


def test_the_manifest_names_every_file_and_its_origin():
    assert sorted(MANIFEST) == sorted(path.name for path in FOLDER.glob("*.exr"))
    assert {row["source_file"]: row["source_sha256"][:8] for row in MANIFEST.values()} == SHA256
    assert all(len(row["source_sha256"]) == 64 and row["licence"] == "CC0-1.0" for row in MANIFEST.values())
    origins = {(row["source_package"], row["source_version"]) for row in MANIFEST.values()}
    assert origins == {("viser (Python)", "1.0.0"), ("blender-data (Debian)", "3.4.1")}


def test_the_folder_stays_below_eight_and_a_half_megabytes():
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) <= 8_500_000


def test_the_two_pictures_of_one_room_are_one_place(source):
    rooms = [MANIFEST[name] for name in ("blender_studio.exr", "studio_small_03.exr")]
    assert [row["place"] for row in rooms] == ["photo_studio"] * 2
    assert [row["split"] for row in rooms] == ["train"] * 2
    counts = [len(source.places(split)) for split in ("train", "val", "test")]
    assert counts == [7, 4, 5]


@pytest.mark.parametrize("name", sorted(MANIFEST))
def test_every_file_is_a_finite_non_negative_half_float_panorama(name):
    radiance = read_radiance(FOLDER / name)  # raises on NaN, infinity and negative values
    assert radiance.shape == (3, 512, 1024)
    assert torch.equal(radiance, radiance.half().float())
    assert radiance.quantile(0.999, dim=-1).max() > 20 * radiance.median()  # more than a photograph holds


def test_random_views_are_scenes(source):
    generator = torch.Generator().manual_seed(0)
    for split in ("train", "val", "test"):
        for place in source.places(split):
            view = source.sample(place, crop_px=32, generator=generator)
            assert np.isfinite(view.numpy()).all()
            assert view.min() >= 0
            assert view.max() > 0
