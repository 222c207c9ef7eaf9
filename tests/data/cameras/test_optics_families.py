import dataclasses
import math

import pytest
import torch

from ldr2hdr.data.cameras.camera import CameraFamily
from ldr2hdr.data.cameras.metering import MeanMetering
from ldr2hdr.data.cameras.optics import Optics, convolve
from ldr2hdr.data.cameras.optics_families import (
    AberrationFamily,
    AberrationPsf,
    GlareFamily,
    GlarePsf,
    OpticsFamily,
    StarFamily,
    StarPsf,
    zernike_4_to_11,
)
from ldr2hdr.data.cameras.stages import ClipFamily, NoiseFamily

FAMILIES = {
    "glare": GlareFamily(
        {"seen": [0.2, 0.8]}, {"seen": [0.05, 0.2], "unseen": [[0.3, 0.4]]}, falloff={"seen": [2.0, 3.0]}, size_px=31
    ),
    "star": StarFamily(
        {"law": "integer", "seen": [1, 4]},
        {"seen": [0.05, 0.2], "unseen": [[0.3, 0.4]]},
        decay_px={"seen": [3.0, 9.0]},
        size_px=31,
    ),
    "aberration": AberrationFamily({"seen": [0.05, 0.2], "unseen": [[0.3, 0.4]]}, size_px=31),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def turned(psf):
    return psf.flip(1, 2)


@pytest.mark.parametrize("ranges", ["seen", "unseen"])
@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_draw_is_a_psf_and_the_same_seed_the_same_one(family, ranges):
    for seed in range(8):
        psf = family.sample(seeded(seed), ranges=ranges)
        kernel = psf.kernel()
        assert (kernel.shape, kernel.dtype) == ((3, 31, 31), torch.float64)
        assert kernel.min().item() >= 0
        torch.testing.assert_close(kernel.sum(dim=(-2, -1)), torch.ones(3, dtype=torch.float64))
        assert psf == family.sample(seeded(seed), ranges=ranges) != family.sample(seeded(seed + 1), ranges=ranges)


def test_without_scatter_and_width_glare_is_a_point():
    assert GlarePsf(9, core_px=0.0, glare=0.0, falloff=2.0).kernel()[0, 4, 4].item() == 1
    assert StarPsf(9, lines=2, share=0.0, decay_px=3.0, angle_deg=0.0).kernel()[0, 4, 4].item() == 1


def test_the_core_of_a_glare_is_a_gaussian_of_its_width():
    kernel = GlarePsf(31, core_px=1.5, glare=0.0, falloff=2.0).kernel()[0]
    position = torch.arange(31, dtype=torch.float64) - 15
    # a pixel's own width adds a twelfth to the variance
    assert (kernel.sum(dim=1) * position**2).sum().item() == pytest.approx(1.5**2 + 1 / 12, rel=1e-6)


def test_glare_is_round_and_its_share_lies_outside_the_core():
    kernel = GlarePsf(63, core_px=0.3, glare=0.2, falloff=2.0).kernel()
    torch.testing.assert_close(kernel, kernel.mT)
    torch.testing.assert_close(kernel, turned(kernel))
    ring = kernel[0, 31, 31 + 20] / kernel[0, 31, 31 + 10]
    assert ring.item() == pytest.approx((1 + 25) / (1 + 100), rel=1e-9)
    assert 1 - kernel[0, 30:33, 30:33].sum().item() == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("lines", [1, 2, 3, 4])
def test_a_star_has_its_rays_and_falls_off_along_them(lines):
    kernel = StarPsf(63, lines=lines, share=0.3, decay_px=8.0, angle_deg=0.0).kernel()[0]
    torch.testing.assert_close(kernel, kernel.flip(0, 1))
    assert (kernel[31, 31 + 20] / kernel[31, 31 + 12]).item() == pytest.approx(math.exp(-1), rel=0.02)
    turns = torch.arange(720, dtype=torch.float64) / 720 * 2 * math.pi
    ring = kernel[(31 - 20 * turns.sin()).round().long(), (31 + 20 * turns.cos()).round().long()]
    is_bright = ring > 0.1 * ring.max()
    rays = (is_bright & ~is_bright.roll(1)).sum().item()
    assert rays == 2 * lines


def test_the_angle_of_a_star_is_counter_clockwise_from_the_rows():
    kernel = StarPsf(41, lines=1, share=0.3, decay_px=8.0, angle_deg=90.0).kernel()[0]
    assert kernel[20 - 10, 20] > 100 * kernel[20, 20 + 10]
    diagonal = StarPsf(41, lines=1, share=0.3, decay_px=8.0, angle_deg=45.0).kernel()[0]
    assert diagonal[20 - 7, 20 + 7] > 100 * diagonal[20 + 7, 20 + 7]  # up and to the right


def test_zernikes_polynomials_are_orthonormal_over_the_disc():
    samples = 400
    position = (2 * torch.arange(samples, dtype=torch.float64) - (samples - 1)) / samples
    inside = torch.hypot(position[:, None], position) <= 1
    within = zernike_4_to_11(samples)[:, inside]
    torch.testing.assert_close(within @ within.T / inside.sum(), torch.eye(8, dtype=torch.float64), rtol=0, atol=5e-3)


def test_aberrations_dim_the_peak_as_marechal_says():
    """The Strehl ratio of a small error is ``exp(-(2 pi rms / lambda)**2)``, whatever its shape."""
    perfect = AberrationPsf(31, (0.0,) * 8).kernel()
    waves = 0.03 * torch.tensor([0.4295 / 0.635, 0.4349 / 0.53, 0.4421 / 0.45], dtype=torch.float64)
    for term in range(8):
        aberration = AberrationPsf(31, tuple(0.03 if other == term else 0.0 for other in range(8)))
        assert aberration.rms_um == pytest.approx(0.03)
        strehl = (aberration.kernel() / perfect)[:, 15, 15]
        torch.testing.assert_close(strehl, torch.exp(-((2 * math.pi * waves) ** 2)), rtol=0, atol=0.01)


def test_optics_draw_every_kind_and_keep_their_parameters():
    family = OpticsFamily(FAMILIES)
    generator = seeded()
    drawn = [family.sample(generator, ranges="seen") for _ in range(40)]
    assert {type(optics.psf) for optics in drawn} == {GlarePsf, StarPsf, AberrationPsf}
    scene = torch.rand(1, 3, 20, 20, generator=seeded())
    for optics in drawn[:4]:
        assert torch.equal(optics(scene, seeded(1)), optics(scene, seeded(2)))  # nothing of it is random


def test_a_stop_more_exposure_is_a_stop_more_light_on_the_sensor():
    optics = OpticsFamily(FAMILIES).sample(seeded(), ranges="seen")
    scene = torch.rand(2, 3, 20, 20, generator=seeded())
    torch.testing.assert_close(optics(2 * scene, seeded()), 2 * optics(scene, seeded()))


def family_with(optics):
    stages = {"optics": optics, "noise": NoiseFamily(shot_noise_dn=0.5), "clip": ClipFamily()}
    return CameraFamily(
        "mine", MeanMetering(0.5, [0.0, 0.0]), stages={key: stage for key, stage in stages.items() if stage is not None}
    )


def test_a_camera_without_its_optics_takes_the_same_picture_to_the_last_bit():
    scene = torch.exp(2 * torch.randn(2, 3, 24, 32, generator=seeded()))
    pictures = []
    for optics in (OpticsFamily(FAMILIES, enabled=False), None):
        camera = family_with(optics).sample(seeded(3), ranges="unseen")
        pictures.append(camera.shoot(camera.expose(scene, seeded(4)), seeded(5)))
    assert torch.equal(*pictures)


def test_a_camera_clips_what_its_optics_leave():
    camera = family_with(OpticsFamily(FAMILIES)).sample(seeded(3), ranges="seen")
    optics = camera.stages[0]
    assert isinstance(optics, Optics)
    scene = torch.exp(2 * torch.randn(2, 3, 24, 32, generator=seeded()))
    quiet = dataclasses.replace(camera, stages=(camera.stages[0], camera.stages[-1]))
    expected = convolve(scene, optics.psf.kernel()).clamp(0, 1)
    torch.testing.assert_close(quiet.shoot(scene, seeded()), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OpticsFamily({}), r"optics\.psfs needs at least one"),
        (lambda: GlareFamily(0.5, {"seen": [0.1, 0.2]}, falloff=2.0), r"glare\.glare needs unseen"),
        (lambda: StarFamily(2.0, {"seen": [0.1, 0.2]}, decay_px=2.0), r"star\.share needs unseen"),
        (lambda: AberrationFamily({"seen": [0.1, 0.2]}), r"aberration\.rms_um needs unseen"),
        (lambda: GlareFamily(0.5, 0.1, falloff=2.0, size_px=62), r"glare\.size_px must be odd"),
        (lambda: StarFamily(2.0, 0.1, decay_px=2.0, size_px=62), r"star\.size_px must be odd"),
        (lambda: AberrationFamily(0.1, size_px=62), r"aberration\.size_px must be odd"),
    ],
)
def test_errors_name_the_key(make, message):
    with pytest.raises(ValueError, match=message):
        make()
