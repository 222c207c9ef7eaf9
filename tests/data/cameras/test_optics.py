import pytest
import torch
import torch.nn.functional as F

from ldr2hdr.data.cameras.optics import Optics, convolve, delta_psf, normalise
from ldr2hdr.data.cameras.optics_families import StarPsf


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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: convolve(picture(), random_psf(4)), "side must be odd and positive.*got 4"),
        (lambda: delta_psf(0), "size_px must be odd"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()
