import pytest
import torch

from ldr2hdr.data.cameras.development import Jpeg, LocalToneMapping, Quantise
from ldr2hdr.data.cameras.stages import Clip, Gains, Mixing, MixingFamily, Noise, Vignetting


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def picture(height=13, width=18):
    return torch.rand(2, 3, height, width, generator=seeded())


def test_gains_scale_red_and_blue_and_keep_ratios_within_a_channel():
    ratio = Gains(red=0.7, blue=1.4)(picture(), seeded()) / picture()
    torch.testing.assert_close(ratio, torch.tensor([0.7, 1.0, 1.4])[:, None, None].expand_as(ratio))


def test_mixing_keeps_grey_and_has_an_inverse():
    family = MixingFamily({"seen": [-0.2, 0.2], "unseen": [[-0.4, -0.3], [0.22, 0.24]]})
    grey = picture()[:, :1].expand(-1, 3, -1, -1)
    for seed in range(30):
        for ranges in ("seen", "unseen"):
            mixing = family.sample(seeded(seed), ranges=ranges)
            torch.testing.assert_close(mixing(grey, seeded()), grey)
            assert abs(torch.det(torch.tensor(mixing.matrix)).item()) > 0.01


def test_mixing_rows_are_outputs():
    mixed = Mixing(((0.5, 0.5, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))(
        torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1), seeded()
    )
    assert mixed.flatten().tolist() == [0.5, 0.0, 0.0]


def test_mixing_that_could_lose_its_inverse_is_refused():
    with pytest.raises(ValueError, match=r"mixing\.crosstalk must stay below 0\.25"):
        MixingFamily({"seen": [0.0, 0.1], "unseen": [[0.2, 0.3]]})


def test_vignetting_is_1_at_the_centre_radially_symmetric_and_decreasing():
    gain = Vignetting(0.5)(torch.ones(1, 3, 41, 41), seeded())[0, 0]
    assert gain[20, 20].item() == 1
    for turned in (gain.T, gain.flip(0), gain.flip(1)):
        torch.testing.assert_close(gain, turned)
    torch.testing.assert_close(gain[20 + 3, 20 + 4], gain[20, 20 + 5])  # both at a distance of 5 pixels
    assert bool((gain[20, 20:].diff() < 0).all())


def test_vignetting_is_the_cos4_law():
    # half the diagonal angle of view is atan(0.5); the corner pixel's centre is half a pixel inside the corner
    corner = Vignetting(0.5)(torch.ones(1, 3, 1001, 1001), seeded())[0, 0, 0, 0]
    assert corner.item() == pytest.approx(torch.cos(torch.atan(torch.tensor(0.5))).item() ** 4, abs=1e-3)


@pytest.mark.parametrize("level", [0.0, 0.1, 0.5, 1.0, 3.0])
def test_noise_is_centred_with_the_stated_variance(level):
    noise = Noise(shot_dn=3.0, read_dn=2.0, multiplicative_dn=1.5)
    error = noise(torch.full((1, 3, 300, 300), level, dtype=torch.float64), seeded()) - level
    variance = (9 * level + 4 + 2.25 * level**2) / 255**2
    assert error.mean().item() == pytest.approx(0, abs=4 * (variance / 270_000) ** 0.5)
    assert error.var().item() == pytest.approx(variance, rel=0.015)  # 5 standard errors


def test_noise_needs_no_positive_signal():
    assert bool(Noise(shot_dn=3.0, read_dn=0.0)(-picture(), seeded()).isfinite().all())


def test_clip_limits_to_the_sensors_range():
    values = torch.tensor([-0.5, 0.25, 7.0]).reshape(1, 3, 1, 1)
    assert Clip()(values, seeded()).flatten().tolist() == [0.0, 0.25, 1.0]


def test_quantisation_errs_by_at_most_half_a_level_and_is_idempotent():
    quantised = Quantise()(picture(), seeded())
    assert (quantised - picture()).abs().max().item() <= 0.5 / 255 + 1e-7
    torch.testing.assert_close(quantised * 255, (quantised * 255).round(), rtol=0, atol=1e-4)
    assert torch.equal(Quantise()(quantised, seeded()), quantised)


def test_local_tone_mapping_of_strength_0_is_the_identity():
    assert torch.equal(LocalToneMapping(strength=0.0, radius=0.1)(picture(), seeded()), picture())


def test_local_tone_mapping_lifts_and_stays_in_range():
    mapped = LocalToneMapping(strength=0.5, radius=0.1)(picture(), seeded())
    assert bool((mapped >= picture() - 1e-6).all())
    assert mapped.max().item() <= 1


def test_local_tone_mapping_of_a_constant_picture_equals_its_formula():
    grey = torch.full((1, 3, 12, 9), 0.1, dtype=torch.float64)
    gain = ((0.1 + 0.01) / 1.01) ** -0.5
    mapped = LocalToneMapping(strength=0.5, radius=0.1)(grey, seeded())
    torch.testing.assert_close(mapped, torch.full_like(grey, gain * 0.1 / (1 + (gain - 1) * 0.1)))


def test_local_tone_mapping_depends_on_the_surroundings():
    halves = torch.full((1, 3, 16, 64), 0.9)
    halves[..., :32] = 0.05
    halves[..., 8, 8] = halves[..., 8, 56] = 0.4
    mapped = LocalToneMapping(strength=0.5, radius=0.05)(halves, seeded())
    assert mapped[0, 0, 8, 8].item() > mapped[0, 0, 8, 56].item() + 0.1


def test_jpeg_at_100_changes_little_and_keeps_colours_apart():
    rows, columns = torch.linspace(0.1, 0.7, 97)[:, None], torch.linspace(0.1, 0.3, 131)
    smooth = torch.stack([rows + columns, rows - columns + 0.2, rows * 0 + columns])[None]
    compressed = Jpeg(100)(smooth, seeded())
    assert compressed.shape == smooth.shape
    assert (compressed - smooth).abs().max().item() < 5 / 255  # chroma has half the resolution
    grey = smooth[:, :1].expand(-1, 3, -1, -1)
    assert (Jpeg(100)(grey, seeded()) - grey).abs().max().item() < 1.6 / 255
    assert (Jpeg(10)(smooth, seeded()) - smooth).abs().mean() > 2 * (compressed - smooth).abs().mean()
