"""Tasks from photographed brackets: disjoint, aligned, in sensor exposure, a pure function of (seed, split, index)."""

import math
import pickle

import pytest
import torch
from lookalikes import BRACKETS, GAMMA, HEIGHT, LOOKALIKES, light_of, shoot, write_hdr, write_ldr

from ldr2hdr.data.datasets.bracket_folder import BracketFolder
from ldr2hdr.data.datasets.drtmo import Drtmo
from ldr2hdr.data.scenes.sources import PanoramaSource
from ldr2hdr.data.tasks.brackets import BracketTasks
from ldr2hdr.tasks import collate


@pytest.fixture
def make(open_set):
    def make_tasks(name="bracket_folder", **changes):
        source = open_set(LOOKALIKES[name].reader)
        settings = {"split": "train", "ranges": "seen", "seed": 0, "shots": 2, "queries": 2, "crop_px": 12} | changes
        return BracketTasks(source, {}, **settings)

    return make_tasks


def write(root, name="bracket_folder", count=6):
    # NTIRE and Kalantari: numbers of their train folders, but for one of val or test
    return LOOKALIKES[name].write_all(root, range(count))


def same(first, second):
    pairs = ((getattr(first, of), getattr(second, of)) for of in ("support", "query"))
    return all(torch.equal(a.ldr, b.ldr) and torch.equal(a.exposure, b.exposure) for a, b in pairs)


@pytest.mark.parametrize("name", BRACKETS)
def test_labels_are_the_sensor_exposure_of_the_pictures(root, make, name):
    """The camera of the look-alikes is a power law: where it did not clip, it tells the label."""
    write(root, name)
    tasks, errors = make(name, shots=1, queries=1), []
    for index in range(4):
        task = tasks[index]
        for shots in (task.support, task.query):
            is_told = (shots.ldr > 0.15) & (shots.ldr < 0.95)
            error = (shots.ldr**GAMMA / shots.exposure).log2()[is_told]
            errors.append(error)
            assert ((shots.exposure > 1.1) <= (shots.ldr > 0.95)).all()
    errors = torch.cat(errors).abs()
    assert len(errors) > 500
    assert errors.median() < 0.05
    assert errors.max() < 0.5  # the coder blurs single pixels


def test_support_and_query_are_different_exposures_of_one_scene(root, make):
    write(root)
    tasks = make(shots=2, queries=3)
    for index in range(6):
        task = tasks[index]
        assert len({*task.support_places, *task.query_places}) == 1
        assert (len(task.support_places), len(task.query_places)) == (2, 3)
        pictures = torch.cat([task.support.exposure, task.query.exposure])
        stops = torch.log2(pictures.mean(dim=(1, 2, 3)) / pictures[0].mean())
        # the same crop of the same light, at all five exposures
        torch.testing.assert_close(pictures, pictures[:1] * torch.exp2(stops)[:, None, None, None])
        assert (stops - stops.min()).sort().values.tolist() == pytest.approx([0, 1.5, 3, 4.5, 6], abs=1e-4)
        assert task.camera == "Acme X1"


def test_a_task_depends_on_seed_split_and_index_alone(root, make):
    write(root, count=12)
    tasks = make()
    tasks[1], torch.rand(5)
    assert same(tasks[4], make(ranges="unseen")[4])
    assert same(tasks[4], pickle.loads(pickle.dumps(tasks))[4])
    assert not same(tasks[4], make(seed=1)[4])
    assert not same(tasks[4], tasks[4 + len(tasks.records)])
    assert collate([tasks[0], tasks[1]]).support.ldr.shape == (2, 2, 3, 12, 12)


def test_every_scene_is_shown_once_before_one_is_shown_again(root, make):
    write(root, count=10)
    tasks = make()
    num = len(tasks.records)
    for epoch in range(3):
        places = [tasks[epoch * num + i].support_places[0] for i in range(num)]
        assert sorted(places) == list(tasks.places)
    assert num > 3


@pytest.mark.slow
def test_only_places_of_the_split_are_shown(root, make):
    write(root, count=28)
    shown = {split: set(make(split=split).places) for split in ("train", "val", "test")}
    assert sum(map(len, shown.values())) == len(set.union(*shown.values())) == 28


def test_what_does_not_fit_is_not_used(root, make, open_set):
    written = write(root)
    source = open_set(BracketFolder)
    before = [record.id for record in source.fitted("train")]
    broken = next(scene for scene in written if scene.hdr.parent.name == before[0])
    write_hdr(broken.hdr, light_of(77))
    tasks = make()
    assert [record.id for record in tasks.records] == before[1:]
    assert {problem.kind for problem in tasks.source.problems()} >= {"misfit"}


def test_a_scene_of_which_too_few_exposures_fit_is_not_used(root, open_set):
    """The brightest of three is a stop brighter than told."""
    broken = write(root, "ldr_hdr_pair")[0]
    write_ldr(broken.ldrs[-1], shoot(light_of(0), broken.evs[-1] + 1))
    source = open_set(LOOKALIKES["ldr_hdr_pair"].reader, fractions=(1.0, 0.0, 0.0))
    settings = {"split": "train", "ranges": "seen", "seed": 0, "shots": 1, "crop_px": 12}
    fitting = BracketTasks(source, {}, **settings, queries=1).records
    (incomplete,) = (record for record in fitting if len(record.exposures) == 2)
    assert broken.ldrs[-1] not in incomplete.paths
    complete = BracketTasks(source, {}, **settings, queries=2).records
    assert len(complete) == 5
    assert [record.id for record in complete] == [record.id for record in fitting if record is not incomplete]


def test_a_crop_of_the_whole_height_shows_it(root, make):
    write(root)
    task = make(crop_px=HEIGHT)[0]
    assert task.query.ldr.shape == (2, 3, HEIGHT, HEIGHT)
    seed = int(task.support_places[0].removeprefix("scene"))
    light = torch.from_numpy(light_of(seed)).movedim(-1, 0)
    column_means = light.mean(dim=1)
    shown = task.support.exposure[0].mean(dim=1)
    offsets = [
        (shown.log2() - column_means[:, left : left + HEIGHT].log2()).std()
        for left in range(light.shape[2] - HEIGHT + 1)
    ]
    assert min(offsets) < 0.02


def test_too_few_exposures_name_key_and_scene(root, make):
    write(root)
    for ev in (0.0, 1.0):
        write_ldr(root / "few" / f"x_{ev:+.0f}.png", shoot(light_of(3), ev))
    write_hdr(root / "few" / "x.hdr", light_of(3))
    split = next(s for s in ("train", "val", "test") if any(r.id == "few" for r in reader_of(make).split(s)))
    with pytest.raises(ValueError, match=r"shots=2, queries=1 for 2 exposures in scene 'few'; lower task.shots"):
        make(split=split, queries=1)


def reader_of(make):
    return make(shots=1, queries=1).source


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shots": 0}, "task.shots, .* got shots=0"),
        ({"queries": 0}, "queries=0"),
        ({"crop_px": 0}, "crop_px=0"),
        ({"crop_px": 25}, "task.crop_px=25; lower task.crop_px or remove"),
        ({"shots": 5}, "shots=5, queries=2 for 5 exposures in scene 'scene"),
        ({"shots": 3, "queries": 3}, "lower task.shots or task.queries"),
    ],
)
def test_settings_that_make_no_task_name_their_key(root, make, changes, message):
    write(root)
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_a_source_without_photographed_exposures_or_truth_is_refused(root, open_set, cache_dir, make):
    settings = {"split": "train", "ranges": "seen", "seed": 0, "shots": 1, "queries": 1, "crop_px": 8}
    with pytest.raises(ValueError, match=r"task=bracket needs a data set of photographed exposures.*PanoramaSource"):
        BracketTasks(PanoramaSource(cache_dir=cache_dir), {}, **settings)
    LOOKALIKES["drtmo"].write_all(root, [1])
    with pytest.raises(
        ValueError, match=r"train split of Drtmo has no scene with exposures and an HDR .*\(0 have both"
    ):
        BracketTasks(open_set(Drtmo, fractions=(1.0, 0.0, 0.0)), {}, **settings)


def test_light_lost_in_the_picture_is_in_the_label(root, make):
    write(root)
    task = make(shots=2, queries=3, crop_px=HEIGHT)[0]
    brightest = task.query.exposure.amax(dim=(1, 2, 3)).max()
    # 2 stops above white at ev=0, and the brightest exposures are at +1.5 and +3
    assert math.log2(brightest) > 1
    assert task.query.ldr.max() <= 1
