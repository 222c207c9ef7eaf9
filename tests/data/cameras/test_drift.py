"""Glare keeps the light, white balance leaves green, and what is off changes no bit."""

import numpy as np
import pytest
import torch

from ldr2hdr.data.cameras.drift import Drift, add_glare

GLARE = (0.002, 0.08)


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def lamps(count=4, px=32):
    light = torch.full((count, 3, px, px), 0.1)
    light[:, :, px // 4, px // 2] = 100
    return light


@pytest.mark.parametrize("size", [(192, 256), (64, 64), (37, 65), (2, 3), (1, 1)])
def test_glare_keeps_the_light(size):
    light = np.random.default_rng(0).random((3, *size), np.float32) ** 8
    spread = add_glare(light, share=0.5, parts=(0.2, 0.3, 0.5))
    assert spread.sum((1, 2)) == pytest.approx(light.sum((1, 2)), rel=1e-5)
    assert spread.min() >= 0


def test_glare_of_an_even_picture_changes_nothing():
    light = np.full((3, 64, 64), 0.7, np.float32)
    assert add_glare(light, share=0.3, parts=(0.2, 0.3, 0.5)) == pytest.approx(light, rel=1e-5)


def test_a_share_of_a_lamps_light_leaves_it_for_all_of_the_picture():
    light = lamps(1, 64)[0].numpy()
    spread = add_glare(light, share=0.08, parts=(0.0, 0.0, 1.0))
    assert spread[:, 16, 32] == pytest.approx([92.0] * 3, rel=0.01)
    assert (np.delete(spread.reshape(3, -1), 16 * 64 + 32, axis=1) > 0.1).all()
    assert spread[0, 16, 30] > spread[0, 16, 10] > spread[0, 60, 10]


def test_without_drift_pictures_are_the_very_same():
    light = lamps()
    assert Drift()(light, seeded()) is light


def test_balance_leaves_green_and_differs_from_picture_to_picture():
    light = lamps()
    gains = (Drift(balance_stops=0.3)(light, seeded()) / light).flatten(2)
    torch.testing.assert_close(gains, gains[..., :1].expand_as(gains))
    assert torch.equal(gains[:, 1], torch.ones_like(gains[:, 1]))
    assert len(gains[:, [0, 2], 0].unique()) == 8


def test_balance_has_its_deviation():
    light = torch.ones(4000, 3, 1, 1)
    stops = Drift(balance_stops=0.3)(light, seeded()).log2()[:, [0, 2]]
    assert stops.std().item() == pytest.approx(0.3, rel=0.05)
    assert stops.mean().item() == pytest.approx(0.0, abs=0.02)


def test_a_bracket_is_of_one_moment():
    light = lamps() * torch.tensor([1.0, 4.0, 0.25, 1.0])[:, None, None, None]
    changed = Drift(balance_stops=0.3, glare=GLARE)(light, seeded(), num_alike=3)
    torch.testing.assert_close(changed[1], 4 * changed[0])
    torch.testing.assert_close(changed[2], changed[0] / 4)
    assert not torch.allclose(changed[3], changed[0], rtol=1e-3)


def test_glare_lies_in_its_range_and_half_of_it_is_the_lens():
    """Of the logarithm of a share, pictures of one lens differ by half of the range at most."""
    light = torch.zeros(8, 3, 64, 64)
    light[:, :, 32, 32] = 1.0
    for seed in range(20):
        changed = Drift(glare=GLARE)(light, seeded(seed))
        # the widest blur alone leaves a share of it where the lamp is
        kept = changed[:, 0, 32, 32]
        assert (kept >= 1 - 0.08).all()
        assert (kept <= 1 - 0.002 / 3).all()
        lost = changed[:, 0].flatten(1).sum(1) - kept
        assert lost.max() / lost.min() < (0.08 / 0.002) ** 0.5 * 1.001
        assert lost.max() > 1.02 * lost.min()


def test_draws_of_one_are_those_with_the_other_switched_off():
    light = lamps()
    both = Drift(balance_stops=0.3, glare=GLARE)(light, seeded())
    glare = Drift(glare=GLARE)(light, seeded())
    torch.testing.assert_close(both[:, 1], glare[:, 1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"balance_stops": -0.1}, r"task\.drift\.balance_stops .* got -0.1"),
        ({"balance_stops": float("nan")}, r"task\.drift\.balance_stops"),
        ({"glare": (0.0, 0.1)}, r"task\.drift\.glare .* got \[0.0, 0.1\]"),
        ({"glare": (0.1, 1.0)}, r"task\.drift\.glare"),
        ({"glare": (0.2, 0.1)}, r"task\.drift\.glare"),
        ({"glare": (-0.2, 0.1)}, r"task\.drift\.glare"),
    ],
)
def test_settings_that_make_no_drift_name_their_key(changes, message):
    with pytest.raises(ValueError, match=message):
        Drift(**changes)
