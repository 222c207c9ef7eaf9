import pytest
import torch
import torch.nn.functional as F

from ldr2hdr.data.cameras.optics import FixedPsf, FreePsf, OpticalEncoder, Optics, convolve, delta_psf, normalise
from ldr2hdr.data.cameras.optics_families import GlarePsf, StarPsf


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def picture(height=13, width=18, dtype=torch.float64):
    return torch.rand(2, 3, height, width, generator=seeded(), dtype=torch.float64).to(dtype)


def random_psf(size_px=7, seed=1):
    return normalise(torch.rand(3, size_px, size_px, generator=seeded(seed), dtype=torch.float64))


@pytest.mark.parametrize("size_px", [1, 3, 31])
def test_a_delta_leaves_the_picture(size_px):
    torch.testing.assert_close(convolve(picture(), delta_psf(size_px)), picture(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("side", [1, 5, 21])  # 21 is larger than the picture
def test_convolution_is_that_of_torch(side, full):
    """torch correlates, in space: turned by half a turn, its kernel is a PSF."""
    psf = random_psf(side)
    margin = side - 1 if full else side // 2
    expected = F.conv2d(picture(), psf.flip(1, 2)[:, None], padding=margin, groups=3)
    torch.testing.assert_close(convolve(picture(), psf, full=full), expected, rtol=0, atol=1e-12)


def test_light_moves_where_the_psf_says_and_never_comes_back_on_the_other_side():
    shifted = torch.zeros(3, 5, 5, dtype=torch.float64)
    shifted[:, 2 + 1, 2 - 2] = 1  # one row down, two columns to the left
    moved = convolve(picture(), shifted)
    torch.testing.assert_close(moved[..., 1:, :-2], picture()[..., :-1, 2:], rtol=0, atol=1e-14)
    assert moved[..., 0, :].abs().max().item() < 1e-14
    assert moved[..., -2:].abs().max().item() < 1e-14


def test_no_light_is_made_or_lost():
    full = convolve(picture(), random_psf(), full=True)
    torch.testing.assert_close(full.sum(dim=(-2, -1)), picture().sum(dim=(-2, -1)))
    inside = convolve(torch.full((1, 3, 20, 20), 0.3, dtype=torch.float64), random_psf())[..., 3:-3, 3:-3]
    torch.testing.assert_close(inside, torch.full_like(inside, 0.3))


def test_convolution_is_linear_so_one_stop_more_light_is_twice_the_light():
    other = picture().flip(-1)
    mixed = convolve(2 * picture() + 3 * other, random_psf())
    torch.testing.assert_close(mixed, 2 * convolve(picture(), random_psf()) + 3 * convolve(other, random_psf()))


def test_a_lamp_a_million_times_brighter_does_not_disturb_the_shadow():
    """In single precision, rounding alone would add a tenth of the shadow's light to it."""
    scene = torch.full((1, 3, 40, 40), 1e-2)
    scene[..., 5, 5] = 1e4
    shadow = convolve(scene, random_psf(7))[..., 12:-3, 12:-3]
    torch.testing.assert_close(shadow, torch.full_like(shadow, 1e-2), rtol=1e-6, atol=0)


def test_optics_as_a_stage_keep_type_and_sign():
    stage = Optics(StarPsf(31, lines=2, share=0.2, decay_px=6.0, angle_deg=20.0))
    dark = torch.zeros(1, 3, 24, 24)
    dark[..., 3, 3] = 1e6
    spread = stage(dark, seeded())
    assert spread.dtype == torch.float32
    assert spread.min().item() >= 0
    torch.testing.assert_close(spread, convolve(dark, stage.psf.kernel()).clamp_min(0))


def test_a_free_psf_starts_where_it_is_told_and_stays_a_psf_whatever_its_parameters():
    start = GlarePsf(15, core_px=0.5, glare=0.1, falloff=2.5).kernel()
    free = FreePsf(start)
    torch.testing.assert_close(free().double(), start, rtol=1e-3, atol=2e-6)  # the floor of 1e-6
    with torch.no_grad():
        free.logits.mul_(20 * torch.randn(free.logits.shape, generator=seeded()))
    assert free().min().item() >= 0
    torch.testing.assert_close(free().sum(dim=(-2, -1)), torch.ones(3))


def test_a_fixed_psf_has_nothing_to_learn_and_travels_with_the_weights():
    fixed = FixedPsf(random_psf())
    assert not list(fixed.parameters())
    torch.testing.assert_close(fixed.state_dict()["psf"], random_psf().float())


def test_the_sensor_clips_at_white_and_at_its_darkest_and_the_scene_at_its_brightest():
    encoder = OpticalEncoder(FixedPsf(delta_psf()), max_exposure=64.0)
    scene = torch.tensor([0.0, 0.25, 7.0]).reshape(1, 3, 1, 1)
    torch.testing.assert_close(encoder(scene, seeded()).flatten(), torch.tensor([1e-5, 0.25, 1.0]), rtol=0, atol=1e-7)
    spread = torch.full((3, 3, 3), 1 / 900, dtype=torch.float64)
    spread[:, 1, 1] = 1 - 8 / 900
    lamp = torch.zeros(1, 3, 3, 3)
    lamp[..., 1, 1] = 1e9
    beside = OpticalEncoder(FixedPsf(spread), max_exposure=64.0)(lamp, seeded())[..., 0, 0]
    torch.testing.assert_close(beside, torch.full_like(beside, 64 / 900 + 1e-5), rtol=0, atol=1e-6)


def test_the_sensors_noise_is_centred_with_the_stated_deviation():
    encoder = OpticalEncoder(FixedPsf(delta_psf()), read_noise_dn=2.0)
    error = encoder(torch.full((1, 3, 300, 300), 0.5), seeded()) - 0.5
    assert error.mean().item() == pytest.approx(0, abs=4 * 2 / 255 / 270_000**0.5)
    assert error.std().item() * 255 == pytest.approx(2.0, rel=0.01)
    assert torch.equal(error, encoder(torch.full((1, 3, 300, 300), 0.5), seeded()) - 0.5)


@pytest.mark.parametrize("read_noise_dn", [0.0, 1.0])
def test_what_spills_beside_a_clipped_lamp_teaches_the_psf(read_noise_dn):
    """Without optics, clipped light has no gradient at all."""
    encoder = OpticalEncoder(FreePsf(delta_psf(5)), read_noise_dn=read_noise_dn)
    scene = torch.full((1, 3, 9, 9), 0.1)
    scene[..., 4, 4] = 40.0
    scene.requires_grad_()
    encoder(scene, seeded())[..., 4, 5].sum().backward()
    gradient = encoder.psf.logits.grad
    assert bool(gradient.isfinite().all())
    assert bool((gradient[:, 2, 3] > 0).all())  # more light there, one column to the right, would read brighter
    torch.testing.assert_close(scene.grad[..., 4, 4], encoder.psf()[None, :, 2, 3], rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: convolve(picture(), random_psf(4)), "side must be odd and positive.*got 4"),
        (lambda: delta_psf(0), "size_px must be odd"),
        (lambda: FreePsf(2 * random_psf()), "sum to 1 in each channel"),
        (lambda: FreePsf(normalise(-delta_psf(3) + 0.5)), "must be non-negative"),
        (lambda: FixedPsf(torch.full((3, 3, 3), float("nan"))), "must be non-negative"),
        (lambda: FreePsf(random_psf(), floor=0.0), "floor must be positive"),
        (lambda: OpticalEncoder(FixedPsf(delta_psf()), read_noise_dn=-1.0), "read_noise_dn >= 0"),
        (lambda: OpticalEncoder(FixedPsf(delta_psf()), max_exposure=0.5), "max_exposure >= 1"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()
