"""A task is a pure function of (seed, split, index), of the places of its split, by one camera."""

import itertools
import math

import pytest
import torch
from torch.utils.data import DataLoader

from ldr2hdr.data.cameras.camera import CameraFamily
from ldr2hdr.data.cameras.development import QuantiseFamily
from ldr2hdr.data.cameras.drift import Drift
from ldr2hdr.data.cameras.metering import MeanMetering
from ldr2hdr.data.cameras.stages import ClipFamily, GainsFamily
from ldr2hdr.data.scenes.sources import AbstractSceneSource
from ldr2hdr.data.tasks.base import AbstractTasks
from ldr2hdr.data.tasks.kinds import mix_kinds
from ldr2hdr.data.tasks.labels import TruthLabels
from ldr2hdr.data.tasks.profiles import ProfileTasks
from ldr2hdr.data.tasks.sampling import CameraTasks, SceneTasks

PLACES = {"train": tuple(f"train{i}" for i in range(6)), "val": ("val0", "val1"), "test": ()}


class NumberedSource(AbstractSceneSource):
    """Noise, whatever the place."""

    def places(self, split):
        return PLACES[split]

    def check_crop(self, crop_px):
        if crop_px > 32:
            raise ValueError(f"task.crop_px={crop_px} is more than the 32 pixels there are")

    def sample(self, place, *, crop_px, generator):
        return torch.rand(3, crop_px, crop_px, generator=generator)


def family(name="tiny"):
    gain = {"seen": [0.7, 1.4], "unseen": [[0.5, 0.65], [1.5, 1.9]]}
    stages = {"gains": GainsFamily(red=gain, blue=gain), "clip": ClipFamily(), "quantise": QuantiseFamily()}
    return CameraFamily(name, MeanMetering(level=0.3, stops=[-1.0, 1.0]), stages=stages)


def make(kind=CameraTasks, *, families=("tiny",), **changes) -> AbstractTasks:
    settings = {"split": "train", "ranges": "seen", "seed": 0, "shots": 2, "queries": 2, "crop_px": 8} | changes
    return kind(NumberedSource(), {name: family(name) for name in families}, **settings)


def tensors(task):
    return task.support.ldr, task.support.exposure, task.query.ldr, task.query.exposure


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(tensors(first), tensors(second), strict=True))


KINDS = pytest.mark.parametrize("kind", [CameraTasks, SceneTasks, ProfileTasks])


@KINDS
def test_a_task_depends_on_seed_split_ranges_and_index_alone(kind):
    tasks = make(kind)
    tasks[3], torch.rand(7)
    assert same(tasks[5], make(kind)[5])
    others = [tasks[6], make(kind, seed=1)[5], make(kind, split="val")[5], make(kind, ranges="unseen")[5]]
    assert not any(same(tasks[5], other) for other in others)
    assert len({task.camera for task in (tasks[5], *others)}) == 5


@KINDS
def test_support_and_query_share_no_picture(kind):
    for index in range(8):
        pictures = torch.cat([make(kind)[index].support.exposure, make(kind)[index].query.exposure])
        assert not any(torch.equal(a, b) for a, b in itertools.combinations(pictures, 2))


@pytest.mark.parametrize("kind", [CameraTasks, SceneTasks])
def test_pictures_are_what_the_camera_makes_of_the_exposure(kind):
    for index in range(4):
        task = make(kind, ranges="unseen")[index]
        green, seen = task.query.exposure[:, 1], task.query.ldr[:, 1]
        torch.testing.assert_close(seen, green.clamp(max=1), rtol=0, atol=0.5 / 255 + 1e-6)
        ratio = task.query.ldr[:, 0].sum() / task.query.exposure[:, 0].sum()
        assert not 0.71 < ratio < 1.39, "a camera of the unseen ranges has an unseen gain, or clips"


@KINDS
@pytest.mark.parametrize("split", ["train", "val"])
def test_only_places_of_the_split_are_shown(kind, split):
    shown = {place for i in range(20) for place in make(kind, split=split)[i].support_places}
    assert shown == set(PLACES[split])


def test_places_of_a_camera_task_are_distinct_where_there_are_enough():
    for index in range(20):
        task = make(shots=3, queries=3)[index]
        assert {*task.support_places, *task.query_places} == set(PLACES["train"])
    few = make(split="val")[0]
    assert sorted(few.support_places + few.query_places) == ["val0", "val0", "val1", "val1"]


def test_named_places_are_those_seen():
    asked = []
    tasks = make()
    tasks.source.sample = lambda place, *, crop_px, generator: asked.append(place) or torch.ones(3, crop_px, crop_px)
    task = tasks[4]
    assert (*task.support_places, *task.query_places) == tuple(asked)


def test_a_scene_task_shows_exposures_of_one_scene():
    for index in range(8):
        task = make(SceneTasks, evs=(-4.0, -2.0, 0.0, 2.0))[index]
        assert len({*task.support_places, *task.query_places}) == 1
        pictures = torch.cat([task.support.exposure, task.query.exposure])
        stops = torch.log2(pictures.mean(dim=(1, 2, 3)) / pictures[0].mean()).round()
        # a power of two changes the exponent alone: the pictures are equal to the last bit
        assert torch.equal(pictures, pictures[:1] * torch.exp2(stops)[:, None, None, None])
        assert sorted((stops - stops.min()).tolist()) == [0.0, 2.0, 4.0, 6.0]


def test_a_scene_task_draws_which_exposures_are_support():
    brightest = [make(SceneTasks)[i].support.exposure.mean(dim=(1, 2, 3)) for i in range(12)]
    spreads = {round(math.log2(pair.max() / pair.min())) for pair in brightest}
    assert spreads == {2, 4, 6}


def test_a_profile_task_teaches_by_a_bracket_and_asks_for_other_places():
    for index in range(8):
        task = make(ProfileTasks, shots=3)[index]
        assert len({*task.support_places}) == 1
        assert not {*task.support_places} & {*task.query_places}
        bracket = task.support.exposure
        assert torch.equal(bracket, bracket[1:2] * torch.tensor([0.25, 1.0, 4.0])[:, None, None, None])


def test_a_profile_task_never_asks_for_the_place_it_teaches():
    for index in range(8):
        task = make(ProfileTasks, split="val", queries=3)[index]
        assert {*task.support_places}.isdisjoint(task.query_places)


@pytest.mark.parametrize(("shots", "evs"), [(1, (0.0,)), (2, (-2.0, 0.0)), (3, (-2.0, 0.0, 2.0))])
def test_a_profile_task_teaches_by_the_exposures_nearest_to_the_cameras_own(shots, evs):
    assert make(ProfileTasks, shots=shots, evs=(-4.0, -2.0, 0.0, 2.0)).evs == evs


def test_a_profile_task_asks_for_light_in_the_colours_of_the_camera():
    for index in range(4):
        task = make(ProfileTasks, ranges="unseen")[index]
        for shots in (task.support, task.query):
            torch.testing.assert_close(shots.ldr, shots.exposure.clamp(max=1), rtol=0, atol=0.5 / 255 + 1e-6)


DRIFT = Drift(balance_stops=0.4, glare=(0.01, 0.08))


def gains_of(shots):
    """Return red and blue over green of picture over truth, where they do not clip."""
    inside = shots.ldr < 1
    light, truth = ((inside * part).sum(dim=(2, 3)) for part in (shots.ldr, shots.exposure))
    ratio = light / truth
    return ratio[:, [0, 2]] / ratio[:, 1:2]


@KINDS
def test_a_drift_of_zero_changes_no_bit(kind):
    none, zero = make(kind, drift=None), make(kind, drift=Drift(0.0, [0.0, 0.0]))
    assert all(same(none[index], zero[index]) for index in range(4))


@KINDS
def test_drift_leaves_cameras_places_and_the_scene_alone(kind):
    for index in range(4):
        plain, drifted = make(kind)[index], make(kind, drift=DRIFT)[index]
        assert (plain.camera, plain.query_places) == (drifted.camera, drifted.query_places)
        assert not torch.equal(plain.query.ldr, drifted.query.ldr)


def test_pictures_of_a_camera_have_gains_of_their_own_and_the_truth_has_none():
    for index in range(4):
        plain, drifted = make()[index], make(drift=Drift(0.4))[index]
        assert torch.equal(plain.support.exposure, drifted.support.exposure)
        assert torch.equal(plain.query.exposure, drifted.query.exposure)
        gains = torch.cat([gains_of(drifted.support), gains_of(drifted.query)]).log2()
        assert torch.cdist(gains, gains).fill_diagonal_(9).min() > 0.02


def test_a_scenes_bracket_has_one_balance_and_each_query_its_own():
    for index in range(4):
        task = make(SceneTasks, drift=Drift(0.4), evs=(-1.0, -0.5, 0.0, 0.5))[index]
        support, query = gains_of(task.support).log2(), gains_of(task.query).log2()
        torch.testing.assert_close(support[0], support[1], rtol=0, atol=0.05)
        assert (query - support[0]).norm(dim=1).min() > 0.05


def test_balance_changes_nothing_in_the_curve_of_a_profile():
    """Its truth is in the colours of each photograph."""
    for index in range(4):
        task = make(ProfileTasks, ranges="unseen", drift=DRIFT)[index]
        assert not torch.equal(task.query.exposure, make(ProfileTasks, ranges="unseen")[index].query.exposure)
        for shots in (task.support, task.query):
            torch.testing.assert_close(shots.ldr, shots.exposure.clamp(max=1), rtol=0, atol=0.5 / 255 + 1e-6)


def test_cameras_take_turns_by_family():
    names = [make(families=("a", "b"))[i].camera.split("-")[0] for i in range(4)]
    assert names == ["a", "b", "a", "b"]


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (CameraTasks, {"shots": 0}, "task.shots, .* got shots=0"),
        (CameraTasks, {"queries": 0}, "queries=0"),
        (CameraTasks, {"crop_px": 0}, "crop_px=0"),
        (CameraTasks, {"crop_px": 33}, "task.crop_px=33"),
        (CameraTasks, {"families": ()}, "at least one camera family"),
        (CameraTasks, {"split": "test"}, "test split of NumberedSource shows no place"),
        (SceneTasks, {"shots": 4}, "lower task.shots"),
        (SceneTasks, {"shots": 3, "queries": 2}, "shots=3, queries=2 for 4 exposures"),
        (ProfileTasks, {"shots": 4}, "task.shots must be at most .* got 4 for 3"),
        (ProfileTasks, {"evs": (0.0, math.nan)}, "task.evs must be finite .* got \\[0.0, nan\\]"),
        (ProfileTasks, {"evs": (0.0, 2.0, 0.0)}, "task.evs must be finite stops, each once"),
    ],
)
def test_settings_that_make_no_task_name_their_key(kind, changes, message):
    with pytest.raises(ValueError, match=message):
        make(kind, **changes)


@KINDS
def test_a_device_that_is_not_there_names_its_key(kind):
    with pytest.raises(ValueError, match=r"task.camera_device=abacus is not there"):
        make(kind, camera_device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match=r"task.camera_device=cuda is not there"):
            make(kind, camera_device="cuda")


@KINDS
def test_loader_processes_do_not_shoot_on_another_device(kind):
    loader = DataLoader(make(kind, camera_device="meta"), 1, sampler=[0], num_workers=1)
    with pytest.raises(ValueError, match=r"task.camera_device=meta cannot be used by loader processes"):
        next(iter(loader))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@KINDS
def test_tasks_shot_on_a_gpu_are_those_of_the_cpu(kind):
    for index in range(8):
        on_cpu, on_gpu = tensors(make(kind)[index]), tensors(make(kind, camera_device="cuda")[index])
        assert {tensor.device.type for tensor in on_gpu} == {"cuda"}
        for expected, got in zip(on_cpu, on_gpu, strict=True):
            # a rounding error may turn a level
            assert ((got.cpu() - expected).abs() < 1e-5 + 1e-5 * expected).float().mean() > 0.999


def mixed(weights):
    return make(
        mix_kinds,
        label_source=TruthLabels(),
        scene_evs=(-4.0, -2.0, 0.0, 2.0),
        profile_evs=(-2.0, 0.0, 2.0),
        weights=weights,
    )


def test_mixed_kinds_are_those_of_their_own_data_sets():
    tasks = mixed({"camera": 2.0, "scene": 1.0, "profile": 1.0})
    own = [make(seed=0), make(SceneTasks, seed=1), make(ProfileTasks, seed=2)]
    first = [tasks[index] for index in range(4)]
    assert sum(any(same(task, alone[0]) for alone in own) for task in first) == 3
    assert sum(same(task, own[0][1]) for task in first) == 1


def test_mixed_kinds_drift():
    kinds = mix_kinds(
        NumberedSource(), {"tiny": family()}, split="train", ranges="seen", seed=0, shots=2, queries=2, crop_px=8,
        label_source=TruthLabels(), scene_evs=(-4.0, -2.0, 0.0, 2.0), profile_evs=(-2.0, 0.0, 2.0),
        weights={"camera": 1.0, "scene": 1.0, "profile": 1.0}, drift=DRIFT,
    )  # fmt: skip
    assert {tasks.drift for tasks in kinds.tasks.values()} == {DRIFT}


@pytest.mark.parametrize("weights", [{}, {"bracket": 1.0}])
def test_mixed_kinds_need_a_known_one(weights):
    with pytest.raises(ValueError, match=r"task\.weights"):
        mixed(weights)
