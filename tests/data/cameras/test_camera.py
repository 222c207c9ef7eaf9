import dataclasses
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from ldr2hdr.data.cameras.camera import CameraFamily
from ldr2hdr.data.cameras.crf import GammaCurve
from ldr2hdr.data.cameras.development import Jpeg, LocalToneMapping, Quantise, Response, ResponseFamily
from ldr2hdr.data.cameras.dorf import TableCurve
from ldr2hdr.data.cameras.metering import MeanMetering
from ldr2hdr.data.cameras.optics import Optics
from ldr2hdr.data.cameras.optics_families import OpticsFamily
from ldr2hdr.data.cameras.ranges import Range
from ldr2hdr.data.cameras.stages import ClipFamily, Gains, Noise, Vignetting

CONF = Path(__file__).parents[3] / "conf"
PRESETS = sorted(path.stem for path in (CONF / "camera").glob("*.yaml"))


def compose_preset(name, *overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return instantiate(compose(overrides=[f"+camera={name}", *overrides]).camera[name])


@pytest.fixture(scope="module")
def families():
    return {name: compose_preset(name) for name in PRESETS}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def radiance(height=24, width=32, count=2, seed=0):
    return torch.exp(2 * torch.randn(count, 3, height, width, generator=seeded(seed)))


def parameters_and_ranges(family, camera):
    """Pairs of drawn values and the range they came from, found by name."""
    for family_stage, camera_stage in zip(family.stages.values(), camera.stages, strict=True):
        source, drawn = family_stage, camera_stage
        if isinstance(source, ResponseFamily):
            drawn = drawn.curve
            if isinstance(drawn, TableCurve):  # of numbers without names: test_dorf has its laws
                continue
            (source,) = [f for f in source.curves.values() if type(f).__name__[:-6] == type(drawn).__name__[:-5]]
        elif isinstance(source, OpticsFamily):
            drawn = drawn.psf
            (source,) = [f for f in source.psfs.values() if type(f).__name__[:-6] == type(drawn).__name__[:-3]]
        for name, range_ in vars(source).items():
            if isinstance(range_, Range):
                attribute = {"crosstalk": "matrix", "bend": "heights"}.get(name, name.replace("_noise_dn", "_dn"))
                yield range_, values_of(attribute, getattr(drawn, attribute))


def values_of(attribute, value):
    if attribute == "matrix":
        return [value[i][j] for i in range(3) for j in range(3) if i != j]
    if attribute == "heights":
        logs = torch.tensor(value, dtype=torch.float64).log()
        return (logs - logs.mean(dim=1, keepdim=True)).square().mean(dim=1).sqrt().tolist()
    return list(value) if isinstance(value, tuple) else [value]


def is_within(value, interval):
    return interval[0] - 1e-9 <= value <= interval[1] + 1e-9


@pytest.mark.parametrize("name", PRESETS)
def test_seen_cameras_are_inside_the_seen_ranges_and_unseen_cameras_outside(families, name):
    family, generator = families[name], seeded()
    for _ in range(40):
        for range_, values in parameters_and_ranges(family, family.sample(generator, ranges="seen")):
            assert all(is_within(value, range_.seen) for value in values), range_.key
        for range_, values in parameters_and_ranges(family, family.sample(generator, ranges="unseen")):
            intervals = range_.unseen or (range_.seen,)
            assert all(any(is_within(value, interval) for interval in intervals) for value in values), range_.key


@pytest.mark.parametrize("ranges", ["seen", "unseen"])
@pytest.mark.parametrize("name", PRESETS)
def test_pictures_are_finite_8_bit_levels_at_any_size_even_white_or_black(families, name, ranges):
    camera = families[name].sample(seeded(1), ranges=ranges)
    for scene in (radiance(), radiance(17, 23), radiance(1, 1), torch.zeros(1, 3, 9, 7), torch.full((1, 3, 9, 7), 1e6)):
        exposure = camera.expose(scene, seeded(2))
        ldr = camera.shoot(exposure, seeded(3))
        assert ldr.shape == scene.shape
        assert ldr.dtype == torch.float32
        assert bool(((ldr >= 0) & (ldr <= 1)).all())
        torch.testing.assert_close(ldr * 255, (ldr * 255).round(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", PRESETS)
def test_light_far_above_the_clipping_level_is_white_and_darkness_is_nearly_black(families, name):
    for seed in range(5):
        camera = families[name].sample(seeded(seed), ranges="seen")
        white = camera.shoot(torch.full((1, 3, 16, 16), 100.0), seeded())
        assert white.min().item() >= 0.99  # a JPEG of low quality may miss white by a level
        assert camera.shoot(torch.zeros(1, 3, 16, 16), seeded()).median().item() < 0.1


@pytest.mark.parametrize("name", PRESETS)
def test_same_seed_is_the_same_camera_and_the_same_picture(families, name):
    first, again, other = (families[name].sample(seeded(seed), ranges="seen") for seed in (4, 4, 5))
    assert first == again
    assert first.name != other.name
    scene = radiance()
    pictures = [camera.shoot(camera.expose(scene, seeded(6)), seeded(7)) for camera in (first, again)]
    assert torch.equal(*pictures)


@pytest.mark.parametrize("name", PRESETS)
def test_shooting_leaves_the_exposure_as_it_was(families, name):
    exposure = radiance()
    families[name].sample(seeded(), ranges="seen").shoot(exposure, seeded())
    assert torch.equal(exposure, radiance())


def test_hdrcnn_has_the_published_constants(families):
    sigmoid = families["hdrcnn"].stages["response"].curves["sigmoid"]
    assert (sigmoid.exponent.mean, sigmoid.exponent.std) == (0.9, 0.1)
    assert (sigmoid.shoulder.mean, sigmoid.shoulder.std) == (0.6, 0.1)
    generator = seeded()
    qualities = [families["hdrcnn"].sample(generator, ranges="seen").stages[-1].quality for _ in range(600)]
    assert (min(qualities), max(qualities)) == (30, 100)
    assert qualities.count(100) / 600 == pytest.approx(5 / 75, abs=0.03)


def test_pointwise_mapping_commutes_with_shuffling_the_pixels():
    camera = compose_preset("pointwise", "camera.pointwise.stages.noise.enabled=false").sample(
        seeded(), ranges="unseen"
    )
    scene, order = radiance(8, 8), torch.randperm(64, generator=seeded())
    shuffled = scene.flatten(2)[..., order].reshape_as(scene)
    ldr = camera.shoot(scene, seeded()).flatten(2)[..., order].reshape_as(scene)
    assert torch.equal(camera.shoot(shuffled, seeded()), ldr)


def test_disabled_stages_are_left_out():
    family = compose_preset(
        "phone", "camera.phone.stages.jpeg.enabled=false", "camera.phone.stages.local_tone_mapping.enabled=false"
    )
    stages = family.sample(seeded(), ranges="seen").stages
    assert not any(isinstance(stage, Jpeg | LocalToneMapping) for stage in stages)
    assert len(stages) == 7


def test_phone_keeps_its_order(families):
    assert list(families["phone"].stages) == [
        "vignetting", "gains", "mixing", "noise", "clip", "local_tone_mapping", "response", "quantise", "jpeg",
    ]  # fmt: skip


def test_coded_optics_hide_the_psf_alone(families):
    cameras = [families["coded_optics"].sample(seeded(seed), ranges="unseen") for seed in range(6)]
    assert next(iter(families["coded_optics"].stages)) == "optics"
    assert len({camera.stages[0] for camera in cameras}) == 6
    assert len({camera.stages[1:] for camera in cameras}) == 1


def test_exposure_is_radiance_times_one_factor_per_picture(families):
    scene = radiance()
    for family in families.values():
        ratio = (family.sample(seeded(), ranges="seen").expose(scene, seeded()) / scene).flatten(1)
        torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))


def test_family_draws_curves_of_every_kind(families):
    generator = seeded()
    cameras = [families["pointwise"].sample(generator, ranges="seen") for _ in range(60)]
    kinds = {type(stage.curve) for camera in cameras for stage in camera.stages if isinstance(stage, Response)}
    assert len(kinds) == 5
    assert GammaCurve in kinds


def test_errors_say_what_is_missing(families):
    metering = MeanMetering(0.5, [-3.0, 3.0])
    with pytest.raises(ValueError, match="'mine' needs a clipping stage"):
        CameraFamily("mine", metering, stages={"clip": ClipFamily(enabled=False)})
    with pytest.raises(ValueError, match=r"response\.curves needs at least one"):
        ResponseFamily({})
    with pytest.raises(ValueError, match="non-negative"):
        families["phone"].sample(seeded(), ranges="seen").expose(-radiance(), seeded())


def test_gains_move_the_level_at_which_a_channel_clips():
    family = CameraFamily("mine", MeanMetering(0.5, [0.0, 0.0]), stages={"clip": ClipFamily()})
    camera = family.sample(seeded(), ranges="seen")
    red = camera.shoot(Gains(red=2.0, blue=0.5)(torch.full((1, 3, 1, 1), 0.6), seeded()), seeded()).flatten()
    torch.testing.assert_close(red, torch.tensor([1.0, 0.6, 0.3]))


def without_rounding(camera):
    """The camera without the stages that round to levels, where the last bit of the input may make a whole level."""
    return dataclasses.replace(camera, stages=tuple(s for s in camera.stages if not isinstance(s, Quantise | Jpeg)))


def shoot_on(camera, scene, seed):
    exposure = camera.expose(scene, seeded(seed))
    return exposure, camera.shoot(exposure, seeded(seed + 1))


@pytest.mark.parametrize("ranges", ["seen", "unseen"])
@pytest.mark.parametrize("name", PRESETS)
def test_draws_do_not_depend_on_the_precision(families, name, ranges):
    """What differs between float32 and float64 is rounding: the arithmetic of another device may differ as much."""
    for seed in range(6):
        camera = without_rounding(families[name].sample(seeded(seed), ranges=ranges))
        singles, doubles = (shoot_on(camera, radiance().to(dtype), seed) for dtype in (torch.float32, torch.float64))
        for single, double in zip(singles, doubles, strict=True):
            assert double.dtype == torch.float64
            torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("ranges", ["seen", "unseen"])
@pytest.mark.parametrize("name", PRESETS)
def test_stages_make_their_tensors_where_the_picture_is(families, name, ranges):
    """On the meta device nothing is computed, but a tensor of the CPU in the middle is refused as on a GPU."""
    for seed in range(8):
        picture = torch.empty(2, 3, 8, 12, device="meta")
        for stage in families[name].sample(seeded(seed), ranges=ranges).stages:
            if not isinstance(stage, Jpeg):  # which goes to the CPU and back
                picture = stage(picture, seeded())
        assert (picture.device.type, picture.shape) == ("meta", (2, 3, 8, 12))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("ranges", ["seen", "unseen"])
@pytest.mark.parametrize("name", PRESETS)
def test_a_gpu_takes_the_pictures_of_the_cpu(families, name, ranges):
    scene = radiance(64, 96)
    for seed in range(6):
        whole = families[name].sample(seeded(seed), ranges=ranges)
        for on_cpu, on_gpu in zip(
            shoot_on(without_rounding(whole), scene, seed),
            shoot_on(without_rounding(whole), scene.cuda(), seed),
            strict=True,
        ):
            assert on_gpu.device.type == "cuda"
            torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-5, atol=1e-5)
        levels = [shoot_on(whole, scene.to(device), seed)[1].cpu() * 255 for device in ("cpu", "cuda")]
        is_other = (levels[0] - levels[1]).abs() > 0.5
        if not any(isinstance(stage, Jpeg) for stage in whole.stages):
            assert is_other.float().mean() < 1e-3


@pytest.mark.parametrize("name", PRESETS)
def test_light_is_linear_in_the_exposure_and_never_clips(families, name):
    camera = families[name].sample(seeded(3), ranges="seen")
    # pale colours: mixing would make saturated ones negative, which light cannot be
    dim, other = (
        radiance(seed=seed).mean(dim=1, keepdim=True) * (1 + 0.1 * radiance(seed=3).tanh()) for seed in (1, 2)
    )
    sum_of_both = camera.light(dim) + 1000 * camera.light(other)
    torch.testing.assert_close(camera.light(dim + 1000 * other), sum_of_both, rtol=1e-4, atol=1e-5)
    assert camera.light(1000 * other).max() > 100


@pytest.mark.parametrize("name", ["phone", "coded_optics"])
def test_light_is_what_is_recorded_of_a_dim_scene(families, name):
    """Without noise and clipping, with a straight curve and no rounding: all that the lens and the colours do."""
    camera = families[name].sample(seeded(3), ranges="unseen")
    after_light = [type(stage) for stage in camera.stages].index(Noise)
    before_noise = dataclasses.replace(camera, stages=camera.stages[:after_light])
    dim = 1e-3 * radiance(seed=1)
    recorded = before_noise.shoot(dim, seeded())
    torch.testing.assert_close(camera.light(dim), recorded.clamp_min(0))
    assert (recorded - dim).abs().max() > 0.05 * dim.max()
    assert {type(stage) for stage in before_noise.stages} & {Vignetting, Optics}
