"""Optics that are learned: what they keep, and what teaches them."""

from pathlib import Path

import pytest
import torch
from load_scripts import load_scripts

from ldr2hdr.data.cameras.optics import delta_psf, normalise
from ldr2hdr.data.cameras.optics_families import GlarePsf
from ldr2hdr.data.cameras.optics_waves import CodedLens

pytestmark = pytest.mark.slow

learned = load_scripts(Path(__file__).parents[2] / "experiments" / "deep_optics", ("learned",))["learned"]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random_psf(size_px=7, seed=1):
    return normalise(torch.rand(3, size_px, size_px, generator=seeded(seed), dtype=torch.float64))


def test_a_free_psf_starts_where_it_is_told_and_stays_a_psf_whatever_its_parameters():
    start = GlarePsf(15, core_px=0.5, glare=0.1, falloff=2.5).kernel()
    free = learned.FreePsf(start)
    torch.testing.assert_close(free().double(), start, rtol=1e-3, atol=2e-6)  # the floor of 1e-6
    with torch.no_grad():
        free.logits.mul_(20 * torch.randn(free.logits.shape, generator=seeded()))
    assert free().min().item() >= 0
    torch.testing.assert_close(free().sum(dim=(-2, -1)), torch.ones(3))


def test_a_fixed_psf_has_nothing_to_learn_and_travels_with_the_weights():
    fixed = learned.FixedPsf(random_psf())
    assert not list(fixed.parameters())
    torch.testing.assert_close(fixed.state_dict()["psf"], random_psf().float())


def test_the_sensor_clips_at_white_and_at_its_darkest_and_the_scene_at_its_brightest():
    encoder = learned.OpticalEncoder(learned.FixedPsf(delta_psf()), max_exposure=64.0)
    scene = torch.tensor([0.0, 0.25, 7.0]).reshape(1, 3, 1, 1)
    torch.testing.assert_close(encoder(scene, seeded()).flatten(), torch.tensor([1e-5, 0.25, 1.0]), rtol=0, atol=1e-7)
    spread = torch.full((3, 3, 3), 1 / 900, dtype=torch.float64)
    spread[:, 1, 1] = 1 - 8 / 900
    lamp = torch.zeros(1, 3, 3, 3)
    lamp[..., 1, 1] = 1e9
    beside = learned.OpticalEncoder(learned.FixedPsf(spread), max_exposure=64.0)(lamp, seeded())[..., 0, 0]
    torch.testing.assert_close(beside, torch.full_like(beside, 64 / 900 + 1e-5), rtol=0, atol=1e-6)


def test_the_sensors_noise_is_centred_with_the_stated_deviation():
    encoder = learned.OpticalEncoder(learned.FixedPsf(delta_psf()), read_noise_dn=2.0)
    error = encoder(torch.full((1, 3, 300, 300), 0.5), seeded()) - 0.5
    assert error.mean().item() == pytest.approx(0, abs=4 * 2 / 255 / 270_000**0.5)
    assert error.std().item() * 255 == pytest.approx(2.0, rel=0.01)
    assert torch.equal(error, encoder(torch.full((1, 3, 300, 300), 0.5), seeded()) - 0.5)


@pytest.mark.parametrize("read_noise_dn", [0.0, 1.0])
def test_what_spills_beside_a_clipped_lamp_teaches_the_psf(read_noise_dn):
    """Without optics, clipped light has no gradient at all."""
    encoder = learned.OpticalEncoder(learned.FreePsf(delta_psf(5)), read_noise_dn=read_noise_dn)
    scene = torch.full((1, 3, 9, 9), 0.1)
    scene[..., 4, 4] = 40.0
    scene.requires_grad_()
    encoder(scene, seeded())[..., 4, 5].sum().backward()
    gradient = encoder.psf.logits.grad
    assert bool(gradient.isfinite().all())
    assert bool((gradient[:, 2, 3] > 0).all())  # more light there, one column to the right, would read brighter
    torch.testing.assert_close(scene.grad[..., 4, 4], encoder.psf()[None, :, 2, 3], rtol=1e-5, atol=0)


def test_a_learned_plate_starts_flat_and_stays_within_its_depth():
    lens = CodedLens(size_px=15)
    plate = learned.LearnedHeightMap(lens, samples=40, generator=seeded())
    assert plate.height_um().max().item() < 1e-5
    torch.testing.assert_close(plate.double()(), lens.psf(torch.zeros(40, 40).double()), rtol=0, atol=1e-4)
    with torch.no_grad():
        plate.angle.copy_(10 * torch.randn(40, 40, generator=seeded()))
    assert 0 <= plate.height_um().min().item() < plate.height_um().max().item() <= 1.55


def test_errors_of_making_the_plate_are_drawn_in_training_only():
    plate = learned.LearnedHeightMap(CodedLens(size_px=15), samples=40, generator=seeded())
    designed = plate()
    assert not torch.equal(plate(seeded(1)), designed)
    assert torch.equal(plate(seeded(1)), plate(seeded(1)))
    assert torch.equal(plate.eval()(seeded(1)), designed)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: learned.FreePsf(2 * random_psf()), "sum to 1 in each channel"),
        (lambda: learned.FreePsf(normalise(-delta_psf(3) + 0.5)), "must be non-negative"),
        (lambda: learned.FixedPsf(torch.full((3, 3, 3), float("nan"))), "must be non-negative"),
        (lambda: learned.FreePsf(random_psf(), floor=0.0), "floor must be positive"),
        (lambda: learned.OpticalEncoder(learned.FixedPsf(delta_psf()), read_noise_dn=-1.0), "read_noise_dn >= 0"),
        (lambda: learned.OpticalEncoder(learned.FixedPsf(delta_psf()), max_exposure=0.5), "max_exposure >= 1"),
        (lambda: learned.LearnedHeightMap(CodedLens(), samples=20, generator=seeded()), "samples must be at least 86"),
        (
            lambda: learned.LearnedHeightMap(CodedLens(size_px=5), samples=20, generator=seeded(), max_height_um=0.0),
            "max_height_um > 0",
        ),
        (
            lambda: learned.LearnedHeightMap(
                CodedLens(size_px=5), samples=20, generator=seeded(), height_noise_um=-0.1
            ),
            "height_noise_um >= 0",
        ),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()
