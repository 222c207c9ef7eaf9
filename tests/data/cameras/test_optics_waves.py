import math

import numpy as np
import pytest
import torch

from ldr2hdr.data.cameras.optics_waves import CodedLens

GREEN = 1
INDEX, WAVELENGTH_UM, FOCAL_UM, APERTURE_UM = 1.4349, 0.53, 35e3, 5e3


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def plate(samples):
    """Coordinates (x, y) of the samples in micrometres."""
    position = (torch.arange(samples, dtype=torch.float64) - (samples - 1) / 2) * APERTURE_UM / samples
    return position[None, :].expand(samples, -1), position[:, None].expand(-1, samples)


def smooth_height(samples, seed=0):
    """A wavy plate of about half a micrometre."""
    x, y = (axis / APERTURE_UM * 2 * math.pi for axis in plate(samples))
    a, b, c = torch.rand(3, generator=seeded(seed), dtype=torch.float64).tolist()
    return 0.5 + 0.2 * torch.sin(x + 6 * a) + 0.2 * torch.cos(2 * y + 6 * b) + 0.1 * torch.sin(x - 2 * y + 6 * c)


def airy(radius_um, wavelength_um):
    reach = (math.pi * APERTURE_UM * radius_um / (wavelength_um * FOCAL_UM)).clamp_min(1e-9)
    return (2 * torch.special.bessel_j1(reach) / reach).square()


@pytest.mark.parametrize("channel", range(3))
def test_a_flat_plate_gives_the_airy_pattern(channel):
    lens = CodedLens(size_px=31, pixel_um=0.6, oversampling=1)
    position = (torch.arange(31, dtype=torch.float64) - 15) * 0.6
    expected = airy(torch.hypot(position[:, None], position), lens.wavelengths_nm[channel] / 1e3)
    found = lens.intensity(torch.full((200, 200), 0.7, dtype=torch.float64), channel)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)


def test_a_wedge_moves_the_image_by_its_angle():
    shift_um = 3 * 4.29
    slope = shift_um / ((INDEX - 1) * FOCAL_UM)
    x, _ = plate(150)
    lens = CodedLens(size_px=21, oversampling=1)
    straight, bent = (lens.intensity(height, GREEN) for height in (torch.zeros_like(x), slope * x))
    torch.testing.assert_close(bent[:, 3:], straight[:, :-3], rtol=0, atol=1e-9)  # three columns to the right


def test_a_lens_on_the_plate_brings_a_displaced_sensor_into_focus():
    distance_um = 36e3
    power = 1 / FOCAL_UM - 1 / distance_um  # how much weaker the whole must be to focus farther away
    x, y = plate(150)
    height = power * (x**2 + y**2) / 2 / (INDEX - 1)
    lens = CodedLens(size_px=15, sensor_mm=distance_um / 1e3, oversampling=1)
    centre = 7
    assert lens.intensity(torch.zeros_like(x), GREEN)[centre, centre].item() < 0.2
    assert lens.intensity(height, GREEN)[centre, centre].item() == pytest.approx(1.0, abs=1e-9)


def huygens(height_um, points_um):
    """Intensity at points ``(p, 2)`` by adding up spherical waves, without the approximations of Fresnel."""
    samples = len(height_um)
    x, y = (axis.numpy() for axis in plate(samples))
    radius = np.hypot(x, y)
    aperture = np.clip((APERTURE_UM / 2 - radius) * samples / APERTURE_UM + 0.5, 0, 1)
    focusing = FOCAL_UM - np.sqrt(radius**2 + FOCAL_UM**2)
    k = 2 * np.pi / WAVELENGTH_UM
    wave = aperture * np.exp(1j * k * ((INDEX - 1) * height_um.numpy() + focusing))
    paths = [np.sqrt((x - right) ** 2 + (y - down) ** 2 + FOCAL_UM**2) for right, down in points_um]
    field = np.array([(wave * np.exp(1j * k * (path - FOCAL_UM)) * FOCAL_UM / path).sum() for path in paths])
    return np.abs(field / aperture.sum()) ** 2


def test_intensity_is_that_of_added_spherical_waves():
    height = smooth_height(96)
    lens = CodedLens(size_px=31, oversampling=1)
    found = lens.intensity(height, GREEN)
    pixels = [*torch.randint(31, (40, 2), generator=seeded()).tolist(), [15, 15]]
    expected = huygens(height, [((column - 15) * 4.29, (row - 15) * 4.29) for row, column in pixels])
    values = np.array([found[row, column].item() for row, column in pixels])
    assert values.max() > 0.02
    np.testing.assert_allclose(values, expected, rtol=0, atol=0.01 * found.max().item())


def test_all_light_of_the_aperture_reaches_a_large_sensor():
    """Parseval: the mean intensity over one repetition of the pattern does not depend on the plate."""
    samples = 40
    period_um = samples * WAVELENGTH_UM * FOCAL_UM / APERTURE_UM * (1 - 1e-12)
    # more points than samples, so that no two products of the transform coincide
    lens = CodedLens(size_px=45, pixel_um=period_um / 45, oversampling=1, wavelengths_nm=(530.0, 530.0, 530.0))
    energy = [
        lens.intensity(height, GREEN).sum().item() for height in (smooth_height(40), torch.zeros(40, 40).double())
    ]
    aperture = lens.aperture(samples)
    expected = 45**2 * (aperture.square().sum() / aperture.sum().square()).item()
    assert energy == pytest.approx([expected, expected], rel=1e-9)


def test_every_channel_sums_to_1_and_the_error_of_sampling_falls_with_its_square():
    coarse, fine, finest = (CodedLens(size_px=21, oversampling=n).psf(smooth_height(96)) for n in (3, 9, 27))
    torch.testing.assert_close(fine.sum(dim=(-2, -1)), torch.ones(3, dtype=torch.float64))
    assert fine.min().item() >= 0
    errors = [(psf - finest).abs().sum().item() for psf in (coarse, fine)]
    assert errors[0] / errors[1] == pytest.approx((1 / 9 - 1 / 729) / (1 / 81 - 1 / 729), rel=0.05)


def test_the_psf_of_a_tilted_picture_is_the_tilted_psf():
    lens = CodedLens(size_px=21)
    height = smooth_height(96)
    torch.testing.assert_close(lens.psf(height.T), lens.psf(height).mT)
    torch.testing.assert_close(lens.psf(height + 3.0), lens.psf(height))  # a thicker plate changes nothing


def test_the_gradient_of_the_height_is_that_of_finite_differences():
    lens = CodedLens(size_px=5, oversampling=2)
    height = smooth_height(lens.min_samples).requires_grad_()
    assert torch.autograd.gradcheck(lens.psf, (height,), eps=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CodedLens(size_px=62), "size_px must be odd"),
        (lambda: CodedLens(focal_mm=0.0), "positive lengths"),
        (lambda: CodedLens(sensor_mm=-1.0), "positive lengths"),
        (lambda: CodedLens(oversampling=0), "oversampling=0"),
        (lambda: CodedLens().psf(torch.zeros(85, 85)), "size_px=63 needs a height map of at least 86 samples"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()
