"""Laws of every reader, on a look-alike of its set without faults."""

import math
import pickle

import pytest
import torch
from lookalikes import BRACKETS, HEIGHT, LOOKALIKES, PAIRED, UNIT, WIDTH

from ldr2hdr.data.scenes.places import SPLITS

NUMBERS = (1, 2, 4, 7, 8, 9)  # gaps are no fault
ALL = pytest.mark.parametrize("name", LOOKALIKES)


@pytest.fixture
def kind(name):
    return LOOKALIKES[name]


@ALL
def test_records_are_the_scenes(kind, root, open_set):
    written = kind.write_all(root, NUMBERS)
    dataset = open_set(kind.reader)
    records = dataset.records()
    assert {record.paths for record in records} == {
        (*scene.ldrs, *([scene.hdr] if scene.hdr else [])) for scene in written
    }
    assert len({record.id for record in records}) == len(NUMBERS)
    assert [record.id for record in records] == sorted(record.id for record in records)
    assert {exposure.ev_source for record in records for exposure in record.exposures} <= {kind.ev_source}
    # the one set that tells no EV says so, once for each scene
    expected = ["ev_missing"] * len(NUMBERS) if kind.reader.name == "si_hdr" else []
    assert [problem.kind for problem in dataset.problems()] == expected


@ALL
def test_evs_are_those_of_the_camera(kind, root, open_set):
    (written,) = kind.write_all(root, [4])
    (record,) = open_set(kind.reader).records()
    # without any source, the response is taken for sRGB: the look-alikes' camera has less contrast
    tolerance = 0.25 if kind.ev_source == "pixels" else 1e-6
    assert [exposure.ev for exposure in record.exposures] == pytest.approx(written.evs, abs=tolerance)


@pytest.mark.parametrize("name", PAIRED)
def test_fitted_records_are_in_sensor_exposure(kind, root, open_set):
    written = {scene.ldrs: scene for scene in kind.write_all(root, NUMBERS[:4])}
    dataset = open_set(kind.reader)
    fitted = [record for split in SPLITS for record in dataset.fitted(split)]
    assert len(fitted) == len(written)
    for record in fitted:
        scene = written[tuple(exposure.path for exposure in record.exposures)]
        offset = record.exposures[0].ev - scene.evs[0]
        assert math.log2(record.hdr.scale * UNIT) == pytest.approx(-offset, abs=0.05)
        assert [e.ev - offset for e in record.exposures] == pytest.approx(scene.evs, abs=0.05)


@ALL
def test_every_scene_is_in_one_split_and_so_is_every_place(kind, root, open_set):
    kind.write_all(root, range(12))
    dataset = open_set(kind.reader, fractions=(0.5, 0.25, 0.25))
    splits = {split: dataset.split(split) for split in SPLITS}
    assert sorted(r.id for split in splits.values() for r in split) == [r.id for r in dataset.records()]
    places = [place for split in splits.values() for place in {record.place for record in split}]
    assert len(places) == len(set(places))


@ALL
def test_splits_stay_when_scenes_are_added(kind, root, open_set):
    kind.write_all(root, range(8))
    before = {split: open_set(kind.reader).split(split) for split in SPLITS}
    kind.write_all(root, range(8, 14))
    after = {split: {record.id for record in open_set(kind.reader).split(split)} for split in SPLITS}
    assert all({record.id for record in before[split]} <= after[split] for split in SPLITS)


@ALL
def test_the_content_hash_does_not_know_names(kind, root, open_set, tmp_path):
    def hash_of_only():
        (record,) = open_set(kind.reader).records()
        return record.content_hash

    kind.write_all(root, [4])
    before = hash_of_only()
    root.rename(tmp_path / "moved")
    root.mkdir()
    kind.write(root, 7, seed=4)
    assert hash_of_only() == before
    kind.write(root, 7, seed=5)
    assert hash_of_only() != before
    assert len(before) == 32


@ALL
def test_a_missing_or_empty_root_names_the_key(kind, root, open_set):
    (root / "notes.txt").write_text("no set")
    with pytest.raises(ValueError, match=r"expected .* below the folder, found notes.txt: dataset.root=.*set"):
        open_set(kind.reader)
    for nothing in (root / "nowhere", None):
        with pytest.raises(ValueError, match=rf"found none: dataset.root={nothing}"):
            kind.reader(nothing, cache_dir=root)


@ALL
def test_hdr_pictures_are_scenes_for_virtual_cameras(kind, root, open_set, generator):
    written = kind.write_all(root, NUMBERS)
    dataset = pickle.loads(pickle.dumps(open_set(kind.reader)))
    places = [place for split in SPLITS for place in dataset.places(split)]
    if not any(scene.hdr for scene in written):
        assert places == []
        return
    assert len(places) == len({record.place for record in dataset.records()})
    state = generator.get_state()
    views = [dataset.sample(place, crop_px=12, generator=generator) for place in places]
    generator.set_state(state)
    assert all(
        torch.equal(view, dataset.sample(place, crop_px=12, generator=generator))
        for view, place in zip(views, places, strict=True)
    )
    assert all(view.shape == (3, 12, 12) and view.dtype == torch.float32 for view in views)
    # 11 stops of light and the tint, the top ones at 2**(11 - 9) sensor whites
    assert all(2**-9.5 * UNIT < view.min() < view.max() < 2**2.5 * UNIT for view in views)


@ALL
def test_a_crop_that_does_not_fit_is_refused(kind, root, open_set, generator):
    (written,) = kind.write_all(root, [4])
    if written.hdr is None:
        return
    dataset = open_set(kind.reader)
    dataset.check_crop(HEIGHT)
    message = rf"smaller than the crop: {WIDTH} x {HEIGHT} pixels, but task.crop_px={HEIGHT + 1}; lower task.crop_px"
    with pytest.raises(ValueError, match=message + rf" or remove .*{written.hdr.name}"):
        dataset.check_crop(HEIGHT + 1)
    with pytest.raises(ValueError, match=message):
        dataset.sample(dataset.records()[0].place, crop_px=HEIGHT + 1, generator=generator)
    with pytest.raises(ValueError, match=r"task.crop_px must be at least 1, got 0"):
        dataset.check_crop(0)
    with pytest.raises(ValueError, match=r"unknown place 'nowhere'"):
        dataset.sample("nowhere", crop_px=8, generator=generator)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fractions": (0.5, 0.2, 0.2)}, r"dataset.fractions must be shares"),
        ({"fractions": (0.5, 0.5)}, r"dataset.fractions must be shares"),
        ({"max_residual_stops": 0.0}, r"dataset.max_residual_stops must be positive"),
        ({"max_scale": 0.5}, r"dataset.max_scale at least 1, got 0.75 and 0.5"),
    ],
)
def test_options_out_of_range_name_their_key(root, open_set, options, message):
    LOOKALIKES["funt"].write_all(root, [1])
    with pytest.raises(ValueError, match=message):
        open_set(LOOKALIKES["funt"].reader, **options)


@pytest.mark.parametrize("name", BRACKETS)
def test_a_fit_is_remembered(kind, root, open_set, monkeypatch):
    kind.write_all(root, [4])
    first = [record for split in SPLITS for record in open_set(kind.reader).fitted(split)]
    monkeypatch.setattr("ldr2hdr.data.datasets.fitting.read_exposures", None)
    assert [record for split in SPLITS for record in open_set(kind.reader).fitted(split)] == first
